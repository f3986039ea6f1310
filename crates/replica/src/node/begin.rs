//! A node's first steps: the disk, the cluster, the groups, the right to vote, the readers.
//!
//! Invariant: a disk that is damaged is never used and never deleted; the incarnation is on the disk before
//! anything is said to others; readers come in last.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use halley_env::{Disk, Env};
use halley_log::Cluster;
use halley_shard::{ClusterId, Revision};
use halley_store::{Catalogue, GroupId, Noting, OpenError, Rebuilt, Snapshots, Wal, WalConfig};

use super::{Node, Opened, held};
use crate::{
    Fatal, ReplicaConfig, StartError,
    formation::{Action, Formation, FormationRecord, Greeting, Hello, Own},
    group::{Ground, Group},
    identity::{Identity, IdentityError, NodeId},
    limits,
    meta::{Meta, MetaCommand, MetaReply},
    meta_machine::{MetaMachine, MetaPart},
    question::{Ask, Say},
    raft::{Runtime, machine::away},
    room::DataRoom,
    shard::Shard,
};

/// The cluster's own group.
pub(crate) const META: GroupId = GroupId(0);

/// Opens what lies in the node's directory; damaged, it is put aside and the node begins as a new one.
///
/// # Errors
/// [`StartError`]
pub(crate) async fn open(
    config: &ReplicaConfig,
    env: &Env,
    disk: &Arc<dyn Disk>,
    fatal: &Fatal,
) -> Result<Opened, StartError> {
    let (config, env2, disk, fatal) = (
        config.clone(),
        env.clone(),
        Arc::clone(disk),
        Arc::clone(fatal),
    );
    away(env.spawn.as_ref(), move || {
        opened(&config, &env2, &disk, &fatal)
    })
    .await
}

fn opened(
    config: &ReplicaConfig,
    env: &Env,
    disk: &Arc<dyn Disk>,
    fatal: &Fatal,
) -> Result<Opened, StartError> {
    let (room, lock) = DataRoom::open(Arc::clone(disk), &config.data, config.disk)?;
    let mut founds = !room.was_set_aside()?;
    for _ in 0..2 {
        match try_open(config, env, disk, fatal, &room.node())? {
            Ok((identity, wal, snapshots)) => {
                return Ok(Opened {
                    founds,
                    identity,
                    directory: room.node(),
                    wal,
                    snapshots,
                    room,
                    lock,
                });
            }
            Err(damage) => {
                let aside = room.set_aside()?;
                founds = false;
                metrics::counter!("halley_replica_disks_set_aside_total").increment(1);
                tracing::error!(
                    %damage,
                    aside = %aside.display(),
                    "this node's disk is damaged; it was put aside, and the node begins as a new one"
                );
            }
        }
    }
    Err(StartError::Identity(
        "a new directory is damaged, too".into(),
    ))
}

type Found = (Identity, Wal, Snapshots);

/// What lies in `directory`; the inner error is damage.
fn try_open(
    config: &ReplicaConfig,
    env: &Env,
    disk: &Arc<dyn Disk>,
    fatal: &Fatal,
    directory: &Path,
) -> Result<Result<Found, String>, StartError> {
    let identity = match Identity::load(disk.as_ref(), directory) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            let log = disk.list(directory)?.contains(&PathBuf::from("log"));
            if log {
                return Ok(Err("there is a log, and no identity".into()));
            }
            Identity::new(NodeId::draw(env.rng.as_ref()), config.name.clone())
        }
        Err(IdentityError::Io(error)) => return Err(error.into()),
        Err(error @ IdentityError::Version { .. }) => {
            return Err(StartError::Identity(error.to_string()));
        }
        Err(error @ IdentityError::Damaged { .. }) => return Ok(Err(error.to_string())),
    };
    if identity.retired {
        return Ok(Err("this disk's node was replaced".into()));
    }
    let log = directory.join("log");
    let began = identity.cluster.is_some() || identity.formation.is_some();
    if began && !Wal::is_there(disk.as_ref(), &log)? {
        return Ok(Err("there is an identity, and no log".into()));
    }
    if identity.cluster.is_some() && identity.name != config.name {
        return Err(StartError::Identity(format!(
            "{} belongs to the node {}, and this one is called {}",
            directory.display(),
            identity.name,
            config.name
        )));
    }
    // Before the log: a log without an identity is a damaged disk, wherever a first start was cut short.
    let identity = identity.started();
    let identity = Identity {
        name: config.name.clone(),
        ..identity
    };
    identity.save(disk.as_ref(), directory)?;
    let failed = Arc::clone(fatal);
    let wal = Wal::open(
        Arc::clone(disk),
        env.spawn.as_ref(),
        WalConfig {
            directory: log,
            segment_bytes: config.keeping.segment_bytes,
            cache_bytes: limits::CACHE_BYTES,
        },
        Box::new(move |error| failed(format!("the log failed: {error}"))),
    );
    let wal = match wal {
        Ok(wal) => wal,
        Err(error @ OpenError::Corrupt { .. }) => return Ok(Err(error.to_string())),
        Err(OpenError::Io(error)) => return Err(error.into()),
    };
    let snapshots = Snapshots::open(Arc::clone(disk), directory.join("snapshots"))?;
    let snapshots = if config.catalogue {
        catalogued(snapshots, directory, env)
    } else {
        snapshots
    };
    if let Some(group) = hole(&wal, &snapshots) {
        return Ok(Err(format!(
            "the log of group {group} begins after its newest whole snapshot"
        )));
    }
    Ok(Ok((identity, wal, snapshots)))
}

