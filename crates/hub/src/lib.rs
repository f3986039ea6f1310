//! What this node's readers read: windows of the channels that somebody here follows, interest in them,
//! wake-ups, and subscriptions as cursors.
//!
//! Invariant: nobody downstream has a queue. A subscription is a selection and a cursor; a slow one costs its
//! own lag and nothing else.

mod cluster_copy;
mod copy;
mod delivery;
mod entry;
mod follower;
mod hub;
mod interests;
mod limits;
mod part;
mod placing;
mod shared_event;
mod subscription;

pub use delivery::{Delivery, EndReason, SubscribeError, SubscribeRequest};
pub use hub::{Hub, HubConfig};
pub use shared_event::{MemoSlot, SharedEvent};
pub use subscription::Subscription;

#[cfg(test)]
mod tests;
