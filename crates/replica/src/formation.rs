//! How a cluster begins: a state machine without sockets, clocks or disks.
//!
//! Every node knows the same list of names. Empty nodes greet each other with (name, id, hash of list, shard
//! count and settings). Once the node of the lowest id has lately heard all listed names, all empty and of its own
//! hash, it draws a [`FormationRecord`], stores it, and only then offers it to the others, which store it too. A
//! greeting carries the record that lies on the disk of who sends it.
//!
//! **Safety.** A disk holds one record in its life. A node lets the cluster of record R begin (`Attend`,
//! `Initialise`) only while it holds R, and after it has heard of every member of R, by name and id, that it holds R,
//! or of one of them that R's cluster has begun. So every disk that R names held R before anything began. If another
//! record of the same names had begun too, every one of its disks would have held it: all disks of R would have
//! to be others than all disks of R'. A name has one living disk, hence no two of them live at one time: a
//! second cluster begins only where no disk of the first is left.
//!
//! **Liveness.** "All hold R" stays true, however long ago each was heard; so it is no matter who finds out. The
//! proposer begins at once and the others open the cluster's group and wait for it ([`START_GRACE`]); when
//! nothing comes they begin too: all begin with the same membership, which Raft takes for one beginning. A record
//! that names a lost disk can never be held by all: such a formation stops, says so, and is reset by hand.
//!
//! A node that is not listed, or finds a cluster while it is empty, joins.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use halley_shard::{ClusterId, ShardCount};

use crate::{Bootstrap, identity::NodeId};

mod greeting;
mod hearing;
mod judge;
mod record;

pub(crate) use greeting::{BootstrapHash, Greeting, Hello};
pub(crate) use record::{FormationRecord, RecordForm};

use hearing::Hearing;

/// Addresses are asked this often.
pub(crate) const GREET_EVERY: Duration = Duration::from_millis(250);
/// A record is offered this often to who has not stored it.
pub(crate) const OFFER_EVERY: Duration = Duration::from_millis(500);
/// People are told this often what is waited for.
pub(crate) const SAY_EVERY: Duration = Duration::from_secs(5);
/// An address that says nothing for this long after the start is not waited for when everybody else is there.
pub(crate) const SEARCH: Duration = Duration::from_secs(5);
/// How long others wait for the proposer to begin.
pub(crate) const START_GRACE: Duration = Duration::from_secs(5);

/// This node when it starts.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Its name.
    pub(crate) name: String,
    /// Its id, already on its disk.
    pub(crate) node: NodeId,
    /// The cluster whose log is on its disk.
    pub(crate) cluster: Option<ClusterId>,
    /// The record on its disk.
    pub(crate) record: Option<FormationRecord>,
    /// Whether there is any log on its disk.
    pub(crate) has_data: bool,
    /// Drawn at random at this start: the cluster's id if this node draws the record.
    pub(crate) draw: ClusterId,
}

/// What the machine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask all addresses (a [`Hello`] without an offer) and hand every answer to [`Formation::heard`].
    Greet,
    /// Write the record to the disk, then call [`Formation::stored`]. A write that fails ends the process.
    Store(FormationRecord),
    /// Ask `to` with this record as an offer, and hand the answer to [`Formation::heard`].
    Offer {
        /// The address.
        to: String,
        /// The record.
        record: FormationRecord,
    },
    /// Open the cluster's own group without a membership: it votes and takes entries.
    Attend(FormationRecord),
    /// Open the cluster's own group and begin it with exactly these members as voters. Where it has begun, this
    /// changes nothing.
    Initialise(FormationRecord),
    /// Write this cluster to the identity file and join it as a learner; then call [`Formation::settled`].
    Join(ClusterId),
    /// Tell people.
    Say(String),
    /// End the process with this message: a person must act.
    Stop(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is on the disk.
    Seeking,
    /// A record is being written.
    Storing(FormationRecord),
    /// The record is on the disk.
    Holding(FormationRecord),
    /// The group is open and waits for who begins it.
    Attending(FormationRecord, Duration),
    /// This node begins it.
    Initialising,
    /// A cluster was found.
    Joining,
    /// The cluster's log is on the disk.
    Settled,
    /// A person must act.
    Stopped,
}