/// `snapshots` with a catalogue, which is made anew when it does not open.
fn catalogued(snapshots: Snapshots, directory: &Path, env: &Env) -> Snapshots {
    let (catalogue, rebuilt) = Catalogue::open(&directory.join("catalogue"));
    if rebuilt != Rebuilt::No {
        tracing::warn!(?rebuilt, "the catalogue was made anew");
    }
    snapshots.noting(Noting {
        catalogue: Arc::new(catalogue),
        clock: Arc::clone(&env.clock),
    })
}

/// A group whose log was purged beyond what its snapshots hold.
fn hole(wal: &Wal, snapshots: &Snapshots) -> Option<u16> {
    let groups = 0..=halley_shard::limits::SHARDS_MAX;
    groups.into_iter().find(|group| {
        let state = wal.state(GroupId(*group));
        let newest = snapshots.newest(GroupId(*group)).map(|file| file.index);
        state.purged.is_some() && newest.is_none_or(|newest| newest + 1 < state.first)
    })
}

impl<R: Runtime> Node<R> {
    /// A disk that was put aside founds no cluster: who lost a majority of its disks would begin an empty one.
    pub(super) fn formation(
        config: &ReplicaConfig,
        identity: &Identity,
        ground: &Ground,
        founds: bool,
    ) -> Formation {
        let env = &ground.env;
        let mut bootstrap = config.bootstrap.clone();
        if !founds && identity.formation.is_none() {
            bootstrap.members.clear();
        }
        let own = Own {
            name: config.name.clone(),
            node: identity.node,
            cluster: identity.cluster,
            record: identity.formation.clone(),
            has_data: ground.wal.state(META).next > 0,
            draw: ClusterId::new(env.rng.next_u64().max(1)),
        };
        let now = env.clock.monotonic();
        Formation::new(own, &bootstrap, &config.peers, now)
    }

    /// From an open disk to readers.
    pub(super) async fn live(self: Arc<Self>) {
        // Before anybody can ask.
        self.remember_announcements();
        self.spawn("peer-finder", Arc::clone(&self).find());
        let cluster = held(&self.identity).cluster;
        if let Some(cluster) = cluster {
            self.open_meta(cluster).await;
        }
        while self.meta().is_none() {
            self.form_step().await;
            self.env.clock.sleep(limits::FORM_EVERY).await;
        }
        let meta = self.meta().expect("it was just opened");
        self.spawn("admission", Arc::clone(&self).be_admitted());
        self.spawn("founding", Arc::clone(&self).found());
        self.spawn("announcement", Arc::clone(&self).announce_again());
        let formed = meta.machine.when(Meta::cluster).await;
        // A restarted node answers as soon as it hears a leader, not when it has found it by greetings.
        self.note_addresses();
        let cluster = Cluster {
            id: formed.0,
            shards: formed.1,
        };
        self.settle(cluster.id).await;
        self.notice("formation", "");
        let mut shards = Vec::new();
        for id in cluster.shards.ids() {
            let keeping = self.config.keeping.feed_entries;
            let stamping = self.stamping(id);
            match Shard::start(id, keeping, self.ground.clone(), stamping).await {
                Ok(shard) => shards.push(shard),
                Err(error) => return (self.ground.fatal)(error),
            }
        }
        let founding = held(&self.identity).formation.clone();
        let founding = founding.filter(|record| record.cluster == cluster.id);
        if let Some(record) = founding {
            let voters: BTreeSet<_> = record.members.iter().map(|(_, id)| *id).collect();
            for shard in &shards {
                if let Err(error) = shard.group.initialise(&voters).await {
                    return (self.ground.fatal)(error);
                }
            }
        }
        for shard in &shards {
            self.spawn("shard-gate", Arc::clone(&self).open_gate(Arc::clone(shard)));
        }
        let _set_once = self.cluster.set(cluster);
        let _set_once = self.shards.set(shards);
        self.moved.notify_waiters();
        if self.voting.load(Ordering::Acquire) {
            self.groups().iter().for_each(|group| group.may_elect());
        }
        self.keep().await;
    }

