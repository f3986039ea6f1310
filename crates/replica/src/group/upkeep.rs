//! What a group needs done from time to time: snapshots, purging, membership; and what is told of it.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{ChangeMembers, EmptyNode, Instant as _, async_runtime::WatchReceiver as _};

use super::Group;
use crate::{
    identity::NodeId,
    limits,
    question::{NodeProgress, ProgressForm},
    raft::{Runtime, Types},
};

/// Who is in a group, as this node's log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Those that vote, of both halves of a change under way.
    pub(crate) voters: BTreeSet<NodeId>,
    /// Those that only learn.
    pub(crate) learners: BTreeSet<NodeId>,
    /// A change is under way: joint, or not committed yet.
    pub(crate) changing: bool,
}

/// What is told of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) term: u64,
    pub(crate) newest: u64,
    pub(crate) committed: u64,
    pub(crate) applied: u64,
}

impl<R: Runtime> Group<R> {
    /// Who is in the group.
    pub(crate) fn standing(&self) -> Standing {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let effective = &metrics.membership_config;
        let membership = effective.membership();
        Standing {
            voters: membership.voter_ids().filter_map(NodeId::new).collect(),
            learners: membership.learner_ids().filter_map(NodeId::new).collect(),
            changing: membership.get_joint_config().len() > 1
                || effective != &metrics.committed_membership_config,
        }
    }

    /// Who votes, asked of Raft itself: what it tells everybody begins empty and follows a little later.
    pub(crate) async fn voters(&self) -> BTreeSet<NodeId> {
        let read = |state: &openraft::RaftState<Types<R>>| {
            let effective = state.membership_state.effective();
            effective.voter_ids().filter_map(NodeId::new).collect()
        };
        let asked = self.within(self.raft.with_raft_state(read)).await;
        asked.unwrap_or_default()
    }

    /// Where the group stands.
    pub(crate) fn told(&self) -> Told {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<crate::raft::LogId>| id.map_or(0, |id| id.index);
        Told {
            term: metrics.current_term,
            newest: metrics.last_log_index.unwrap_or(0),
            committed: index(&metrics.local_committed),
            applied: index(&metrics.last_applied),
        }
    }

    /// How far each node is, as the leader knows; `None` where this node does not lead.
    pub(crate) fn progress(&self) -> Option<ProgressForm> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let newest = metrics.last_log_index.unwrap_or(0);
        let led = self.leadership.led_for(self.ground.env.clock.as_ref());
        let heard = metrics.heartbeat.as_ref();
        let silence = |node: &u64| {
            let heard = heard.and_then(|heard| heard.get(node).cloned().flatten());
            let silent = heard.map_or(led, |heard| heard.elapsed().min(led));
            u64::try_from(silent.as_millis()).unwrap_or(u64::MAX)
        };
        let nodes = replication.iter().map(|(node, matched)| NodeProgress {
            node: *node,
            index: matched.map_or(0, |matched| matched.index),
            silent_ms: silence(node),
        });
        Some(ProgressForm {
            newest,
            nodes: nodes.collect(),
            changing: self.standing().changing,
        })
    }

    /// Whether `node` has about all that this leader has.
    pub(crate) fn is_current(&self, node: NodeId) -> bool {
        let Some(progress) = self.progress() else {
            return false;
        };
        let found = progress.nodes.iter().find(|known| known.node == node.get());
        found.is_some_and(|known| known.index + limits::KEEP_ENTRIES >= progress.newest)
    }

    /// Takes `node` in as a learner. Answers at once; it catches up later.
    pub(crate) async fn add_learner(&self, node: NodeId) -> Result<(), String> {
        let raft = self.raft.clone();
        self.within(async move { raft.add_learner(node.get(), EmptyNode {}, false).await })
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Makes exactly `voters` vote; those that no longer do leave.
    pub(crate) async fn change_voters(&self, voters: &BTreeSet<NodeId>) -> Result<(), String> {
        let voters = voters.iter().map(|node| node.get()).collect();
        let change = ChangeMembers::<u64, EmptyNode>::ReplaceAllVoters(voters);
        let raft = self.raft.clone();
        self.within(async move { raft.change_membership(change, false).await })
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Drops learners that are no longer wanted.
    pub(crate) async fn remove_learners(&self, nodes: BTreeSet<NodeId>) -> Result<(), String> {
        let nodes = nodes.into_iter().map(|node| node.get()).collect();
        let change = ChangeMembers::<u64, EmptyNode>::RemoveNodes(nodes);
        let raft = self.raft.clone();
        self.within(async move { raft.change_membership(change, false).await })
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Whoever of these has most of this leader's log: whom to hand over to.
    pub(crate) fn most_current(&self, among: &BTreeSet<NodeId>) -> Option<NodeId> {
        let progress = self.progress()?;
        let known: BTreeMap<u64, u64> = progress
            .nodes
            .iter()
            .map(|node| (node.node, node.index))
            .collect();
        let candidates = among.iter().filter(|node| **node != self.ground.me);
        candidates
            .max_by_key(|node| known.get(&node.get()).copied().unwrap_or(0))
            .copied()
    }

    /// Snapshots and purges what is due: a group by its own log, so that a trickle never forces a large one.
    /// A snapshot is due after `due_bytes` of the group's own log.
    pub(crate) async fn keep_log(&self, due_bytes: u64) {
        let (snapshot, purged, applied) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.snapshot, metrics.purged, metrics.last_applied)
        };
        let raft = self.raft.clone();
        let state = self.ground.wal.state(self.id);
        if let Some(snapshot) = snapshot
            && let Some(upto) = snapshot.index.checked_sub(kept_entries(&state))
            && purged.is_none_or(|purged| purged.index < upto)
            && applied.is_some_and(|applied| applied.index >= snapshot.index)
        {
            let _ended = self
                .within(async move { raft.trigger().purge_log(upto).await })
                .await;
            return;
        }
        let bytes = state.bytes;
        let kept = {
            let mut kept = self.kept.lock().expect("nobody panics holding it");
            let index = snapshot.map_or(0, |snapshot| snapshot.index);
            if kept.0 != index {
                *kept = (index, bytes);
            }
            kept.1
        };
        let due = bytes.saturating_sub(kept) > due_bytes;
        let newer = applied.map(|id| id.index) > snapshot.map(|id| id.index);
        if due && newer {
            let _ended = self
                .within(async move { raft.trigger().snapshot().await })
                .await;
        }
    }

    /// Snapshots what was applied, where that lets entries go.
    pub(crate) async fn snapshot_if_it_frees(&self) {
        let kept = kept_entries(&self.ground.wal.state(self.id));
        let (snapshot, applied) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.snapshot, metrics.last_applied)
        };
        let snapshot = snapshot.map_or(0, |snapshot| snapshot.index);
        if applied.is_none_or(|applied| applied.index <= snapshot + kept) {
            return;
        }
        let raft = self.raft.clone();
        let _ended = self
            .within(async move { raft.trigger().snapshot().await })
            .await;
    }
}

/// Entries kept behind a snapshot for followers that lag: fewer where they are large.
fn kept_entries(state: &halley_store::GroupState) -> u64 {
    let average = state.bytes / (state.next - state.first).max(1);
    let by_bytes = limits::KEEP_BYTES / average.max(1);
    by_bytes.clamp(1, limits::KEEP_ENTRIES)
}