/// The machine. After every call that changes something, and at least every 100 ms, [`Formation::poll`] says what is to
/// be done. Times are of [`halley_env::Clock::monotonic`].
#[derive(Clone, Debug)]
pub(crate) struct Formation {
    own: Own,
    /// Listed names, sorted.
    members: Vec<String>,
    shards: ShardCount,
    hash: Option<BootstrapHash>,
    phase: Phase,
    /// Something that no later message can mend.
    conflict: Option<String>,
    hearing: Hearing,
    /// Clusters that others belong to, and who said so.
    clusters: BTreeMap<ClusterId, String>,
    /// Members that were heard to hold our record.
    holders: BTreeSet<NodeId>,
    /// Addresses that have not answered yet.
    unanswered: BTreeSet<String>,
    started: Duration,
    next_greet: Duration,
    next_offer: Duration,
    next_say: Duration,
    actions: VecDeque<Action>,
}

impl Formation {
    /// The machine of `own`, which was told `bootstrap` and may find others at `addresses`.
    #[must_use]
    pub(crate) fn new(
        own: Own,
        bootstrap: &Bootstrap,
        addresses: &[String],
        now: Duration,
    ) -> Self {
        let mut members = bootstrap.members.clone();
        members.sort_unstable();
        let conflict = judge::at_start(&own, &members, bootstrap.shards);
        let phase = match (&own.cluster, &own.record) {
            (Some(_), _) => Phase::Settled,
            (None, Some(record)) => Phase::Holding(record.clone()),
            (None, None) => Phase::Seeking,
        };
        Self {
            members,
            shards: bootstrap.shards,
            hash: BootstrapHash::of(bootstrap),
            phase,
            conflict,
            hearing: Hearing::default(),
            clusters: BTreeMap::new(),
            holders: BTreeSet::new(),
            unanswered: addresses.iter().cloned().collect(),
            started: now,
            next_greet: now,
            next_offer: now,
            next_say: now + SAY_EVERY,
            actions: VecDeque::new(),
            own,
        }
    }

    /// What this node says of itself: the answer to a [`Hello`], once what [`Formation::poll`] asked for after it
    /// is done.
    #[must_use]
    pub(crate) fn greeting(&self) -> Greeting {
        let idle = matches!(self.phase, Phase::Seeking | Phase::Joining | Phase::Stopped);
        Greeting {
            name: self.own.name.clone(),
            node: self.own.node,
            hash: self.hash,
            empty: idle && self.own.record.is_none() && !self.own.has_data,
            record: self.own.record.clone(),
            cluster: self.own.cluster,
        }
    }

    /// Takes a greeting: of a question, or as the answer of the address `from`; this node's own answer too.
    pub(crate) fn heard(&mut self, from: Option<&str>, greeting: &Greeting, now: Duration) {
        if let Some(address) = from {
            self.unanswered.remove(address);
        }
        if greeting.node == self.own.node || self.phase == Phase::Settled {
            return;
        }
        if let Some(cluster) = greeting.cluster {
            let who = format!("{} ({})", greeting.name, greeting.node);
            self.clusters.insert(cluster, who);
        }
        let listed = self.members.binary_search(&greeting.name).is_ok();
        let member = self
            .record()
            .is_some_and(|record| record.id_of(&greeting.name).is_some());
        if listed || member || greeting.name == self.own.name {
            self.hearing.note(from, greeting, now);
        }
        if let Some(record) = &self.own.record
            && record.names(&greeting.name, greeting.node)
            && greeting.record.as_ref() == Some(record)
        {
            self.holders.insert(greeting.node);
        }
        if self.conflict.is_none() {
            self.conflict = judge::greeting(self, greeting);
        }
    }

    /// Takes an offer that came with `from`'s greeting. When it is taken, the next [`Formation::poll`] asks to store it.
    ///
    /// # Errors
    /// Why not, for people; the answer, this node's greeting, shows that it does not hold it.
    pub(crate) fn offered(
        &mut self,
        from: &Greeting,
        record: &FormationRecord,
        now: Duration,
    ) -> Result<(), String> {
        self.heard(None, from, now);
        match &self.phase {
            Phase::Seeking => {}
            Phase::Storing(held) | Phase::Holding(held) | Phase::Attending(held, _)
                if held == record =>
            {
                return Ok(());
            }
            _ => return Err("this node is not empty any more".into()),
        }
        if let Some(conflict) = &self.conflict {
            return Err(conflict.clone());
        }
        judge::offer(self, from, record, now)?;
        self.store(record.clone());
        Ok(())
    }

    /// Whether a record is being written.
    pub(crate) fn is_storing(&self) -> bool {
        matches!(self.phase, Phase::Storing(_))
    }

    /// The record is on the disk.
    pub(crate) fn stored(&mut self, now: Duration) {
        if let Phase::Storing(record) = &self.phase {
            self.own.record = Some(record.clone());
            self.phase = Phase::Holding(record.clone());
            self.next_offer = now;
        }
    }

