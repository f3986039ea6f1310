//! The seam itself.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use halley_env::BoxFuture;
use halley_shard::{ClusterId, Interest, Reply, Revision, ShardCount, ShardId};
use thiserror::Error;

use crate::{ReadAnswer, ReadQuery, follow::Down};

/// Which history this is, and into how many shards it is cut. Once known it changes only when the history
/// behind the log was replaced (an edge whose upstreams all came back as another cluster): see
/// [`ShardLog::cluster`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The history.
    pub id: ClusterId,
    /// Its shards.
    pub shards: ShardCount,
}

/// The log of a cluster's shards, wherever it lies. Deadlines are time left from the call on.
pub trait ShardLog: Debug + Send + Sync + 'static {
    /// The cluster; `None` while it is not known yet (an edge that has not reached an upstream).
    ///
    /// It changes only when the upstream's history was replaced. Then it changes first; after that every
    /// following begun under the old cluster ends with [`FollowEnd::Lost`], submissions and readings under
    /// way end with an error, and nothing of the new history reaches what was begun under the old one.
    /// Whoever follows compares it whenever a following has answered or ended.
    fn cluster(&self) -> Option<Cluster>;

    /// Completes once [`ShardLog::cluster`] is known.
    fn formed(&self) -> BoxFuture<'_, Cluster>;

    /// Has `command` (bytes of `shard::codec`, opaque here) ordered, applied and answered. The caller may
    /// submit the same bytes again after any error: the command's stamp makes that safe.
    ///
    /// # Errors
    /// [`LogError`]; after `UnknownOutcome` the command may or may not have been applied.
    fn submit(
        &self,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>>;

    /// Follows a shard from now on; interests are given to the returned end.
    fn follow(&self, shard: ShardId) -> Box<dyn Following>;

    /// Reads a shard's applied state, at `at_least` or later: waits for it, up to `deadline`.
    ///
    /// # Errors
    /// [`LogError`]; `Behind` when `at_least` was not reached in time.
    fn read(
        &self,
        shard: ShardId,
        query: ReadQuery,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>>;

    /// The leader's committed revision, asked for after this call began (ReadIndex).
    ///
    /// # Errors
    /// [`LogError`]
    fn barrier(
        &self,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, LogError>>;
}

/// The lower end of one followed shard (replication.md, rule 13). Dropping it ends the following.
pub trait Following: Debug + Send {
    /// Changes the interest. Never blocks; what is removed needs not have been added before.
    fn interest(&mut self, add: Vec<Interest>, remove: Vec<Interest>);

    /// The next messages in order, at least one. Cancel-safe.
    ///
    /// # Errors
    /// [`FollowEnd`]: whoever follows begins anew with [`ShardLog::follow`], all interests and an empty copy.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Down>, FollowEnd>>;
}

/// Why a following ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FollowEnd {
    /// This follower was slower than the upstream keeps changes.
    #[error("this follower fell behind what its upstream keeps")]
    Behind,
    /// The link or the upstream went.
    #[error("the upstream is gone: {0}")]
    Lost(String),
}

/// Why the log did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogError {
    /// Nobody leads the shard, or it cannot be reached; nothing was stored.
    #[error("shard {shard} has no reachable leader")]
    NoLeader {
        /// The shard.
        shard: ShardId,
    },
    /// Too much is waiting already; nothing was stored.
    #[error("{what}: {value} of {limit} in use")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// In use.
        value: u64,
        /// The bound.
        limit: u64,
    },
    /// The command was handed on, and no answer came in time: it may have been stored.
    #[error("no answer came before the deadline; the outcome is unknown")]
    UnknownOutcome,
    /// This copy did not reach the revision asked for in time.
    #[error("this node is at revision {head}, behind {wanted}")]
    Behind {
        /// Asked for.
        wanted: Revision,
        /// Reached.
        head: Revision,
    },
    /// The bytes are no command.
    #[error("unreadable command: {0}")]
    Unreadable(String),
    /// This node is going down.
    #[error("this node is draining")]
    Draining,
}
