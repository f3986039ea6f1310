//! What a running node does from time to time: space, snapshots, time, settings, members, leaders.
//!
//! Invariant: every step is small and can be repeated; who leads a group looks after that group, and after
//! nothing else.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use halley_log::{LogError, settings};
use halley_shard::{Command, Time, codec};
use halley_store::GroupId;

use super::{Node, begin::META, held};
use crate::{
    group::Group,
    identity::NodeId,
    limits,
    meta::{Meta, MetaCommand},
    question::{Ask, ProgressForm, Say},
    raft::{Runtime, machine::away},
    rejoin::{self, GroupOutlook, Judgement},
    room::Fill,
    shard::Shard,
};

impl<R: Runtime> Node<R> {
    /// Keeps the node, for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>) {
        let clock = Arc::clone(&self.env.clock);
        let started = clock.monotonic();
        let (mut ticked, mut spread) = (started, started);
        let mut compared = false;
        loop {
            self.look_at_disk().await;
            self.keep_logs().await;
            self.keep_members().await;
            if self.handing_over.load(Ordering::Acquire) {
                for group in self.groups().iter().filter(|group| group.leads()) {
                    self.hand_group_over(group).await;
                }
            }
            let now = clock.monotonic();
            if now >= ticked + limits::TICK_EVERY {
                ticked = now;
                for shard in self.shards().iter().filter(|shard| shard.group.leads()) {
                    self.keep_shard(shard);
                }
                self.keep_table().await;
                if !compared && self.shards().iter().all(|shard| shard.gate().is_open()) {
                    compared = true;
                    self.compare_settings();
                }
            }
            if now >= spread + limits::SPREAD_EVERY {
                spread = now;
                self.spread_leaders().await;
            }
            clock.sleep(limits::KEEP_EVERY).await;
        }
    }

    /// Warns where this node's file seeds settings that the cluster does not have any more (rule 15).
    fn compare_settings(&self) {
        let Some(meta) = self.meta() else { return };
        let cluster = meta.machine.with(|state| settings::list(state.settings()));
        let own = settings::list(&self.config.bootstrap.settings);
        for ((key, cluster), (_, own)) in cluster.iter().zip(&own) {
            if cluster != own {
                tracing::warn!(
                    key,
                    %own,
                    %cluster,
                    "a setting of this node's is not the cluster's, which holds; `halley cluster set` changes it"
                );
            }
        }
    }

    /// Whether proposals may go on.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn proposals_may_go_on(&self) -> Result<(), LogError> {
        if !self.full.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(LogError::Overloaded {
            what: "the disk",
            value: self.free.load(Ordering::Acquire),
            limit: self.config.disk.free_min,
        })
    }

    async fn look_at_disk(&self) {
        let Some(mut room) = held(&self.room).take() else {
            return;
        };
        let was_full = self.full.load(Ordering::Acquire);
        let looking = move || (room.look(was_full), room);
        let (looked, room) = away(self.env.spawn.as_ref(), looking).await;
        *held(&self.room) = Some(room);
        let (fill, space) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                return self.notice("disk", format!("the disk cannot be looked at: {error}"));
            }
        };
        self.free.store(space.available, Ordering::Release);
        let full = fill != Fill::Free;
        self.full.store(full, Ordering::Release);
        let brim = fill == Fill::Brim;
        self.ground.brim.store(brim, Ordering::Release);
        metrics::gauge!("halley_replica_disk_full").set(u8::from(full));
        if !full {
            return self.notice("disk", "");
        }
        self.notice("disk", "the disk is full: proposals have stopped");
        for group in self.groups().iter().filter(|group| group.leads()) {
            self.hand_group_over(group).await;
        }
    }

    /// Bytes of a group's own log after which a snapshot is due: as many as its state has, but not few.
    fn snapshot_due(&self, id: GroupId) -> u64 {
        let shard = self.shards().iter().find(|shard| shard.group.id() == id);
        let state = shard.map(|shard| shard.source.with(|feed| feed.shard().windows().bytes()));
        state.unwrap_or(0).max(self.config.keeping.snapshot_bytes)
    }

    async fn keep_logs(&self) {
        if self.ground.brim.load(Ordering::Acquire) {
            return;
        }
        for shard in self.shards() {
            let due = self.snapshot_due(shard.group.id());
            // A snapshot that does not fit would end the node.
            if !self.full.load(Ordering::Acquire) || 2 * due < self.free.load(Ordering::Acquire) {
                shard.group.keep_log(due).await;
            }
        }
        if let Some(meta) = self.meta() {
            meta.group.keep_log(self.snapshot_due(META)).await;
        }
        if self.full.load(Ordering::Acquire) {
            return;
        }
        for group in self.groups() {
            let state = self.ground.wal.state(group.id());
            // Its own log alone may be as long as makes a snapshot due.
            let own = self.snapshot_due(group.id()) / self.config.keeping.segment_bytes.max(1);
            if state.segments <= limits::PINNED_SEGMENTS_MAX + own {
                continue;
            }
            if state.bytes <= limits::COPY_FORWARD_BYTES_MAX {
                self.ground.wal.copy_forward(group.id());
            } else {
                group.snapshot_if_it_frees().await;
            }
        }
    }

    /// Lets time pass in a shard that this node leads, and brings it the cluster's settings.
    fn keep_shard(&self, shard: &Shard<R>) {
        let now = Time::new(self.env.clock.wall_ms());
        let (due, settings) = shard.source.with(|feed| {
            let state = feed.shard();
            (state.is_due(now), state.settings().clone())
        });
        let wanted = self
            .meta()
            .map(|meta| meta.machine.with(|state| state.settings().clone()));
        let command = match wanted {
            Some(wanted) if wanted != settings => Command::Configure { settings: wanted },
            _ if due => Command::Tick,
            _ => return,
        };
        // Nobody waits for it; it is looked at again.
        let _outcome = shard.packer.push(codec::encode_command(&command));
    }

    /// Moves the members of the groups that this node leads to where the node table wants them.
    async fn keep_members(&self) {
        let Some(meta) = self.meta() else { return };
        let wanted = meta.machine.with(|state| {
            let formed = state.cluster().is_some();
            formed.then(|| (state.voters(), state.learners()))
        });
        let Some((voters, learners)) = wanted else {
            return;
        };
        for group in self.groups().iter().filter(|group| group.leads()) {
            let moved = self.soon(move_members(group, &voters, &learners)).await;
            if let Err(error) = moved.unwrap_or_else(|| Err("no majority answers".into())) {
                tracing::debug!(group = group.name(), %error, "members are not moved yet");
            }
        }
    }

    /// As leader of the cluster's own group: ends changes that every group has reached, and replaces wiped disks.
    async fn keep_table(&self) {
        let Some(meta) = self.meta().filter(|meta| meta.group.leads()) else {
            // Whoever leads now says it.
            self.notice("change", "");
            return self.notice("learner", "");
        };
        let state = meta.machine.with(Meta::clone);
        if let Some(change) = state.change() {
            let (voters, learners) = (state.voters(), state.learners());
            let reached = |group: &Arc<Group<R>>| {
                let standing = group.standing();
                !standing.changing && standing.voters == voters && standing.learners == learners
            };
            if self.groups().iter().all(reached) {
                let number = change.number;
                let done = MetaCommand::ChangeDone { number };
                let _again = self.soon(self.propose_meta_here(done.encode())).await;
            } else {
                self.notice(
                    "change",
                    format!("a membership change is under way: {change}"),
                );
            }
            return;
        }
        self.notice("change", "");
        for candidate in state.learners() {
            let old = rejoin::predecessor(&state, candidate).ok();
            let outlooks = match old {
                Some(old) => self.outlooks(old).await,
                None => Vec::new(),
            };
            let there = old.and_then(|old| self.who_is_at(&state.nodes()[&old].addresses.peer));
            let after = self.config.replace_after;
            match rejoin::judge(&state, candidate, there, &outlooks, after) {
                Judgement::Replace { old } => {
                    tracing::warn!(%old, new = %candidate, "a member without its disk is replaced");
                    let replace = MetaCommand::Replace {
                        old,
                        new: candidate,
                    };
                    let _again = self.soon(self.propose_meta_here(replace.encode())).await;
                    return self.notice("learner", "");
                }
                Judgement::NotYet(why) => self.notice("learner", why),
            }
        }
        if state.learners().is_empty() {
            self.notice("learner", "");
        }
    }

    /// What `step` comes to, unless it takes long: it is tried again, and the disk is looked at meanwhile.
    async fn soon<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = step => Some(result),
            () = self.env.clock.sleep(limits::ASK_MAX) => None,
        }
    }

    /// Who answered at `address` lately.
    fn who_is_at(&self, address: &str) -> Option<NodeId> {
        let now = self.env.clock.monotonic();
        let (node, when) = *held(&self.whereabouts).get(address)?;
        (when + 3 * limits::FIND_EVERY >= now).then_some(node)
    }

    /// All groups as their leaders see them, with an eye on `old`.
    async fn outlooks(&self, old: NodeId) -> Vec<Option<GroupOutlook>> {
        let mut outlooks = Vec::new();
        for group in self.groups() {
            let progress = self.progress_of(&group).await;
            outlooks.push(progress.map(|progress| outlook(&group, &progress, old)));
        }
        outlooks
    }

    /// How far everybody is in `group`, as its leader says.
    pub(super) async fn progress_of(&self, group: &Group<R>) -> Option<ProgressForm> {
        let leader = group.leader()?;
        if leader == self.me() {
            return group.progress();
        }
        let asked = self
            .asker
            .ask(leader, group.id().0, Ask::Progress(()), limits::ASK_MAX);
        match asked.await {
            Ok(Say::Progress(progress)) => Some(progress),
            _ => None,
        }
    }

    /// As leader of the cluster's own group: moves one leadership from a node that has two more than another, if any.
    async fn spread_leaders(&self) {
        let Some(meta) = self.meta().filter(|meta| meta.group.leads()) else {
            return;
        };
        if meta.machine.with(|state| state.change().is_some()) {
            return;
        }
        let voters = meta.machine.with(Meta::voters);
        let led = |node: NodeId| {
            let groups = self.groups();
            let led = groups.iter().filter(|group| group.leader() == Some(node));
            led.count()
        };
        // Only nodes that this one hears are given more.
        let Some(progress) = meta.group.progress() else {
            return;
        };
        let alive = |node: &NodeId| {
            let heard = progress.nodes.iter().find(|known| known.node == node.get());
            *node == self.me()
                || heard.is_some_and(|known| {
                    Duration::from_millis(known.silent_ms) < limits::TICK_EVERY
                        && known.index + limits::KEEP_ENTRIES >= progress.newest
                })
        };
        let most = voters.iter().copied().max_by_key(|node| led(*node));
        let least = voters
            .iter()
            .copied()
            .filter(alive)
            .min_by_key(|node| led(*node));
        let (Some(most), Some(least)) = (most, least) else {
            return;
        };
        if led(most) < led(least) + 2 {
            return;
        }
        if !self.may_lead(least).await {
            return;
        }
        let moved = self
            .shards()
            .iter()
            .find(|shard| shard.group.leader() == Some(most));
        let Some(shard) = moved else { return };
        if most == self.me() {
            let _again = shard.group.transfer(least).await;
        } else {
            let ask = Ask::HandOver(least.get());
            let asked = self
                .asker
                .ask(most, shard.group.id().0, ask, limits::ASK_MAX);
            let _again = asked.await;
        }
    }

    /// Whether `node` answers and takes leaderships over: a started disk that is not admitted, an old or full one, or a
    /// node that goes down may not lead.
    async fn may_lead(&self, node: NodeId) -> bool {
        if node == self.me() {
            let votes = self.voting.load(Ordering::Acquire);
            return votes && self.takes_leaderships().is_ok();
        }
        let asked = self
            .asker
            .ask(node, META.0, Ask::Votes(()), limits::ASK_MIN);
        matches!(asked.await, Ok(Say::Done(())))
    }

    /// Hands a group to whoever has most of it among those that may lead it.
    pub(super) async fn hand_group_over(&self, group: &Group<R>) {
        let mut voters = group.standing().voters;
        while let Some(other) = group.most_current(&voters) {
            if self.may_lead(other).await {
                let _again = group.transfer(other).await;
                return;
            }
            voters.remove(&other);
        }
    }

    /// Hands over whatever this node leads, for at most `deadline`.
    pub(crate) async fn hand_over(&self, deadline: Duration) {
        // Whoever hands over does not take it back, also not after this.
        self.handing_over.store(true, Ordering::Release);
        self.groups().iter().for_each(|group| group.may_not_elect());
        let handing = async {
            loop {
                let groups = self.groups();
                let led: Vec<_> = groups.iter().filter(|group| group.leads()).collect();
                let alone = |group: &&Arc<Group<R>>| group.standing().voters.len() <= 1;
                if led.iter().all(alone) {
                    return;
                }
                for group in led {
                    self.hand_group_over(group).await;
                }
                self.env.clock.sleep(limits::ASK_AGAIN).await;
            }
        };
        tokio::select! {
            biased;
            () = handing => {}
            () = self.env.clock.sleep(deadline) => {}
        }
    }
}