    /// The cluster's log has its first entry on this disk, or the identity file names the cluster: the rest is Raft's.
    pub(crate) fn settled(&mut self, cluster: ClusterId) {
        self.own.cluster = Some(cluster);
        self.phase = Phase::Settled;
    }

    /// What is to be done now, in this order.
    pub(crate) fn poll(&mut self, now: Duration) -> Vec<Action> {
        match self.phase.clone() {
            Phase::Seeking => self.seek(now),
            Phase::Holding(record) => self.hold(&record, now),
            Phase::Attending(record, since) => {
                if self.all_hold(&record) && now >= since + START_GRACE {
                    self.phase = Phase::Initialising;
                    self.actions.push_back(Action::Initialise(record));
                }
            }
            Phase::Storing(_)
            | Phase::Initialising
            | Phase::Joining
            | Phase::Settled
            | Phase::Stopped => {}
        }
        self.talk(now);
        self.actions.drain(..).collect()
    }

    /// What is waited for, for people; `None` once it is over.
    #[must_use]
    pub(crate) fn waiting(&self, now: Duration) -> Option<String> {
        judge::waiting(self, now)
    }

    fn record(&self) -> Option<&FormationRecord> {
        match &self.phase {
            Phase::Storing(record) => Some(record),
            _ => self.own.record.as_ref(),
        }
    }

    fn listed(&self) -> bool {
        self.members.binary_search(&self.own.name).is_ok()
    }

    fn all_hold(&self, record: &FormationRecord) -> bool {
        let others = record.members.iter().filter(|(_, id)| *id != self.own.node);
        others.into_iter().all(|(_, id)| self.holders.contains(id))
    }

    fn store(&mut self, record: FormationRecord) {
        self.phase = Phase::Storing(record.clone());
        self.actions.push_back(Action::Store(record));
    }

    fn stop(&mut self, why: String) {
        self.phase = Phase::Stopped;
        self.actions.push_back(Action::Stop(why));
    }

    /// Nothing is on the disk: join what there is, or draw a record when it is on this node to do so.
    fn seek(&mut self, now: Duration) {
        if let Some(why) = self.conflict.clone().or_else(|| judge::seeking(self)) {
            return self.stop(why);
        }
        if let Some(cluster) = self.clusters.keys().next() {
            self.actions.push_back(Action::Join(*cluster));
            self.phase = Phase::Joining;
            return;
        }
        let searched = self.unanswered.is_empty() || now >= self.started + SEARCH;
        if !self.listed() || !searched {
            return;
        }
        if let Some(members) = judge::founders(self, now) {
            let lowest = members.iter().map(|(_, id)| *id).min();
            if lowest == Some(self.own.node) {
                self.store(FormationRecord {
                    cluster: self.own.draw,
                    shards: self.shards,
                    members,
                    proposer: self.own.node,
                });
            }
        }
    }

    /// The record is on the disk: begin when all hold it.
    fn hold(&mut self, record: &FormationRecord, now: Duration) {
        if self.all_hold(record) && record.proposer == self.own.node {
            self.phase = Phase::Initialising;
            self.actions.push_back(Action::Initialise(record.clone()));
            return;
        }
        if self.all_hold(record) || self.clusters.contains_key(&record.cluster) {
            self.phase = Phase::Attending(record.clone(), now);
            self.actions.push_back(Action::Attend(record.clone()));
            return;
        }
        let conflict = self.conflict.clone();
        if let Some(why) = conflict.or_else(|| judge::holding(self, record, now)) {
            return self.stop(why);
        }
        if record.proposer == self.own.node && now >= self.next_offer {
            self.next_offer = now + OFFER_EVERY;
            self.offer(record);
        }
    }

    fn offer(&mut self, record: &FormationRecord) {
        let lacking = record
            .members
            .iter()
            .filter(|(_, id)| !self.holders.contains(id));
        let addresses =
            lacking.filter_map(|(name, id)| self.hearing.of(name, *id)?.address.clone());
        let offers: Vec<_> = addresses
            .map(|to| Action::Offer {
                to,
                record: record.clone(),
            })
            .collect();
        self.actions.extend(offers);
    }

    /// Greets, and tells people what is waited for.
    fn talk(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Settled | Phase::Stopped | Phase::Joining) {
            return;
        }
        if now >= self.next_greet {
            self.next_greet = now + GREET_EVERY;
            self.actions.push_back(Action::Greet);
        }
        if now >= self.next_say {
            self.next_say = now + SAY_EVERY;
            if let Some(text) = self.waiting(now) {
                self.actions.push_back(Action::Say(text));
            }
        }
    }
}

#[cfg(test)]
mod tests;
