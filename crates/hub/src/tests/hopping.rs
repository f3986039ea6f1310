//! Readers that hop between nodes which lag, are cut off and come back, by seed: every event once, in order,
//! or a gap that was told.

use std::collections::BTreeMap;

use halley_env::Rng;
use halley_log::FollowEnd;
use halley_shard::ChannelName;

use super::*;
use crate::EndReason;
use script::Seeded;

const NAMES: [&str; 6] = ["/a", "/b", "/p/x", "/p/y", "/p/q/z", "/other"];

/// One logical subscriber, across its subscriptions.
struct Walker {
    interests: Vec<Interest>,
    open: Option<Subscription>,
    /// The last one it was given.
    cursor: Cursor,
    /// By channel, the offset that must come next.
    expected: BTreeMap<ChannelName, u64>,
    /// Gaps told since the channel's last event, by what they were told of.
    gaps: Vec<Interest>,
}

struct World {
    seed: u64,
    rng: Seeded,
    source: Arc<Source>,
    links: Vec<Arc<Link>>,
    hubs: Vec<Hub>,
    walkers: Vec<Walker>,
    /// Events may go.
    lossy: bool,
}

impl World {
    fn new(seed: u64, lossy: bool) -> Self {
        let source = Source::new(1, 2);
        let links: Vec<_> = (0..3).map(|_| Link::to(&source)).collect();
        let hubs = links.iter().map(hub).collect();
        let zero = Cursor::new(
            source.cluster.id,
            source
                .cluster
                .shards
                .ids()
                .map(|shard| (shard, Revision::ZERO)),
        );
        let selections = [
            vec![channel("/a")],
            vec![channel("/a"), channel("/p/x"), channel("/b")],
            vec![pattern("/p/*"), channel("/p/q/z"), channel("/p/x")],
            vec![pattern("/**")],
        ];
        let walker = |interests| Walker {
            interests,
            open: None,
            cursor: zero.clone(),
            expected: BTreeMap::new(),
            gaps: Vec::new(),
        };
        let walkers = selections.into_iter().map(walker).collect();
        Self {
            seed,
            rng: Seeded::new(seed),
            source,
            links,
            hubs,
            walkers,
            lossy,
        }
    }

    fn pick(&self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap()
    }

    async fn step(&mut self) {
        let walker = self.pick(self.walkers.len());
        let link = &self.links[self.pick(self.links.len())];
        match self.pick(20) {
            0..=7 => drop(self.source.publish(NAMES[self.pick(NAMES.len())])),
            // Where events go, no node may lag: a cursor below a gap that is still to be told does not say
            // what its node knew, and a node that has not seen the loss yet would tell less.
            8 if !self.lossy => link.hold_back(true),
            9 => link.hold_back(false),
            10 => link.cut(FollowEnd::Behind),
            11 => self.walkers[walker].open = None,
            12 => tokio::time::sleep(Duration::from_millis(self.rng.below(20_000))).await,
            13 if self.lossy => {
                settle().await;
                self.lose();
                settle().await;
            }
            14 => settle().await,
            _ => self.walk(walker).await,
        }
    }

    fn lose(&self) {
        let name = NAMES[self.pick(NAMES.len())];
        if self.source.retained(name) == 0 {
            return;
        }
        match self.pick(3) {
            0 => self.source.erase(name),
            _ => self
                .source
                .trim(name, self.pick(self.source.retained(name))),
        }
    }

