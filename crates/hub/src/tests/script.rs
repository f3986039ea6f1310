//! A log by script: the truth of a few shards, and links to it that a test can hold back, cut and mislead.
//!
//! Small on purpose: it says what replication.md, rule 13, says, in the order in which it says it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use halley_env::{BoxFuture, Env, Rng};
use halley_log::{
    Cluster, FollowEnd, Following, LogError, ReadAnswer, ReadQuery, ShardLog, follow::Down,
};
use halley_shard::{
    Change, Changes, ChannelName, ChannelPattern, ClusterId, Content, Event, Floor, Forgotten,
    Interest, Offset, Reply, Revision, ShardCount, ShardId, Time,
};
use tokio::sync::watch;

pub(super) fn channel(name: &str) -> Interest {
    Interest::Channel(ChannelName::parse(name).unwrap())
}

pub(super) fn pattern(text: &str) -> Interest {
    Interest::Pattern(ChannelPattern::parse(text).unwrap())
}

/// What is true of one shard.
#[derive(Debug, Default)]
struct Truth {
    head: Revision,
    channels: BTreeMap<ChannelName, (Floor, Vec<Arc<Event>>)>,
    erased: BTreeMap<ChannelName, Floor>,
    forgotten: Forgotten,
    feed: Vec<Changes>,
}

/// One cluster's shards.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) cluster: Cluster,
    truths: Vec<Mutex<Truth>>,
    moved: watch::Sender<u64>,
}

impl Source {
    pub(super) fn new(id: u64, shards: u16) -> Arc<Self> {
        let shards = ShardCount::new(shards).unwrap();
        let truths = shards.ids().map(|_| Mutex::default()).collect();
        let cluster = Cluster {
            id: ClusterId::new(id),
            shards,
        };
        Arc::new(Self {
            cluster,
            truths,
            moved: watch::Sender::new(0),
        })
    }

    pub(super) fn shard_of(&self, name: &str) -> ShardId {
        self.cluster
            .shards
            .shard_of(ChannelName::parse(name).unwrap().hash64())
    }

    /// The first name `<stem><number>` that lies in `shard`.
    pub(super) fn name_in(&self, shard: u16, stem: &str) -> String {
        let mut names = (0..).map(|number| format!("{stem}{number}"));
        names
            .find(|name| self.shard_of(name).get() == shard)
            .unwrap()
    }

    pub(super) fn head(&self, shard: u16) -> Revision {
        self.truth(ShardId::new(shard)).head
    }

    /// Appends an event stamped `time`; its revision.
    pub(super) fn publish_at(&self, time: u64, name: &str) -> Revision {
        let channel = ChannelName::parse(name).unwrap();
        let mut truth = self.truth(self.shard_of(name));
        let mut list = Vec::new();
        if !truth.channels.contains_key(&channel) {
            let floor = truth.erased.remove(&channel).unwrap_or_default();
            truth.channels.insert(channel.clone(), (floor, Vec::new()));
            if floor.offset > Offset::ZERO {
                truth.head = truth.head.next();
            }
            list.push(Change::Opened {
                channel: channel.clone(),
                floor,
            });
        }
        let revision = truth.head.next();
        let (floor, events) = truth.channels.get_mut(&channel).unwrap();
        let last = events.last().map_or(floor.offset, |event| event.offset());
        let recreated = events.is_empty() && last > Offset::ZERO && list.len() == 1;
        let content = Content {
            data: Bytes::from(revision.to_string()),
            ..Content::default()
        };
        let (offset, time) = (last.next(), Time::new(time));
        let event = Event::new(channel, offset, revision, time, recreated, &content);
        let event = Arc::new(event);
        events.push(Arc::clone(&event));
        list.push(Change::Event(event));
        truth.head = revision;
        self.tell(truth, list);
        revision
    }

    pub(super) fn publish(&self, name: &str) -> Revision {
        self.publish_at(0, name)
    }

    /// Keeps only the newest `keep` events of a channel.
    pub(super) fn trim(&self, name: &str, keep: usize) {
        let channel = ChannelName::parse(name).unwrap();
        let mut truth = self.truth(self.shard_of(name));
        let (floor, events) = truth.channels.get_mut(&channel).unwrap();
        let gone = events.len() - keep;
        let last = events.drain(..gone).next_back().unwrap();
        *floor = Floor {
            offset: last.offset(),
            revision: last.revision(),
        };
        let floor = *floor;
        truth.head = truth.head.next();
        self.tell(truth, vec![Change::Trimmed { channel, floor }]);
    }