fn outlook<R: Runtime>(group: &Group<R>, progress: &ProgressForm, old: NodeId) -> GroupOutlook {
    let silence = progress.nodes.iter().find(|known| known.node == old.get());
    let (voters, leader) = (group.standing().voters, group.leader());
    let behind = progress.nodes.iter().filter_map(|known| {
        let node = NodeId::new(known.node)?;
        let lacks = known.index + limits::KEEP_ENTRIES < progress.newest;
        // Whoever is not heard cannot be counted on, however current it was.
        let silent = Duration::from_millis(known.silent_ms) >= limits::TICK_EVERY;
        let gone = silent && leader != Some(node);
        ((lacks || gone) && voters.contains(&node)).then_some(node)
    });
    GroupOutlook {
        name: group.name().to_owned(),
        silence: Duration::from_millis(silence.map_or(0, |known| known.silent_ms)),
        behind: behind.collect(),
        idle: !progress.changing,
    }
}

/// One step of a group that this node leads towards `voters` and `learners`.
async fn move_members<R: Runtime>(
    group: &Group<R>,
    voters: &BTreeSet<NodeId>,
    learners: &BTreeSet<NodeId>,
) -> Result<(), String> {
    let standing = group.standing();
    if standing.changing {
        return Ok(());
    }
    let present: BTreeSet<_> = standing.voters.union(&standing.learners).copied().collect();
    let wanted: BTreeSet<_> = voters.union(learners).copied().collect();
    if let Some(missing) = wanted.difference(&present).next() {
        return group.add_learner(*missing).await;
    }
    if standing.voters != *voters {
        let mut incoming = voters.difference(&standing.voters);
        if incoming.all(|node| group.is_current(*node)) {
            return group.change_voters(voters).await;
        }
        return Ok(());
    }
    let leaving: BTreeSet<_> = standing.learners.difference(learners).copied().collect();
    if !leaving.is_empty() {
        return group.remove_learners(leaving).await;
    }
    Ok(())
}
