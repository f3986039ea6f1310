//! Raft's own fields as protobuf, for the wire and the log: what survives mixed versions.
//!
//! Invariant: decoding what was encoded gives the same; unknown fields are ignored, missing ones refused.

use bytes::Bytes;
use openraft::{
    EmptyNode, EntryPayload,
    raft::{
        AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest, VoteResponse,
    },
    vote::RaftLeaderId as _,
};

use crate::{malformed::Malformed, meta::Process};

use super::{
    Entry, LeaderId, LogId, Membership, Payload, Runtime, SnapshotMeta, StoredMembership, Types,
    Vote,
};

impl From<Malformed> for std::io::Error {
    fn from(error: Malformed) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// `bytes` as a message.
pub(crate) fn decode<M: prost::Message + Default>(
    what: &'static str,
    bytes: Bytes,
) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|error| Malformed::new(what, error))
}

/// `message` as bytes.
pub(crate) fn encode(message: &impl prost::Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// Where an entry lies, and who put it there.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct PlaceForm {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) leader: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) index: u64,
}

impl From<LogId> for PlaceForm {
    fn from(id: LogId) -> Self {
        Self {
            term: id.leader_id.term,
            leader: id.leader_id.node_id,
            index: id.index,
        }
    }
}

impl From<PlaceForm> for LogId {
    fn from(form: PlaceForm) -> Self {
        Self::new(LeaderId::new(form.term, form.leader), form.index)
    }
}

/// A vote, granted or asked for.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct VoteForm {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) node: u64,
    #[prost(bool, tag = "3")]
    pub(crate) committed: bool,
}

impl From<Vote> for VoteForm {
    fn from(vote: Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            node: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl From<VoteForm> for Vote {
    fn from(form: VoteForm) -> Self {
        Self {
            leader_id: LeaderId::new(form.term, form.node),
            committed: form.committed,
        }
    }
}

/// Who votes, and who only learns.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct MembershipForm {
    #[prost(message, repeated, tag = "1")]
    configs: Vec<NodesForm>,
    #[prost(fixed64, repeated, tag = "2")]
    nodes: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct NodesForm {
    #[prost(fixed64, repeated, tag = "1")]
    nodes: Vec<u64>,
}

impl From<&Membership> for MembershipForm {
    fn from(membership: &Membership) -> Self {
        let config = |nodes: &std::collections::BTreeSet<u64>| NodesForm {
            nodes: nodes.iter().copied().collect(),
        };
        Self {
            configs: membership.get_joint_config().iter().map(config).collect(),
            nodes: membership.nodes().map(|(id, _)| *id).collect(),
        }
    }
}

impl From<MembershipForm> for Membership {
    fn from(form: MembershipForm) -> Self {
        let configs = form.configs.into_iter();
        let configs = configs.map(|config| config.nodes.into_iter().collect());
        let nodes = form.nodes.into_iter().map(|id| (id, EmptyNode {}));
        Self::new_with_defaults(configs.collect(), [])
            .extended(nodes.collect::<std::collections::BTreeMap<_, _>>())
    }
}

/// Keeps learners, which `new_with_defaults` takes as a set of ids only.
trait Extended {
    fn extended(self, nodes: std::collections::BTreeMap<u64, EmptyNode>) -> Self;
}

impl Extended for Membership {
    fn extended(self, nodes: std::collections::BTreeMap<u64, EmptyNode>) -> Self {
        let configs = self.get_joint_config().clone();
        Self::new(configs, nodes).unwrap_or(self)
    }
}

/// A log entry.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct EntryForm {
    #[prost(message, required, tag = "1")]
    pub(crate) place: PlaceForm,
    #[prost(oneof = "ContentForm", tags = "2, 3")]
    content: Option<ContentForm>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
enum ContentForm {
    #[prost(bytes = "bytes", tag = "2")]
    Normal(Bytes),
    #[prost(message, tag = "3")]
    Membership(MembershipForm),
}

impl From<&Entry> for EntryForm {
    fn from(entry: &Entry) -> Self {
        Self {
            place: entry.log_id.into(),
            content: match &entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(payload) => Some(ContentForm::Normal(payload.0.clone())),
                EntryPayload::Membership(membership) => {
                    Some(ContentForm::Membership(membership.into()))
                }
            },
        }
    }
}

impl From<EntryForm> for Entry {
    fn from(form: EntryForm) -> Self {
        let payload = match form.content {
            None => EntryPayload::Blank,
            Some(ContentForm::Normal(bytes)) => EntryPayload::Normal(Payload(bytes)),
            Some(ContentForm::Membership(membership)) => {
                EntryPayload::Membership(membership.into())
            }
        };
        Self {
            log_id: form.place.into(),
            payload,
        }
    }
}

/// Entries for a follower.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AppendForm {
    #[prost(message, required, tag = "1")]
    vote: VoteForm,
    #[prost(message, optional, tag = "2")]
    prev: Option<PlaceForm>,
    #[prost(message, repeated, tag = "3")]
    entries: Vec<EntryForm>,
    #[prost(message, optional, tag = "4")]
    commit: Option<PlaceForm>,
}

impl<R: Runtime> From<&AppendEntriesRequest<Types<R>>> for AppendForm {
    fn from(request: &AppendEntriesRequest<Types<R>>) -> Self {
        Self {
            vote: request.vote.into(),
            prev: request.prev_log_id.map(Into::into),
            entries: request.entries.iter().map(Into::into).collect(),
            commit: request.leader_commit.map(Into::into),
        }
    }
}

