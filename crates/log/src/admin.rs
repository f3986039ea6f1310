//! Commands and questions about the cluster itself, in neutral words.

use std::{fmt::Debug, time::Duration};

use halley_env::BoxFuture;
use thiserror::Error;

use crate::Cluster;

/// What operators may ask and change. On every node; a node that cannot decide asks the one that can.
pub trait ClusterAdmin: Debug + Send + Sync + 'static {
    /// The cluster as this node sees it now.
    ///
    /// # Errors
    /// [`AdminError`]
    fn status(&self, deadline: Duration) -> BoxFuture<'_, Result<ClusterStatus, AdminError>>;

    /// Changes a replicated setting (`retention.events_max`, `retention.rules`, …: the names and the text form of the
    /// configuration file). Answered once it is decided; every shard follows soon.
    ///
    /// # Errors
    /// [`AdminError`]
    fn set(
        &self,
        key: &str,
        value: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>>;

    /// Puts the node `new` in the place of the member `old`, both by name or id: for a member whose disk is gone and
    /// which the cluster does not replace by itself. Answered once it is decided.
    ///
    /// # Errors
    /// [`AdminError`]
    fn replace(
        &self,
        old: &str,
        new: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>>;
}

/// Why an operator's command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdminError {
    /// It cannot be, as long as things stand as they do; the text says why, for people.
    #[error("{0}")]
    Refused(String),
    /// A setting, value or node that does not exist or is out of bounds; the text names it and the bound.
    #[error("{0}")]
    Invalid(String),
    /// Nobody leads the cluster, or it cannot be reached.
    #[error("the cluster has no reachable leader")]
    NoLeader,
    /// No answer came in time; it may have been done.
    #[error("no answer came before the deadline; the outcome is unknown")]
    UnknownOutcome,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Which; `None` before it is formed or known.
    pub cluster: Option<Cluster>,
    /// The node that says all this.
    pub answered_by: String,
    /// What of `apply` is switched on.
    pub feature_level: u32,
    /// Replicated settings: names and values in the text form of the configuration file.
    pub settings: Vec<(String, String)>,
    /// Members and those that want to be.
    pub members: Vec<Member>,
    /// The cluster's own group first, then the shards.
    pub groups: Vec<Group>,
    /// What waits for what, for people; empty when all is well.
    pub notices: Vec<String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its id, for the life of its disk.
    pub id: u64,
    /// What it may do.
    pub standing: Standing,
    /// How many times its disk was started.
    pub incarnation: u64,
    /// Where other nodes, back ends and browsers find it.
    pub peer: String,
    /// For back ends.
    pub grpc: String,
    /// For browsers.
    pub http: String,
    /// Whether it was heard of within the last second; `None` when the answering node cannot tell.
    pub heard: Option<bool>,
}

impl Member {
    /// Its id as people write it: 16 hexadecimal digits.
    #[must_use]
    pub fn id_text(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// Whether an operator who says `name_or_id` means it. A name may be that of two nodes, a member and the one that
    /// is to take its place; an id is always that of one.
    #[must_use]
    pub fn is_called(&self, name_or_id: &str) -> bool {
        self.name == name_or_id || self.id_text() == name_or_id
    }
}

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It votes and stores.
    Voter,
    /// It stores and does not vote yet.
    Learner,
    /// It was replaced, and its disk may not come back.
    Retired,
}

/// One Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `meta`, or `shard 0`, ….
    pub name: String,
    /// The leader's name; `None` when none is known.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// Index of the newest committed entry that the answering node knows.
    pub committed: u64,
    /// How far each node's log has come, as the leader knows it; only of the answering node when it does not lead.
    pub progress: Vec<Progress>,
}

/// How far a node has come in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The node's name.
    pub name: String,
    /// Index of its newest entry.
    pub index: u64,
    /// Entries that it lacks of the leader's log.
    pub lag: u64,
}
