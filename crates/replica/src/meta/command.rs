//! What may be asked of the cluster's own state, and its replies.

use std::fmt;

use halley_shard::{ClusterId, Settings};
use thiserror::Error;

use crate::{
    Addresses,
    formation::FormationRecord,
    identity::{Incarnation, NodeId},
};

/// Drawn at random when a process starts: tells a question sent again from one of another process that was started
/// from a copy of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process(pub(crate) u64);

/// What a started node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) addresses: Addresses,
    /// How many times its disk was started.
    pub(crate) incarnation: Incarnation,
    /// Which process says so.
    pub(crate) process: Process,
    /// The highest feature level that its program knows.
    pub(crate) level: u32,
}

/// A command. Each may be sent again without harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetaCommand {
    /// The first one: founds the cluster of `record`, its members voters. Data groups follow.
    Form {
        /// Which cluster.
        record: FormationRecord,
        /// Its first settings.
        settings: Settings,
    },
    /// A node of the table was started.
    Announce {
        /// Its id.
        node: NodeId,
        /// What it says of itself.
        about: About,
    },
    /// A new node takes part as a learner. Of a node of the table: as [`MetaCommand::Announce`].
    Join {
        /// Its id.
        node: NodeId,
        /// What it says of itself.
        about: About,
    },
    /// The learner `new` becomes a voter in the place of `old`, which is retired for good.
    Replace {
        /// A voter.
        old: NodeId,
        /// A learner.
        new: NodeId,
    },
    /// Every group has reached the change of that number. Of any other number: nothing.
    ChangeDone {
        /// [`Change::number`]
        number: u64,
    },
    /// Settings for every shard, already checked ([`Settings::check`]).
    SetSettings {
        /// What they were made from: others are not overwritten unseen.
        instead_of: Settings,
        /// All of them.
        settings: Settings,
    },
    /// Switches on what `apply` does up to `level`.
    RaiseLevel {
        /// At least the present one.
        level: u32,
    },
}

/// A membership change that groups follow one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Counted from 1.
    pub(crate) number: u64,
    /// What changes.
    pub(crate) kind: ChangeKind,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// `node` takes entries in every group.
    Join {
        /// A new learner.
        node: NodeId,
    },
    /// `new` votes in the place of `old`.
    Replace {
        /// Retired.
        old: NodeId,
        /// A voter.
        new: NodeId,
    },
}

impl Change {
    /// Whether it takes the vote of `node`.
    pub(crate) fn retires(&self, node: NodeId) -> bool {
        matches!(self.kind, ChangeKind::Replace { old, .. } if old == node)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ChangeKind::Join { node } => write!(f, "{node} joins"),
            ChangeKind::Replace { old, new } => write!(f, "{new} replaces {old}"),
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MetaReply {
    /// It holds now, or did already.
    Done,
    /// Nothing changed.
    Refused(MetaRefusal),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum MetaRefusal {
    /// There is no cluster yet.
    #[error("the cluster is not formed yet")]
    NotFormed,
    /// There is another one.
    #[error("the cluster is formed already, as {:016x}", cluster.get())]
    Formed {
        /// The one there is.
        cluster: ClusterId,
    },
    /// The node is in no table.
    #[error("{node} is not a node of this cluster")]
    Unknown {
        /// Which.
        node: NodeId,
    },
    /// The node was replaced; its disk may not come back.
    #[error("{node} was replaced: its directory must be put aside, it may come back as a new node")]
    Retired {
        /// Which.
        node: NodeId,
    },
    /// A later start of that disk has announced itself, or the same one in another process: a copy.
    #[error("{node} is an old disk or a copy: its start {known} has announced itself already")]
    OldIncarnation {
        /// Which.
        node: NodeId,
        /// The newest start.
        known: Incarnation,
    },
    /// The node's program knows less than what is switched on.
    #[error("the cluster runs at feature level {level}, which this node's program does not know")]
    OldProgram {
        /// What is switched on.
        level: u32,
    },
    /// One change at a time.
    #[error("another membership change is under way: {change}")]
    Busy {
        /// Which.
        change: Change,
    },
    /// Only a voter is replaced.
    #[error("{node} is not a voter")]
    NotAVoter {
        /// Which.
        node: NodeId,
    },
    /// Only a learner replaces.
    #[error("{node} is not a learner")]
    NotALearner {
        /// Which.
        node: NodeId,
    },
    /// A voter's program may not know that level.
    #[error("{node} has not announced feature level {level}")]
    NotAnnounced {
        /// Which.
        node: NodeId,
        /// The level asked for.
        level: u32,
    },
    /// A level is never switched off.
    #[error("the feature level is {level} already")]
    LevelFalls {
        /// The present one.
        level: u32,
    },
    /// Somebody else has changed the settings meanwhile.
    #[error("the settings have been changed by somebody else meanwhile")]
    OtherSettings,
}