    /// Deletes a channel.
    pub(super) fn erase(&self, name: &str) {
        let channel = ChannelName::parse(name).unwrap();
        let mut truth = self.truth(self.shard_of(name));
        let (floor, events) = truth.channels.remove(&channel).unwrap();
        let floor = events.last().map_or(floor, |last| Floor {
            offset: last.offset(),
            revision: last.revision(),
        });
        truth.erased.insert(channel.clone(), floor);
        truth.forgotten.erased = truth.forgotten.erased.max(floor.revision);
        truth.head = truth.head.next();
        let forgotten = truth.forgotten;
        self.tell(
            truth,
            vec![
                Change::Erased { channel, floor },
                Change::Forgotten(forgotten),
            ],
        );
    }

    /// How many events of a channel are retained.
    pub(super) fn retained(&self, name: &str) -> usize {
        let channel = ChannelName::parse(name).unwrap();
        let truth = self.truth(self.shard_of(name));
        truth
            .channels
            .get(&channel)
            .map_or(0, |(_, events)| events.len())
    }

    /// The offset of a channel's newest event, retained or not; the channel must exist.
    pub(super) fn last_offset(&self, name: &str) -> u64 {
        let channel = ChannelName::parse(name).unwrap();
        let truth = self.truth(self.shard_of(name));
        let (floor, events) = &truth.channels[&channel];
        events
            .last()
            .map_or(floor.offset, |event| event.offset())
            .get()
    }

    fn tell(&self, mut truth: MutexGuard<'_, Truth>, list: Vec<Change>) {
        let through = truth.head;
        truth.feed.push(Changes { through, list });
        drop(truth);
        self.bump();
    }

    fn truth(&self, shard: ShardId) -> MutexGuard<'_, Truth> {
        self.truths[usize::from(shard.get())].lock().unwrap()
    }

    fn bump(&self) {
        self.moved.send_modify(|moved| *moved += 1);
    }
}

/// One node's way to the truth.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<LinkState>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct LinkState {
    source: Option<Arc<Source>>,
    /// Nothing comes through.
    held_back: bool,
    /// No interest is answered.
    keeps_waiting: bool,
    /// Every following begun before this ends.
    cuts: u64,
    why: FollowEnd,
    barrier: Option<Result<Revision, LogError>>,
    barriers: usize,
    asked: Vec<(Vec<Interest>, Vec<Interest>)>,
}

impl Link {
    pub(super) fn to(source: &Arc<Source>) -> Arc<Self> {
        let link = Self::unformed();
        link.form(source);
        link
    }

    pub(super) fn unformed() -> Arc<Self> {
        let state = LinkState {
            source: None,
            held_back: false,
            keeps_waiting: false,
            cuts: 0,
            why: FollowEnd::Behind,
            barrier: None,
            barriers: 0,
            asked: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        })
    }

    /// Finds its cluster, or another one.
    pub(super) fn form(&self, source: &Arc<Source>) {
        self.change(|state| {
            state.source = Some(Arc::clone(source));
            state.cuts += 1;
        });
    }

    pub(super) fn hold_back(&self, held_back: bool) {
        self.change(|state| state.held_back = held_back);
    }

    pub(super) fn keep_waiting(&self, keep_waiting: bool) {
        self.change(|state| state.keeps_waiting = keep_waiting);
    }

    /// Ends all followings.
    pub(super) fn cut(&self, why: FollowEnd) {
        self.change(|state| {
            state.cuts += 1;
            state.why = why;
        });
    }

    pub(super) fn answer_barriers(&self, answer: Result<Revision, LogError>) {
        self.change(|state| state.barrier = Some(answer));
    }

    pub(super) fn barriers(&self) -> usize {
        self.state().barriers
    }

    /// All interest changes so far, as (add, remove).
    pub(super) fn asked(&self) -> Vec<(Vec<Interest>, Vec<Interest>)> {
        self.state().asked.clone()
    }

    fn change(&self, change: impl FnOnce(&mut LinkState)) {
        change(&mut self.state());
        self.changed.send_modify(|changed| *changed += 1);
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap()
    }
}

/// A link as the hub sees it.
#[derive(Debug)]
pub(super) struct ScriptLog(pub(super) Arc<Link>);

impl ShardLog for ScriptLog {
    fn cluster(&self) -> Option<Cluster> {
        self.0.state().source.as_ref().map(|source| source.cluster)
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        Box::pin(async {
            let mut changed = self.0.changed.subscribe();
            loop {
                if let Some(cluster) = self.cluster() {
                    return cluster;
                }
                changed.changed().await.unwrap();
            }
        })
    }

