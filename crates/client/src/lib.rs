//! The Rust client: publishes with retries that never publish twice, subscribes with a cursor that survives its node.
//!
//! [`Client`] is given every endpoint of the cluster and uses one until it fails. All of it is safe to retry:
//! - [`Client::publish`] and [`Client::publish_batch`] draw an idempotency key for each event that has none, so
//!   that a repetition after a lost answer gets the first result;
//! - [`PublishStream`] numbers its publishes and sends everything unanswered again, in order, on a new stream: for
//!   more than some hundred events a second, whose keys would fill the cluster's memory of keys;
//! - [`Subscription`] comes back with its cursor, to whichever endpoint answers.
//!
//! ```no_run
//! use halley_client::{Client, Delivery, Publish, Since};
//!
//! # async fn example() -> Result<(), halley_client::ClientError> {
//! let client = Client::connect(["127.0.0.1:9090", "127.0.0.1:9091"], halley_env::Env::system())?;
//! let mut prices = client.subscribe(["/stocks/*"], Since::Latest);
//! prices.opened().await?;
//! let published = client.publish(Publish::json("/stocks/goog", r#"{"price":181.5}"#)).await?;
//! if let Delivery::Event(event) = prices.next().await? {
//!     assert_eq!((event.channel.as_str(), event.offset), ("/stocks/goog", published.offset));
//! }
//! # Ok(())
//! # }
//! ```

mod batch;
mod client;
mod cluster;
mod config;
mod endpoints;
mod error;
mod message;
mod proto;
mod publish_stream;
mod retry;
mod subscription;
mod tls;

pub use client::Client;
pub use cluster::{ClusterGroup, ClusterMember, ClusterProgress, ClusterStanding, ClusterStatus};
pub use config::ClientConfig;
pub use error::ClientError;
pub use message::{
    ChannelInfo, ChannelPage, Consistency, Deleted, Delivery, Event, Gap, HistoryPage, Publish,
    Published, Since,
};
pub use publish_stream::{PublishStream, Receipt};
pub use subscription::Subscription;
pub use tls::ClientTls;

#[cfg(test)]
mod tests;