    /// One look at the formation, and what it asks for.
    pub(super) async fn form_step(self: &Arc<Self>) {
        let now = self.env.clock.monotonic();
        let (actions, greeting) = {
            let mut formation = held(&self.formation);
            (formation.poll(now), formation.greeting())
        };
        for action in actions {
            match action {
                Action::Greet => self.greet_all(&greeting),
                Action::Store(record) => self.store(record).await,
                Action::Offer { to, record } => {
                    let hello = Hello {
                        greeting: greeting.clone(),
                        offer: Some(record),
                    };
                    self.spawn("formation-offer", Arc::clone(self).greet(to, hello));
                }
                Action::Attend(record) => self.open_meta(record.cluster).await,
                Action::Initialise(record) => {
                    self.open_meta(record.cluster).await;
                    self.initialise(&record).await;
                }
                Action::Join(cluster) => {
                    self.settle(cluster).await;
                    self.open_meta(cluster).await;
                }
                Action::Say(text) => self.notice("formation", text),
                Action::Stop(why) => {
                    self.notice("formation", why.clone());
                    (self.ground.fatal)(why);
                }
            }
        }
    }

    async fn initialise(&self, record: &FormationRecord) {
        let Some(meta) = self.meta() else { return };
        let voters: BTreeSet<_> = record.members.iter().map(|(_, id)| *id).collect();
        if let Err(error) = meta.group.initialise(&voters).await {
            (self.ground.fatal)(error);
        }
    }

    /// Asks every address who is there, each in a task of its own.
    fn greet_all(self: &Arc<Self>, greeting: &Greeting) {
        let mut addresses: BTreeSet<_> = self.config.peers.iter().cloned().collect();
        if let Some(meta) = self.meta() {
            let told = |meta: &Meta| -> Vec<_> {
                let records = meta.nodes().values();
                records
                    .map(|record| record.addresses.peer.clone())
                    .collect()
            };
            addresses.extend(meta.machine.with(told));
            addresses.remove("");
        }
        for address in addresses {
            let hello = Hello {
                greeting: greeting.clone(),
                offer: None,
            };
            self.spawn("greeting", Arc::clone(self).greet(address, hello));
        }
    }

    async fn greet(self: Arc<Self>, address: String, hello: Hello) {
        let ask = Ask::Greet(hello.encode());
        let asked = self
            .asker
            .ask_at(&address, 0, 0, ask, limits::GREET_MAX)
            .await;
        let Ok(said) = asked else { return };
        let Some(Say::Greeting(bytes)) = said.say else {
            return;
        };
        let Ok(greeting) = Greeting::decode(&bytes) else {
            return;
        };
        let now = self.env.clock.monotonic();
        self.asker.set_address(greeting.node, &address);
        held(&self.whereabouts).insert(address.clone(), (greeting.node, now));
        held(&self.formation).heard(Some(&address), &greeting, now);
    }

    /// Keeps knowing where the others are, also after the cluster is formed.
    async fn find(self: Arc<Self>) {
        loop {
            self.env.clock.sleep(limits::FIND_EVERY).await;
            if self.meta().is_some() {
                self.note_addresses();
                let greeting = held(&self.formation).greeting();
                self.greet_all(&greeting);
            }
        }
    }

    /// Takes the addresses of the node table; those of founders came with their greetings.
    fn note_addresses(&self) {
        let Some(meta) = self.meta() else { return };
        let known: Vec<_> = meta.machine.with(|state| {
            let nodes = state.nodes().iter();
            nodes
                .map(|(node, record)| (*node, record.addresses.peer.clone()))
                .collect()
        });
        for (node, address) in known {
            if self.asker.address(node).is_none() {
                self.asker.set_address(node, &address);
            }
        }
    }

    pub(super) async fn save(&self, identity: Identity) {
        *held(&self.identity) = identity.clone();
        let (disk, directory) = (Arc::clone(&self.disk), self.directory.clone());
        let saving = move || identity.save(disk.as_ref(), &directory);
        if let Err(error) = away(self.env.spawn.as_ref(), saving).await {
            (self.ground.fatal)(format!("the identity cannot be written: {error}"));
            std::future::pending::<()>().await;
        }
    }

