//! The right to vote, and the announcement of a start.
//!
//! Invariant: a started disk votes only after the others said that they know none newer; a disk that was
//! replaced, or of which a later start is known, does not vote at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use halley_store::{GroupId, Wal};
use openraft::EntryPayload;

use super::{Node, begin::META, held};
use crate::{
    admission::{Admission, Known, LogMark, Verdict},
    identity::{Identity, Incarnation, NodeId},
    limits,
    meta::{About, FIRST_LEVEL, MetaCommand, MetaRefusal, MetaReply},
    question::{Ask, Say, StartForm},
    raft::{Entry, Runtime, log::GroupLog},
};

impl<R: Runtime> Node<R> {
    /// The places of the newest entries of all groups on this disk.
    pub(super) fn log_ends(wal: &Wal) -> BTreeMap<u16, LogMark> {
        let groups = 0..=halley_shard::limits::SHARDS_MAX;
        let ends = groups.filter_map(|group| {
            let log = GroupLog::<R>::new(wal.clone(), GroupId(group));
            let last = log.last().ok().flatten()?;
            let mark = LogMark {
                term: last.leader_id.term,
                index: last.index,
            };
            Some((group, mark))
        });
        ends.collect()
    }

    /// Asks the voters that this disk knows whether they know a newer one; then lets this node vote.
    pub(super) async fn be_admitted(self: Arc<Self>) {
        let incarnation = held(&self.identity).incarnation;
        let clock = Arc::clone(&self.env.clock);
        if incarnation > Incarnation::ZERO.next() {
            let voters = self.voters_to_ask().await;
            let now = clock.monotonic();
            let ends = self.ends.clone();
            let admission = Admission::new(self.me(), incarnation, ends, voters, now);
            let admission = Arc::new(std::sync::Mutex::new(admission));
            loop {
                let now = clock.monotonic();
                let verdict = held(&admission).verdict(now);
                match verdict {
                    Verdict::MayVote => break,
                    Verdict::OldDisk(why) => {
                        metrics::counter!("halley_replica_old_disk_total").increment(1);
                        tracing::error!("{why}");
                        return self.notice("vote", why);
                    }
                    Verdict::Waiting(why) => self.notice("vote", why),
                }
                let due = held(&admission).ask(now);
                for voter in due {
                    let asking = Arc::clone(&self).ask_known(voter, Arc::clone(&admission));
                    self.spawn("admission-question", asking);
                }
                clock.sleep(limits::FORM_EVERY).await;
            }
            self.notice("vote", "");
        }
        self.voting.store(true, Ordering::Release);
        self.groups().iter().for_each(|group| group.may_elect());
    }

    /// The voters that this disk knows. One that knows its cluster and no voter has lost something: it waits for what
    /// the others send it.
    async fn voters_to_ask(&self) -> BTreeSet<NodeId> {
        let meta = self.meta().expect("admission follows opening");
        loop {
            let mut voters = meta.group.voters().await;
            if voters.is_empty() {
                let record = held(&self.identity).formation.clone();
                let founders = record.into_iter().flat_map(|record| record.members);
                voters.extend(founders.map(|(_, id)| id));
            }
            if !voters.is_empty() {
                return voters;
            }
            self.notice("vote", "this disk knows no voter of its cluster yet");
            self.env.clock.sleep(limits::FORM_EVERY).await;
        }
    }

    async fn ask_known(
        self: Arc<Self>,
        voter: NodeId,
        admission: Arc<std::sync::Mutex<Admission>>,
    ) {
        let start = StartForm {
            incarnation: held(&self.identity).incarnation.get(),
            process: self.asker.process().0,
        };
        let asked = self
            .asker
            .ask(voter, 0, Ask::Known(start), limits::ASK_MAX)
            .await;
        let mut admission = held(&admission);
        match asked {
            Ok(Say::Known(form)) => {
                let last = form.last.iter().map(|known| {
                    let mark = LogMark {
                        term: known.term,
                        index: known.index,
                    };
                    (u16::try_from(known.group).unwrap_or(u16::MAX), mark)
                });
                let known = Known {
                    incarnation: form.incarnation.map(Incarnation::new),
                    last: last.collect(),
                };
                admission.answered(voter, &known);
            }
            _ => admission.failed(voter, self.env.clock.monotonic()),
        }
    }

    /// Notes the starts that the cluster's own log on this disk tells of, also those that may not be committed.
    pub(super) fn remember_announcements(&self) {
        let log = GroupLog::<R>::new(self.ground.wal.clone(), META);
        let Ok(entries) = log.kept() else {
            // Raft reads the same, and says what is wrong.
            return;
        };
        for command in entries.iter().filter_map(announced) {
            if let MetaCommand::Announce { node, about } | MetaCommand::Join { node, about } =
                command
            {
                self.asker
                    .memory()
                    .started(node, about.incarnation, about.process);
            }
        }
    }

    /// Has this start written into the node table, and again where this node may not have heard of its replacement.
    pub(super) async fn announce_again(self: Arc<Self>) {
        let clock = Arc::clone(&self.env.clock);
        let meta = self.meta().expect("an announcement follows opening");
        loop {
            Arc::clone(&self).announce().await;
            while !meta.machine.with(|state| state.is_retired(self.me())) {
                clock.sleep(limits::TICK_EVERY).await;
            }
            // Until every group has somebody in its place.
            clock.sleep(limits::RETIRE_AFTER).await;
            self.say_start().await;
        }
    }

    /// Has this start written into the node table.
    async fn announce(self: Arc<Self>) {
        let meta = self.meta().expect("an announcement follows opening");
        loop {
            let row = meta.machine.with(|state| state.node(self.me()).cloned());
            if row.is_some_and(|row| row.process == self.asker.process()) {
                return self.notice("membership", "");
            }
            self.say_start().await;
            self.env.clock.sleep(limits::KEEP_EVERY).await;
        }
    }

    async fn say_start(&self) {
        let node = self.me();
        let about = About {
            name: self.config.name.clone(),
            addresses: self.config.addresses.clone(),
            incarnation: held(&self.identity).incarnation,
            process: self.asker.process(),
            level: FIRST_LEVEL,
        };
        let meta = self.meta().expect("an announcement follows opening");
        let is_known = meta.machine.with(|state| state.node(node).is_some());
        let command = if is_known {
            MetaCommand::Announce { node, about }
        } else {
            MetaCommand::Join { node, about }
        };
        match self.propose_meta(&command, limits::ASK_MAX).await {
            Some(MetaReply::Refused(refusal)) => self.announcement_refused(&refusal).await,
            Some(MetaReply::Done) | None => {}
        }
    }

    async fn announcement_refused(&self, refusal: &MetaRefusal) {
        self.notice("membership", refusal.to_string());
        match refusal {
            MetaRefusal::OldIncarnation { node, .. } if *node == self.me() => {
                self.voting.store(false, Ordering::Release);
                self.groups().iter().for_each(|group| group.may_not_elect());
            }
            MetaRefusal::Retired { node } if *node == self.me() => {
                // Noted on the disk: it is put aside at the next start, which begins a new node.
                let identity = held(&self.identity).clone();
                self.save(Identity {
                    retired: true,
                    ..identity
                })
                .await;
                (self.ground.fatal)(refusal.to_string());
            }
            _ => {}
        }
    }
}

fn announced(entry: &Entry) -> Option<MetaCommand> {
    match &entry.payload {
        EntryPayload::Normal(payload) => MetaCommand::decode(&payload.0).ok(),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}
