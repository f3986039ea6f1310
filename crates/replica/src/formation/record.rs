//! The record that founds a cluster, and its bytes.
//!
//! Invariant: a record names every member once, by name and by id, sorted by name, its proposer among them.

use std::fmt;

use halley_shard::{ClusterId, ShardCount};
use prost::Message;

use crate::{identity::NodeId, malformed::Malformed};

const WHAT: &str = "formation record";

/// Which cluster is founded, and by which disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormationRecord {
    /// The cluster.
    pub(crate) cluster: ClusterId,
    /// Its shards.
    pub(crate) shards: ShardCount,
    /// Its founders, sorted by name.
    pub(crate) members: Vec<(String, NodeId)>,
    /// The member that drew this record.
    pub(crate) proposer: NodeId,
}

impl FormationRecord {
    /// The id of the member called `name`.
    #[must_use]
    pub(crate) fn id_of(&self, name: &str) -> Option<NodeId> {
        self.members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, id)| *id)
    }

    /// Whether the node `id` is a member under `name`.
    #[must_use]
    pub(crate) fn names(&self, name: &str, id: NodeId) -> bool {
        self.id_of(name) == Some(id)
    }

    /// Names of the members, sorted.
    pub(crate) fn member_names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }
}

/// For people: the cluster and the ids.
impl fmt::Display for FormationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster {:016x} of", self.cluster.get())?;
        for (index, (name, id)) in self.members.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {name} ({id})")?;
        }
        Ok(())
    }
}

/// The bytes of a record, as a part of other messages.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecordForm {
    /// [`FormationRecord::cluster`]
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    /// [`FormationRecord::shards`]
    #[prost(uint32, tag = "2")]
    pub(crate) shards: u32,
    /// [`FormationRecord::members`]
    #[prost(message, repeated, tag = "3")]
    pub(crate) members: Vec<MemberForm>,
    /// [`FormationRecord::proposer`]
    #[prost(fixed64, tag = "4")]
    pub(crate) proposer: u64,
}

/// The bytes of a member.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MemberForm {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Its id.
    #[prost(fixed64, tag = "2")]
    pub(crate) node: u64,
}

impl From<&FormationRecord> for RecordForm {
    fn from(record: &FormationRecord) -> Self {
        let members = record.members.iter().map(|(name, id)| MemberForm {
            name: name.clone(),
            node: id.get(),
        });
        Self {
            cluster: record.cluster.get(),
            shards: record.shards.get().into(),
            members: members.collect(),
            proposer: record.proposer.get(),
        }
    }
}

impl TryFrom<RecordForm> for FormationRecord {
    type Error = Malformed;

    fn try_from(form: RecordForm) -> Result<Self, Malformed> {
        let refuse = |reason: &str| Malformed::new(WHAT, reason);
        let id = |number| NodeId::new(number).ok_or_else(|| refuse("a node id is zero"));
        let shards = u16::try_from(form.shards).ok().and_then(ShardCount::new);
        let members: Vec<_> = form
            .members
            .into_iter()
            .map(|member| Ok((member.name, id(member.node)?)))
            .collect::<Result<_, Malformed>>()?;
        let mut ids: Vec<_> = members.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        let twice = ids.windows(2).any(|pair| pair[0] == pair[1]);
        if twice || !members.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(refuse("members are not sorted, or named twice"));
        }
        let proposer = id(form.proposer)?;
        if ids.binary_search(&proposer).is_err() {
            return Err(refuse("the proposer is no member"));
        }
        Ok(Self {
            cluster: ClusterId::new(form.cluster),
            shards: shards.ok_or_else(|| refuse("no such shard count"))?,
            members,
            proposer,
        })
    }
}
