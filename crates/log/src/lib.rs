//! The seam to a cluster's log: what the rooms above know of replication.
//!
//! [`ShardLog`] is all of it: submit a command, follow a shard's changes, read its state, wait for its
//! leader's head. Behind it stands the in-memory log ([`MemoryLog`]), a follower of another node
//! ([`RemoteLog`]), later the replicated one; [`conformance`] says what all of them must do. The two ends of
//! following ([`follow`]) and the way of a command to its shard's leader ([`route`]) are state machines
//! without a transport.

pub mod conformance;
pub mod follow;
pub mod limits;
pub mod route;
pub mod settings;

mod admin;
mod backoff;
mod error_message;
mod memory;
mod node;
mod publisher;
mod read;
mod remote;
mod shard_log;

pub use admin::{AdminError, ClusterAdmin, ClusterStatus, Group, Member, Progress, Standing};
pub use memory::{MemoryConfig, MemoryLog};
pub use node::{Check, NodeStatus, NodeView, Role};
pub use publisher::{DeleteOutcome, PublishError, Publisher, Stream};
pub use read::{HistoryStart, ReadAnswer, ReadQuery};
pub use remote::{RemoteLog, Upstream, UpstreamError, UpstreamFollow};
pub use shard_log::{Cluster, FollowEnd, Following, LogError, ShardLog};
