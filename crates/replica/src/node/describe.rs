//! What is told of a node and its cluster, and what operators may change.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use halley_env::BoxFuture;
use halley_log::{
    AdminError, Check, ClusterAdmin, ClusterStatus, Group as GroupStatus, Member, Progress,
    Standing, settings,
};

use super::{Node, held};
use crate::{
    group::Group,
    identity::NodeId,
    limits,
    meta::{Meta, MetaCommand, MetaRefusal, MetaReply},
    raft::Runtime,
};

/// The operators' side of a node.
#[derive(Debug)]
pub(crate) struct NodeAdmin<R: Runtime>(pub(crate) Arc<Node<R>>);

impl<R: Runtime> Node<R> {
    /// What readiness asks of this node.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let notice = |cause: &str| held(&self.notices).get(cause).cloned();
        let shards = self.shards();
        let open = shards.iter().filter(|shard| shard.gate().is_open()).count();
        let served = !shards.is_empty() && open == shards.len();
        let waits = notice("formation").or_else(|| notice("membership"));
        let serving = waits
            .filter(|_| shards.is_empty())
            .unwrap_or_else(|| format!("{open} of {} shards are served", shards.len()));
        let full = self.full.load(Ordering::Acquire);
        vec![
            Check {
                name: "shards",
                ok: served,
                detail: serving,
            },
            Check {
                name: "disk",
                ok: !full,
                detail: notice("disk").unwrap_or_else(|| "there is room".into()),
            },
        ]
    }

    fn name_of(&self, node: NodeId) -> String {
        let row = self
            .meta()
            .and_then(|meta| meta.machine.with(|state| state.node(node).cloned()));
        row.map_or_else(|| node.to_string(), |row| row.name)
    }

    async fn group_status(&self, group: &Group<R>) -> GroupStatus {
        let told = group.told();
        let progress = match self.progress_of(group).await {
            Some(progress) => {
                let nodes = progress.nodes.iter().filter_map(|known| {
                    Some(Progress {
                        name: self.name_of(NodeId::new(known.node)?),
                        index: known.index,
                        lag: progress.newest.saturating_sub(known.index),
                    })
                });
                nodes.collect()
            }
            None => vec![Progress {
                name: self.config.name.clone(),
                index: told.newest,
                lag: told.newest.saturating_sub(told.applied),
            }],
        };
        GroupStatus {
            name: group.name().to_owned(),
            leader: group.leader().map(|leader| self.name_of(leader)),
            term: told.term,
            committed: told.committed,
            progress,
        }
    }

    fn members(&self, state: &Meta) -> Vec<Member> {
        let now = self.env.clock.monotonic();
        let heard = |node: NodeId| {
            if node == self.me() {
                return Some(true);
            }
            let whereabouts = held(&self.whereabouts);
            let latest = whereabouts.values().filter(|(there, _)| *there == node);
            let latest = latest.map(|(_, when)| *when).max()?;
            Some(latest + 3 * limits::FIND_EVERY >= now)
        };
        let member = |(id, row): (&NodeId, &crate::meta::NodeRecord)| Member {
            name: row.name.clone(),
            id: id.get(),
            standing: row.standing,
            incarnation: row.incarnation.get(),
            peer: row.addresses.peer.clone(),
            grpc: row.addresses.grpc.clone(),
            http: row.addresses.http.clone(),
            heard: heard(*id),
        };
        state.nodes().iter().map(member).collect()
    }

    async fn status(&self) -> ClusterStatus {
        let state = self
            .meta()
            .map(|meta| meta.machine.with(Meta::clone))
            .unwrap_or_default();
        let mut groups = Vec::new();
        for group in self.groups() {
            groups.push(self.group_status(&group).await);
        }
        let members = self.members(&state);
        let mut notices: Vec<_> = held(&self.notices).values().cloned().collect();
        notices.extend(missing(&members, &groups));
        ClusterStatus {
            cluster: self.cluster(),
            answered_by: self.config.name.clone(),
            feature_level: state.level(),
            settings: settings::list(state.settings()),
            members,
            groups,
            notices,
        }
    }

    fn decided(&self, reply: Option<MetaReply>) -> Result<(), AdminError> {
        match reply {
            Some(MetaReply::Done) => Ok(()),
            Some(MetaReply::Refused(refusal)) => Err(AdminError::Refused(refusal.to_string())),
            None if self.meta().and_then(|meta| meta.group.leader()).is_none() => {
                Err(AdminError::NoLeader)
            }
            None => Err(AdminError::UnknownOutcome),
        }
    }

    fn state(&self) -> Result<Meta, AdminError> {
        let state = self.meta().map(|meta| meta.machine.with(Meta::clone));
        state
            .filter(|state| state.cluster().is_some())
            .ok_or(AdminError::NoLeader)
    }
}

/// What anybody can see to be amiss.
fn missing(members: &[Member], groups: &[GroupStatus]) -> Vec<String> {
    let silent = members.iter().filter(|member| {
        let counts = matches!(member.standing, Standing::Voter | Standing::Learner);
        counts && member.heard == Some(false)
    });
    let silent = silent.map(|member| format!("{} is not heard", member.name));
    let leaderless = groups.iter().filter(|group| group.leader.is_none());
    let leaderless = leaderless.map(|group| format!("{} has no leader", group.name));
    silent.chain(leaderless).collect()
}

impl<R: Runtime> ClusterAdmin for NodeAdmin<R> {
    fn status(&self, deadline: Duration) -> BoxFuture<'_, Result<ClusterStatus, AdminError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                status = self.0.status() => Ok(status),
                () = self.0.env.clock.sleep(deadline) => Err(AdminError::UnknownOutcome),
            }
        })
    }

    fn set(
        &self,
        key: &str,
        value: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(async move {
            let clock = &self.0.env.clock;
            let ends = clock.monotonic().saturating_add(deadline);
            loop {
                let instead_of = self.0.state()?.settings().clone();
                let settings = settings::change(&instead_of, &key, &value)?;
                let command = MetaCommand::SetSettings {
                    instead_of,
                    settings,
                };
                let left = ends.saturating_sub(clock.monotonic());
                let decided = self.0.propose_meta(&command, left).await;
                // Others were decided that have not arrived here yet.
                let again = decided == Some(MetaReply::Refused(MetaRefusal::OtherSettings));
                if !again || left <= limits::ASK_AGAIN {
                    return self.0.decided(decided);
                }
                clock.sleep(limits::ASK_AGAIN).await;
            }
        })
    }

    fn replace(
        &self,
        old: &str,
        new: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        let (old, new) = (old.to_owned(), new.to_owned());
        Box::pin(async move {
            let state = self.0.state()?;
            let old = state.find(&old).map_err(AdminError::Invalid)?;
            let new = state.find(&new).map_err(AdminError::Invalid)?;
            let command = MetaCommand::Replace { old, new };
            let decided = self.0.propose_meta(&command, deadline).await;
            self.0.decided(decided)
        })
    }
}