impl<R: Runtime> From<AppendForm> for AppendEntriesRequest<Types<R>> {
    fn from(form: AppendForm) -> Self {
        Self {
            vote: form.vote.into(),
            prev_log_id: form.prev.map(Into::into),
            entries: form.entries.into_iter().map(Into::into).collect(),
            leader_commit: form.commit.map(Into::into),
        }
    }
}

/// What became of entries: `matched` (absent: nothing), or why not.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct AppendedForm {
    #[prost(message, optional, tag = "1")]
    matched: Option<PlaceForm>,
    #[prost(message, optional, tag = "2")]
    conflict: Option<PlaceForm>,
    #[prost(message, optional, tag = "3")]
    higher: Option<VoteForm>,
    /// Which process of the follower's says so.
    #[prost(fixed64, tag = "4")]
    pub(crate) process: u64,
}

impl AppendedForm {
    /// This, said by `process`.
    pub(crate) fn by(self, process: Process) -> Self {
        Self {
            process: process.0,
            ..self
        }
    }

    /// The place up to which the follower has everything, where it says so.
    pub(crate) fn acknowledged(&self) -> Option<PlaceForm> {
        self.matched
            .filter(|_| self.conflict.is_none() && self.higher.is_none())
    }
}

type StreamAppended<R> = Result<Option<LogId>, StreamAppendError<Types<R>>>;

impl<R: Runtime> From<StreamAppended<R>> for AppendedForm {
    fn from(appended: StreamAppended<R>) -> Self {
        match appended {
            Ok(matched) => Self {
                matched: matched.map(Into::into),
                ..Self::default()
            },
            Err(StreamAppendError::Conflict(conflict)) => Self {
                conflict: Some(conflict.into()),
                ..Self::default()
            },
            Err(StreamAppendError::HigherVote(vote)) => Self {
                higher: Some(vote.into()),
                ..Self::default()
            },
        }
    }
}

impl<R: Runtime> From<AppendedForm> for StreamAppended<R> {
    fn from(form: AppendedForm) -> Self {
        if let Some(vote) = form.higher {
            return Err(StreamAppendError::HigherVote(vote.into()));
        }
        if let Some(conflict) = form.conflict {
            return Err(StreamAppendError::Conflict(conflict.into()));
        }
        Ok(form.matched.map(Into::into))
    }
}

/// Asks for a vote, or whether one would be granted.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct VoteRequestForm {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteForm,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<PlaceForm>,
    #[prost(bool, tag = "3")]
    transfer: bool,
}

impl<R: Runtime> From<&VoteRequest<Types<R>>> for VoteRequestForm {
    fn from(request: &VoteRequest<Types<R>>) -> Self {
        Self {
            vote: request.vote.into(),
            last: request.last_log_id.map(Into::into),
            transfer: request.leadership_transfer,
        }
    }
}

impl<R: Runtime> From<VoteRequestForm> for VoteRequest<Types<R>> {
    fn from(form: VoteRequestForm) -> Self {
        let mut request = Self::new(form.vote.into(), form.last.map(Into::into));
        request.leadership_transfer = form.transfer;
        request
    }
}

/// A vote's answer.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct VotedForm {
    #[prost(message, required, tag = "1")]
    vote: VoteForm,
    #[prost(bool, tag = "2")]
    granted: bool,
    #[prost(message, optional, tag = "3")]
    last: Option<PlaceForm>,
}

impl<R: Runtime> From<VoteResponse<Types<R>>> for VotedForm {
    fn from(response: VoteResponse<Types<R>>) -> Self {
        Self {
            vote: response.vote.into(),
            granted: response.vote_granted,
            last: response.last_log_id.map(Into::into),
        }
    }
}

impl<R: Runtime> From<VotedForm> for VoteResponse<Types<R>> {
    fn from(form: VotedForm) -> Self {
        Self {
            vote: form.vote.into(),
            vote_granted: form.granted,
            last_log_id: form.last.map(Into::into),
        }
    }
}

/// Hands leadership over.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct TransferForm {
    #[prost(message, required, tag = "1")]
    from: VoteForm,
    #[prost(fixed64, tag = "2")]
    to: u64,
    #[prost(message, optional, tag = "3")]
    last: Option<PlaceForm>,
}

impl<R: Runtime> From<&TransferLeaderRequest<Types<R>>> for TransferForm {
    fn from(request: &TransferLeaderRequest<Types<R>>) -> Self {
        Self {
            from: (*request.from_leader()).into(),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(Into::into),
        }
    }
}

impl<R: Runtime> From<TransferForm> for TransferLeaderRequest<Types<R>> {
    fn from(form: TransferForm) -> Self {
        Self::new(form.from.into(), form.to, form.last.map(Into::into))
    }
}

/// What stands before a snapshot's content, on the disk and on the wire.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SnapshotForm {
    #[prost(message, optional, tag = "1")]
    last: Option<PlaceForm>,
    #[prost(message, optional, tag = "2")]
    membership_at: Option<PlaceForm>,
    #[prost(message, required, tag = "3")]
    membership: MembershipForm,
}

impl From<&SnapshotMeta> for SnapshotForm {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.map(Into::into),
            membership_at: (*meta.last_membership.log_id()).map(Into::into),
            membership: meta.last_membership.membership().into(),
        }
    }
}

impl From<SnapshotForm> for SnapshotMeta {
    fn from(form: SnapshotForm) -> Self {
        Self {
            last_log_id: form.last.map(Into::into),
            last_membership: StoredMembership::new(
                form.membership_at.map(Into::into),
                form.membership.into(),
            ),
        }
    }
}