    fn submit(&self, _: ShardId, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Reply, LogError>> {
        unreachable!("a hub submits nothing")
    }

    fn follow(&self, shard: ShardId) -> Box<dyn Following> {
        let state = self.0.state();
        let source = state.source.clone().unwrap();
        let next = source.truth(shard).feed.len();
        Box::new(ScriptFollowing {
            shard,
            link: Arc::clone(&self.0),
            cuts: state.cuts,
            held: Vec::new(),
            queue: Vec::new(),
            next,
            changed: self.0.changed.subscribe(),
            moved: source.moved.subscribe(),
            source,
        })
    }

    fn read(
        &self,
        _: ShardId,
        _: ReadQuery,
        _: Revision,
        _: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        unreachable!("a hub reads nothing")
    }

    fn barrier(&self, shard: ShardId, _: Duration) -> BoxFuture<'_, Result<Revision, LogError>> {
        let mut state = self.0.state();
        state.barriers += 1;
        let head = state.source.as_ref().unwrap().head(shard.get());
        let answer = state.barrier.clone().unwrap_or(Ok(head));
        Box::pin(async { answer })
    }
}

#[derive(Debug)]
struct ScriptFollowing {
    shard: ShardId,
    link: Arc<Link>,
    source: Arc<Source>,
    cuts: u64,
    held: Vec<Interest>,
    queue: Vec<Interest>,
    next: usize,
    changed: watch::Receiver<u64>,
    moved: watch::Receiver<u64>,
}

impl ScriptFollowing {
    fn step(&mut self, answer: bool) -> Vec<Down> {
        let truth = self.source.truth(self.shard);
        let mut batch = Vec::new();
        for changes in &truth.feed[self.next..] {
            let wants = |change: &&Change| match change {
                Change::Forgotten(_) => true,
                Change::Event(event) => self.wants(event.channel()),
                Change::Opened { channel, .. }
                | Change::Trimmed { channel, .. }
                | Change::Erased { channel, .. } => self.wants(channel),
            };
            let list: Vec<_> = changes.list.iter().filter(wants).cloned().collect();
            if !list.is_empty() {
                batch.push(Down::Changes(Changes {
                    through: changes.through,
                    list,
                }));
            }
        }
        let news = self.next < truth.feed.len();
        self.next = truth.feed.len();
        let answered = if answer { self.queue.len() } else { 0 };
        for interest in self.queue.drain(..answered).collect::<Vec<_>>() {
            for (name, (floor, events)) in &truth.channels {
                if interest.matches(name) && !self.wants(name) {
                    batch.push(Down::Window {
                        channel: name.clone(),
                        floor: *floor,
                        events: events.clone(),
                        as_of: truth.head,
                    });
                }
            }
            let tombstone = match &interest {
                Interest::Channel(name) => truth.erased.get(name).copied(),
                Interest::Pattern(_) => None,
            };
            self.held.push(interest.clone());
            let (as_of, forgotten) = (truth.head, truth.forgotten);
            batch.push(Down::Held {
                interest,
                as_of,
                forgotten,
                tombstone,
            });
        }
        if news && !self.held.is_empty() {
            batch.push(Down::Progress(truth.head));
        }
        batch
    }

    fn wants(&self, channel: &ChannelName) -> bool {
        self.held.iter().any(|interest| interest.matches(channel))
    }
}

impl Following for ScriptFollowing {
    fn interest(&mut self, add: Vec<Interest>, remove: Vec<Interest>) {
        self.held.retain(|interest| !remove.contains(interest));
        self.queue.retain(|interest| !remove.contains(interest));
        self.queue.extend(add.iter().cloned());
        self.link.state().asked.push((add, remove));
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Down>, FollowEnd>> {
        Box::pin(async {
            loop {
                self.changed.mark_unchanged();
                self.moved.mark_unchanged();
                let (held_back, keeps_waiting) = {
                    let state = self.link.state();
                    if state.cuts > self.cuts {
                        return Err(state.why.clone());
                    }
                    (state.held_back, state.keeps_waiting)
                };
                if !held_back {
                    let batch = self.step(!keeps_waiting);
                    if !batch.is_empty() {
                        return Ok(batch);
                    }
                }
                tokio::select! {
                    biased;
                    _ = self.changed.changed() => {}
                    _ = self.moved.changed() => {}
                }
            }
        })
    }
}

/// Numbers from a seed (splitmix64).
#[derive(Debug)]
pub(super) struct Seeded(AtomicU64);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9e37_79b9_7f4a_7c15;
            let mut mixed = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The machine, as these tests use it.
pub(super) fn env() -> Env {
    Env {
        rng: Arc::new(Seeded::new(1)),
        ..Env::system()
    }
}