    /// Reads a little, opening a subscription on some node before if there is none.
    async fn walk(&mut self, walker: usize) {
        let node = self.pick(self.hubs.len());
        let budget = Budget {
            items: 1 + self.pick(5),
            bytes: 1 << 20,
            scanned: 1 << 10,
        };
        let named = self.walkers[walker].cursor.clone();
        if self.walkers[walker].open.is_none() {
            let ask = request(&self.walkers[walker].interests, Since::Cursor(named));
            self.walkers[walker].open = self.hubs[node].subscribe(ask).await.ok();
        }
        let Some(mut open) = self.walkers[walker].open.take() else {
            return;
        };
        match open.take(budget) {
            Ok(given) => {
                self.walkers[walker].cursor = open.cursor();
                // Half of the time the answer is cut behind some item, and the reader comes back from there.
                if !given.is_empty() && self.pick(2) == 0 {
                    let kept = self.pick(given.len());
                    self.walkers[walker].cursor = cursor_of(&given[kept]).clone();
                    given[..=kept]
                        .iter()
                        .for_each(|delivery| self.judge(walker, delivery));
                } else {
                    given
                        .iter()
                        .for_each(|delivery| self.judge(walker, delivery));
                    self.walkers[walker].open = Some(open);
                }
            }
            Err(end) => assert_eq!(end, EndReason::Behind, "seed {}", self.seed),
        }
    }

    fn judge(&mut self, walker: usize, delivery: &Delivery) {
        let (seed, walker) = (self.seed, &mut self.walkers[walker]);
        match delivery {
            Delivery::Gap { gap, .. } => {
                assert!(self.lossy, "seed {seed}: {gap:?} though nothing was lost");
                walker.gaps.push(gap.subject.clone());
            }
            Delivery::Event { event, .. } => {
                let (name, offset) = (event.event().channel(), event.event().offset().get());
                let expected = walker.expected.entry(name.clone()).or_insert(1);
                let told = walker.gaps.iter().any(|gap| gap.matches(name));
                assert!(
                    offset == *expected || (offset > *expected && told),
                    "seed {seed}: {name}:{offset}, {expected} was next"
                );
                if offset > *expected {
                    walker
                        .gaps
                        .retain(|gap| *gap != Interest::Channel(name.clone()));
                }
                *expected = offset + 1;
            }
        }
    }

    /// All faults end: everybody gets everything.
    async fn finish(&mut self) {
        self.links.iter().for_each(|link| link.hold_back(false));
        tokio::time::sleep(PATIENCE).await;
        for name in NAMES {
            self.source.publish(name);
        }
        settle().await;
        for walker in 0..self.walkers.len() {
            for _ in 0..500 {
                self.walk(walker).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.is_woken(walker).await;
            let walker = &self.walkers[walker];
            for name in NAMES.map(|name| ChannelName::parse(name).unwrap()) {
                if walker
                    .interests
                    .iter()
                    .any(|interest| interest.matches(&name))
                {
                    let last = self.source.last_offset(name.as_str());
                    assert_eq!(
                        walker.expected[&name],
                        last + 1,
                        "seed {} {name}",
                        self.seed
                    );
                }
            }
        }
    }
}

impl World {
    /// A reader that has everything is woken by what comes next.
    async fn is_woken(&mut self, walker: usize) {
        while self.walkers[walker].open.is_none() {
            self.walk(walker).await;
        }
        let mut open = self.walkers[walker].open.take().expect("it is open now");
        for name in NAMES {
            let channel = ChannelName::parse(name).unwrap();
            self.source.publish(name);
            if self.walkers[walker]
                .interests
                .iter()
                .any(|interest| interest.matches(&channel))
            {
                let given = tokio::time::timeout(PATIENCE, open.next(ALL)).await;
                let given = given.expect("nobody sleeps through an event").unwrap();
                given
                    .iter()
                    .for_each(|delivery| self.judge(walker, delivery));
            }
        }
        self.walkers[walker].open = Some(open);
    }
}

async fn run(seed: u64, lossy: bool) {
    let mut world = World::new(seed, lossy);
    for _ in 0..400 {
        world.step().await;
    }
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn hopping_readers_miss_nothing() {
    for seed in 0..25 {
        run(seed, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn hopping_readers_are_told_what_is_lost() {
    for seed in 0..25 {
        run(seed, true).await;
    }
}
