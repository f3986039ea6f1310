//! Commands and questions on their way to a shard's leader, wherever it is.
//!
//! Invariant: every attempt sends the same bytes; hops are bounded, waiting is bounded by the deadline.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use halley_log::{
    LogError,
    route::{Action, Outcome, Route, Target},
};
use halley_shard::{Reply, Revision, ShardId};

use super::Node;
use crate::{
    group::Unanswered,
    identity::NodeId,
    limits,
    meta::Meta,
    packer,
    question::{Ask, Say},
    raft::Runtime,
    shard::Shard,
};

impl<R: Runtime> Node<R> {
    /// The nodes that a shard's command may be sent to, this one among them.
    fn targets(&self, shard: &Shard<R>) -> Arc<[NodeId]> {
        let mut voters = shard.group.known_voters();
        if voters.is_empty() {
            // The group has just begun; its first voters are the cluster's.
            let of_cluster = self.meta().map(|meta| meta.machine.with(Meta::voters));
            voters = of_cluster.into_iter().flatten().collect();
        }
        if voters.contains(&self.me()) {
            return voters;
        }
        voters.iter().copied().chain([self.me()]).collect()
    }

    /// Has `command` ordered and applied by the shard's leader.
    ///
    /// # Errors
    /// [`LogError`]
    pub(crate) async fn submit(
        &self,
        id: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> Result<Reply, LogError> {
        let clock = &self.env.clock;
        let ends = clock.monotonic().saturating_add(deadline);
        let shard = self.formed_shard(id, deadline).await?;
        let targets = self.targets(&shard);
        let place = |node: NodeId| {
            targets
                .iter()
                .position(|target| *target == node)
                .map(Target)
        };
        let mut known = shard.group.leader();
        let first = known.and_then(place).or_else(|| place(self.me()));
        let now = clock.monotonic();
        let mut route = Route::new(
            id,
            targets.len(),
            first.unwrap_or(Target(0)),
            now,
            ends.saturating_sub(now),
        );
        // Nobody is tried twice on another's word before a wait: hints may be older than what they speak of.
        let mut tried: Vec<Target> = Vec::new();
        loop {
            match route.action(clock.monotonic()) {
                Action::Done(result) => return result,
                Action::SleepUntil(until) => {
                    let left = until.saturating_sub(clock.monotonic());
                    tokio::select! {
                        biased;
                        leader = shard.group.leader_changed(known) => {
                            known = leader;
                        }
                        () = clock.sleep(left) => {}
                    }
                    tried.clear();
                    if clock.monotonic() < ends
                        && let Some(target) = known.and_then(place)
                    {
                        route.lead(target);
                    }
                }
                Action::Try { target, patience } => {
                    tried.push(target);
                    let attempt = self.attempt(&shard, targets[target.0], command.clone());
                    let (outcome, lead) = tokio::select! {
                        biased;
                        outcome = attempt => (judged(outcome, place, &tried), None),
                        leader = newer(&shard, known, targets[target.0]) => {
                            known = Some(leader);
                            tried.clear();
                            (Outcome::NoAnswer, place(leader))
                        }
                        () = clock.sleep(patience) => (Outcome::NoAnswer, None),
                    };
                    route.outcome(outcome, clock.monotonic(), self.env.rng.as_ref());
                    if let Some(target) = lead {
                        route.lead(target);
                    }
                }
            }
        }
    }

    /// One attempt at one node; `None` when nothing was sent.
    async fn attempt(
        &self,
        shard: &Arc<Shard<R>>,
        to: NodeId,
        command: Bytes,
    ) -> Option<packer::Outcome> {
        let outcome = if to == self.me() {
            if !shard.group.leads() {
                let leader = shard.group.leader();
                return Some(packer::Outcome::Unanswered(Unanswered::Elsewhere(leader)));
            }
            match shard.packer.push(command) {
                Ok(outcome) => outcome,
                Err(error) => return Some(packer::Outcome::Failed(error)),
            }
        } else {
            match self.submitter.send(to, shard.group.id().0, command) {
                Ok(outcome) => outcome,
                Err(None) => return None,
                Err(Some(error)) => return Some(packer::Outcome::Failed(error)),
            }
        };
        let unknown = packer::Outcome::Unanswered(Unanswered::Unknown);
        Some(outcome.await.unwrap_or(unknown))
    }

    /// The leader's committed revision, asked for now.
    ///
    /// # Errors
    /// [`LogError`]
    pub(crate) async fn barrier(
        &self,
        id: ShardId,
        deadline: Duration,
    ) -> Result<Revision, LogError> {
        let shard = self.formed_shard(id, deadline).await?;
        let asking = async {
            loop {
                let leader = shard.group.leader();
                let asked = match leader {
                    Some(leader) => self.barrier_at(&shard, leader).await,
                    None => None,
                };
                if let Some(revision) = asked {
                    return revision;
                }
                tokio::select! {
                    biased;
                    _ = shard.group.leader_changed(leader) => {}
                    () = self.env.clock.sleep(limits::ASK_AGAIN) => {}
                }
            }
        };
        tokio::select! {
            biased;
            revision = asking => Ok(revision),
            () = self.env.clock.sleep(deadline) => Err(LogError::NoLeader { shard: id }),
        }
    }

    async fn barrier_at(&self, shard: &Shard<R>, leader: NodeId) -> Option<Revision> {
        if leader == self.me() {
            return shard.barrier().await.ok();
        }
        let group = shard.group.id().0;
        let asked = self
            .asker
            .ask(leader, group, Ask::Barrier(()), limits::ASK_MAX);
        match asked.await {
            Ok(Say::Revision(revision)) => Some(Revision::new(revision)),
            _ => None,
        }
    }
}

/// What an attempt came to, for the route.
fn judged(
    outcome: Option<packer::Outcome>,
    place: impl Fn(NodeId) -> Option<Target>,
    tried: &[Target],
) -> Outcome {
    match outcome {
        None => Outcome::NotReached,
        Some(packer::Outcome::Reply(reply)) => Outcome::Reply(reply),
        Some(packer::Outcome::Failed(error)) => Outcome::Failed(error),
        Some(packer::Outcome::Unanswered(Unanswered::Unknown)) => Outcome::NoAnswer,
        Some(packer::Outcome::Unanswered(Unanswered::Elsewhere(leader))) => {
            let leader = leader.and_then(place);
            Outcome::Elsewhere(leader.filter(|leader| !tried.contains(leader)))
        }
    }
}

/// Completes when somebody other than `tried` is heard to lead.
async fn newer<R: Runtime>(shard: &Shard<R>, known: Option<NodeId>, tried: NodeId) -> NodeId {
    let mut known = known;
    loop {
        known = shard.group.leader_changed(known).await;
        if let Some(leader) = known.filter(|leader| *leader != tried) {
            return leader;
        }
    }
}
