//! The cluster itself, as operators read it.

use crate::proto::v1;

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// What every cursor begins with; `None` before the cluster is formed or known.
    pub cluster: Option<String>,
    /// Shards of the cluster; 0 before it is formed or known.
    pub shards: u32,
    /// Name of the node that says all this.
    pub answered_by: String,
    /// Which behaviours of the state machine are switched on; 0 when not known.
    pub feature_level: u32,
    /// Replicated settings: keys as in the configuration file, values as on the command line.
    pub settings: Vec<(String, String)>,
    /// Members, and nodes that want to be.
    pub members: Vec<ClusterMember>,
    /// The cluster's own group first, then the shards in their order.
    pub groups: Vec<ClusterGroup>,
    /// What waits for what, for people; empty when all is well.
    pub notices: Vec<String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMember {
    /// Its name.
    pub name: String,
    /// 16 hexadecimal digits, for the life of its disk.
    pub id: String,
    /// What it may do.
    pub standing: ClusterStanding,
    /// How many times its disk was started.
    pub incarnation: u64,
    /// Where other nodes come in, `HOST:PORT`; empty where not known.
    pub peer: String,
    /// Where back ends come in; empty where not known.
    pub grpc: String,
    /// Where browsers come in; empty where not known.
    pub http: String,
    /// It was heard of within the last second; `None` when the node asked cannot tell.
    pub heard: Option<bool>,
}

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterStanding {
    /// It votes and stores.
    Voter,
    /// It stores and does not vote yet.
    Learner,
    /// It was replaced; its disk may not come back.
    Retired,
    /// Something that this client does not know.
    Unknown,
}

impl ClusterStanding {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Retired => "retired",
            Self::Unknown => "unknown",
        }
    }
}

/// One Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterGroup {
    /// `meta`, or `shard 0`, `shard 1`, ….
    pub name: String,
    /// Name of the leader; `None` when none is known.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// Index of the newest committed entry that the node asked knows.
    pub committed: u64,
    /// How far each node's log has come, as the leader knows it; only of the node asked when that does not lead.
    pub progress: Vec<ClusterProgress>,
}

/// How far a node has come in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterProgress {
    /// Name of the node.
    pub node: String,
    /// Index of its newest entry.
    pub index: u64,
    /// Entries of the leader's log that it lacks.
    pub lag: u64,
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl ClusterStatus {
    pub(crate) fn of(status: v1::ClusterStatus) -> Self {
        let setting = |setting: v1::ClusterSetting| (setting.key, setting.value);
        Self {
            cluster: given(status.cluster),
            shards: status.shards,
            answered_by: status.answered_by,
            feature_level: status.feature_level,
            settings: status.settings.into_iter().map(setting).collect(),
            members: status.members.into_iter().map(ClusterMember::of).collect(),
            groups: status.groups.into_iter().map(ClusterGroup::of).collect(),
            notices: status.notices,
        }
    }
}

impl ClusterMember {
    fn of(member: v1::ClusterMember) -> Self {
        let standing = match member.standing() {
            v1::ClusterStanding::Voter => ClusterStanding::Voter,
            v1::ClusterStanding::Learner => ClusterStanding::Learner,
            v1::ClusterStanding::Retired => ClusterStanding::Retired,
            v1::ClusterStanding::Unspecified => ClusterStanding::Unknown,
        };
        Self {
            name: member.name,
            id: member.id,
            standing,
            incarnation: member.incarnation,
            peer: member.peer,
            grpc: member.grpc,
            http: member.http,
            heard: member.heard,
        }
    }
}

impl ClusterGroup {
    fn of(group: v1::ClusterGroup) -> Self {
        let progress = |progress: v1::ClusterProgress| ClusterProgress {
            node: progress.node,
            index: progress.index,
            lag: progress.lag,
        };
        Self {
            name: group.name,
            leader: given(group.leader),
            term: group.term,
            committed: group.committed,
            progress: group.progress.into_iter().map(progress).collect(),
        }
    }
}
