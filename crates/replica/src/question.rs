//! What replicas ask each other and answer, as protobuf in the bytes that [`crate::Peers`] carries.
//!
//! Invariant: every question names the cluster it is asked in (none before one is formed), who asks and who is
//! meant, so that a node never answers for a cluster or an id that is not its own.

use bytes::Bytes;

use crate::{
    malformed::Malformed,
    raft::message::{
        self, AppendForm, AppendedForm, SnapshotForm, TransferForm, VoteForm, VoteRequestForm,
        VotedForm,
    },
};

/// A question to another replica.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Question {
    /// The asker's cluster; 0 before it has one.
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) from: u64,
    /// Who is meant; 0: whoever is there.
    #[prost(fixed64, tag = "3")]
    pub(crate) to: u64,
    /// The group, where one is meant.
    #[prost(uint32, tag = "4")]
    pub(crate) group: u32,
    /// Which process of the asker's asks.
    #[prost(fixed64, tag = "5")]
    pub(crate) process: u64,
    #[prost(oneof = "Ask", tags = "10, 11, 12, 13, 14, 20, 22, 23, 24, 25, 26, 27")]
    pub(crate) ask: Option<Ask>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Ask {
    #[prost(message, tag = "10")]
    Vote(VoteRequestForm),
    #[prost(message, tag = "11")]
    PreVote(VoteRequestForm),
    #[prost(message, tag = "12")]
    Heartbeat(AppendForm),
    #[prost(message, tag = "13")]
    Transfer(TransferForm),
    /// The committed revision of a shard, by ReadIndex.
    #[prost(message, tag = "14")]
    Barrier(()),
    /// Who are you, and what do you know of a cluster? Bytes of [`crate::formation`].
    #[prost(bytes = "bytes", tag = "20")]
    Greet(Bytes),
    /// What do you know of me, who was started as this incarnation?
    #[prost(message, tag = "22")]
    Known(StartForm),
    /// A command for the cluster's own group.
    #[prost(bytes = "bytes", tag = "23")]
    Meta(Bytes),
    /// What is your clock, in milliseconds since the Unix epoch?
    #[prost(message, tag = "24")]
    Clock(()),
    /// Hand the group's leadership to this node.
    #[prost(fixed64, tag = "25")]
    HandOver(u64),
    /// How far is each node in the group, as its leader knows?
    #[prost(message, tag = "26")]
    Progress(()),
    /// Do you take leaderships over? Not who may not vote, has no room on its disk, or goes down.
    #[prost(message, tag = "27")]
    Votes(()),
}

/// A start of a disk, and the process that it is.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct StartForm {
    #[prost(uint64, tag = "1")]
    pub(crate) incarnation: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) process: u64,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Said {
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) from: u64,
    #[prost(oneof = "Say", tags = "10, 11, 12, 14, 20, 22, 23, 24, 25, 26, 30, 31")]
    pub(crate) say: Option<Say>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Say {
    #[prost(message, tag = "10")]
    Voted(VotedForm),
    #[prost(message, tag = "11")]
    Appended(AppendedForm),
    /// Whether the leadership was taken.
    #[prost(bool, tag = "12")]
    Transferred(bool),
    #[prost(uint64, tag = "14")]
    Revision(u64),
    #[prost(bytes = "bytes", tag = "20")]
    Greeting(Bytes),
    #[prost(message, tag = "22")]
    Known(KnownForm),
    #[prost(bytes = "bytes", tag = "23")]
    Meta(Bytes),
    #[prost(uint64, tag = "24")]
    Clock(u64),
    #[prost(message, tag = "25")]
    Done(()),
    #[prost(message, tag = "26")]
    Progress(ProgressForm),
    /// Somebody else leads the group; 0: nobody known. Nothing was stored.
    #[prost(fixed64, tag = "30")]
    Elsewhere(u64),
    #[prost(string, tag = "31")]
    Refused(String),
}

/// What is known of a node that was started again.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KnownForm {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) incarnation: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) last: Vec<KnownLast>,
}

/// The newest place known of a node's log in one group.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct KnownLast {
    #[prost(uint32, tag = "1")]
    pub(crate) group: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) index: u64,
}

/// How far each node is in a group.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProgressForm {
    #[prost(uint64, tag = "1")]
    pub(crate) newest: u64,
    #[prost(message, repeated, tag = "2")]
    pub(crate) nodes: Vec<NodeProgress>,
    /// A membership change is under way.
    #[prost(bool, tag = "3")]
    pub(crate) changing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct NodeProgress {
    #[prost(fixed64, tag = "1")]
    pub(crate) node: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
    /// How long nothing was heard of it, in milliseconds: since the leader leads, at most.
    #[prost(uint64, tag = "3")]
    pub(crate) silent_ms: u64,
}

/// The first message of every stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LaneHead {
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) from: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) to: u64,
    #[prost(uint32, tag = "4")]
    pub(crate) group: u32,
    /// Of a snapshot: the leader's vote and what stands before the content.
    #[prost(message, optional, tag = "5")]
    pub(crate) vote: Option<VoteForm>,
    #[prost(message, optional, tag = "6")]
    pub(crate) snapshot: Option<SnapshotForm>,
}

/// A command on its way to a leader.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Submission {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) group: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) command: Bytes,
}

/// Those that waited when the stream could take more: the cost of a message is the stream's, not the command's.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Submissions {
    #[prost(message, repeated, tag = "1")]
    pub(crate) submissions: Vec<Submission>,
}

/// What became of those that have their outcome by now.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Outcomes {
    #[prost(message, repeated, tag = "1")]
    pub(crate) outcomes: Vec<Submitted>,
}

/// What became of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Submitted {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(oneof = "Fate", tags = "2, 3, 4, 5")]
    pub(crate) fate: Option<Fate>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Fate {
    /// Bytes of `shard::codec`.
    #[prost(bytes = "bytes", tag = "2")]
    Reply(Bytes),
    /// Somebody else leads; 0: nobody known. Nothing was stored.
    #[prost(fixed64, tag = "3")]
    Elsewhere(u64),
    /// Bytes of [`halley_log::LogError`]. Nothing was stored, unless it says so.
    #[prost(bytes = "bytes", tag = "4")]
    Failed(Bytes),
    /// It may have been stored.
    #[prost(message, tag = "5")]
    Unknown(()),
}

impl Question {
    pub(crate) fn encode(&self) -> Bytes {
        message::encode(self)
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        message::decode("question", bytes)
    }
}

impl Said {
    pub(crate) fn encode(&self) -> Bytes {
        message::encode(self)
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        message::decode("answer", bytes)
    }
}