    async fn store(&self, record: FormationRecord) {
        let holding = held(&self.identity).holding(&record);
        match holding {
            Ok(identity) => {
                self.save(identity).await;
                let now = self.env.clock.monotonic();
                held(&self.formation).stored(now);
            }
            Err(other) => (self.ground.fatal)(format!("this disk holds {other} already")),
        }
    }

    /// The cluster is this node's for good.
    async fn settle(&self, cluster: ClusterId) {
        let identity = held(&self.identity).clone();
        if identity.cluster != Some(cluster) {
            self.save(Identity {
                cluster: Some(cluster),
                ..identity
            })
            .await;
        }
        held(&self.formation).settled(cluster);
    }

    async fn open_meta(&self, cluster: ClusterId) {
        self.asker.set_cluster(cluster.get());
        if self.meta().is_some() {
            return;
        }
        let machine = Arc::new(MetaMachine::default());
        let shared = Arc::clone(&machine) as _;
        let started = Group::start(META, "meta".into(), shared, self.ground.clone()).await;
        match started {
            Ok(group) => {
                let _set_once = self.meta.set(MetaPart { group, machine });
                self.moved.notify_waiters();
            }
            Err(error) => {
                (self.ground.fatal)(error);
                std::future::pending::<()>().await;
            }
        }
    }

    /// As leader of a group that has no state yet: gives it the founding one.
    async fn found(self: Arc<Self>) {
        let record = held(&self.identity).formation.clone();
        let Some(record) = record else { return };
        let meta = self.meta().expect("founding follows opening");
        while meta.machine.with(|state| state.cluster().is_none()) {
            // Who attends begins the group itself when the proposer does not.
            self.form_step().await;
            if meta.group.leads() {
                let command = MetaCommand::Form {
                    record: record.clone(),
                    settings: self.config.bootstrap.settings.clone(),
                };
                let _refused_or_done = self.propose_meta_here(command.encode()).await;
            }
            self.env.clock.sleep(limits::FORM_EVERY).await;
        }
    }

    /// Opens the shard to readers once this node has applied what its leader had committed (ReadIndex).
    async fn open_gate(self: Arc<Self>, shard: Arc<Shard<R>>) {
        let clock = Arc::clone(&self.env.clock);
        loop {
            let wanted: Result<Revision, _> = self.barrier(shard.id, limits::GATE_TRY).await;
            if let Ok(wanted) = wanted {
                let reached = shard.source.reach(wanted, clock.as_ref(), limits::GATE_TRY);
                if reached.await.is_ok() {
                    shard.gate().open();
                    return;
                }
            }
            clock.sleep(limits::ASK_AGAIN).await;
        }
    }

    /// Has a command of the cluster's own state decided, wherever its leader is.
    ///
    /// # Errors
    /// `None`: nobody decided it in time, or nobody knows.
    pub(crate) async fn propose_meta(
        &self,
        command: &MetaCommand,
        deadline: Duration,
    ) -> Option<MetaReply> {
        let ends = self.env.clock.monotonic() + deadline;
        let mut hint: Option<NodeId> = None;
        let mut turn = 0;
        loop {
            let left = ends.saturating_sub(self.env.clock.monotonic());
            if left.is_zero() {
                return None;
            }
            let known = self.meta().and_then(|meta| meta.group.leader());
            let leader = hint.take().or(known).or_else(|| self.somebody(&mut turn));
            let said = match leader {
                Some(leader) if leader == self.me() => {
                    Some(self.propose_meta_here(command.encode()).await)
                }
                Some(leader) => {
                    let ask = Ask::Meta(command.encode());
                    let patience = left.min(limits::ASK_MAX);
                    self.asker.ask(leader, META.0, ask, patience).await.ok()
                }
                None => None,
            };
            match said {
                Some(Say::Meta(bytes)) => return MetaReply::decode(&bytes).ok(),
                Some(Say::Elsewhere(other)) => hint = NodeId::new(other),
                _ => {}
            }
            if hint.is_none() {
                self.env.clock.sleep(limits::ASK_AGAIN.min(left)).await;
            }
        }
    }

    /// Nodes that were found, in turn.
    fn somebody(&self, turn: &mut usize) -> Option<NodeId> {
        let found: BTreeSet<NodeId> = held(&self.whereabouts)
            .values()
            .map(|(node, _)| *node)
            .collect();
        let others: Vec<_> = found
            .into_iter()
            .filter(|node| *node != self.me())
            .collect();
        *turn += 1;
        others.get(*turn % others.len().max(1)).copied()
    }
}
