//! Raft as this room uses it: openraft's types made concrete, and its three sides (log, state, network)
//! put over the store, a [`machine::Machine`] and [`crate::Peers`].
//!
//! Invariant: nothing of openraft's leaves this module and [`crate::group`].

mod deterministic;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod message;
pub(crate) mod network;
mod ordered_watch;

use std::{cmp::Ordering, fmt, future::Future, hash::Hash, marker::PhantomData};

use bytes::Bytes;
use halley_shard::Reply;
use openraft::{
    AnyError, AsyncRuntime, EmptyNode, EntryPayload, RaftTypeConfig,
    impls::{InlineBatch, OneshotResponder, leader_id_adv},
};
use openraft_rt_tokio::TokioRuntime;

pub(crate) use deterministic::Deterministic;

use crate::meta::MetaReply;

pub(crate) type LeaderId = leader_id_adv::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Membership = openraft::Membership<u64, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, EmptyNode>;
pub(crate) type Content = EntryPayload<Payload, u64, EmptyNode>;
pub(crate) type Entry = openraft::Entry<LeaderId, Content>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, EmptyNode>;

/// A runtime that Raft may run on.
pub(crate) trait Runtime: AsyncRuntime + Send + Sync {
    /// `future` with this runtime's randomness drawn from `seed`, where the runtime has such a thing.
    fn within<F: Future + Send>(seed: u64, future: F) -> impl Future<Output = F::Output> + Send
    where
        F::Output: Send;
}

impl Runtime for TokioRuntime {
    async fn within<F: Future + Send>(_seed: u64, future: F) -> F::Output
    where
        F::Output: Send,
    {
        future.await
    }
}

/// openraft's types, for runtime `R`.
pub(crate) struct Types<R>(PhantomData<fn() -> R>);

impl<R: Runtime> RaftTypeConfig for Types<R> {
    type D = Payload;
    type R = Answer;
    type NodeId = u64;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Content;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = AnyError;
}

// Derived, these would ask the same of `R`, which only names a runtime.
impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Types<R> {}
impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> PartialEq for Types<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for Types<R> {}
impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Types<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}
impl<R> Hash for Types<R> {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}
impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

/// What an entry carries: bytes of `shard::codec` (an entry of packed commands) or of [`crate::meta`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What applying an entry answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Blank entries and membership.
    None,
    /// One for each packed command, in order.
    Shard(Vec<Reply>),
    /// Of the cluster's own group.
    Meta(MetaReply),
}
