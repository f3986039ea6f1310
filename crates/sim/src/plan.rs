//! What a seed makes of the cluster: sizes, load, retention, faults.

use std::{fmt, time::Duration};

use halley_replica::Keeping;
use halley_shard::{Retention, Settings, ShardCount};

use crate::{seeded::SeededRng, storm::FAULTS};

/// Everything that is decided before a run begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The seed.
    pub seed: u64,
    /// Replicas: three, or one.
    pub replicas: usize,
    /// Shards of the cluster.
    pub shards: ShardCount,
    /// Retention and channel bounds, small enough that readers fall behind them.
    pub settings: Settings,
    /// Channels that are published to.
    pub channels: u64,
    /// Concurrent publishers.
    pub publishers: u64,
    /// Publishes of each.
    pub publishes: u64,
    /// Longest pause between two publishes of one publisher, milliseconds.
    pub pause_ms: u64,
    /// Subscribers that hop.
    pub subscribers: u64,
    /// Longest one-way delay of the links between replicas and edge, milliseconds.
    pub delay_ms: u64,
    /// Longest one-way delay between replicas, milliseconds.
    pub peer_delay_ms: u64,
    /// Messages lost between replicas, in a thousand.
    pub loss: u64,
    /// How often something bad happens, in a hundred chances.
    pub fault_percent: u64,
    /// How often each kind of fault is chosen, compared to the others ([`crate::storm::FAULTS`]).
    pub weights: Vec<u64>,
    /// What a replica keeps, small enough that files and snapshots come and go.
    pub keeping: Keeping,
    /// One in so many publishes is followed by a deletion; zero: never.
    pub delete_one_in: u64,
    /// How long faults go on.
    pub stormy: Duration,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let rng = SeededRng::new(seed ^ 0x706c_616e);
        let replicas = if rng.chance(15) { 1 } else { 3 };
        let shards = u16::try_from(rng.between(1, 3)).expect("at most 3");
        let channels = rng.between(1, 24);
        let retention = Retention {
            events_max: u32::try_from(rng.between(1, 60)).expect("at most 60"),
            bytes_max: rng.between(300, 20_000),
            age_max_ms: rng.chance(40).then(|| rng.between(500, 20_000)),
        };
        let settings = Settings {
            rules: Vec::new(),
            retention,
            shard_bytes_max: rng.between(4_000, 200_000),
            channels_max: u32::try_from(rng.between(channels.div_ceil(2), 60)).expect("at most 60"),
        };
        let keeping = Keeping {
            segment_bytes: 1 << rng.between(16, 20),
            feed_entries: 1 << rng.between(3, 12),
            snapshot_bytes: 1 << rng.between(12, 18),
        };
        let weights = FAULTS.iter().map(|_| {
            if rng.chance(50) {
                rng.between(1, 10)
            } else {
                0
            }
        });
        let weights = weights.collect();
        Self {
            seed,
            replicas,
            shards: ShardCount::new(shards).expect("1 to 3 shards"),
            settings,
            channels,
            publishers: rng.between(1, 4),
            publishes: rng.between(20, 90),
            pause_ms: rng.between(1, 120),
            subscribers: rng.between(2, 10),
            delay_ms: rng.between(0, 80),
            peer_delay_ms: rng.between(0, 20),
            loss: if rng.chance(40) {
                rng.between(1, 20)
            } else {
                0
            },
            fault_percent: rng.between(0, 60),
            weights,
            keeping,
            delete_one_in: if rng.chance(50) {
                rng.between(5, 60)
            } else {
                0
            },
            stormy: rng.millis(2_000, 7_000),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "replicas={} shards={} channels={} pub={}x{} sub={} delay<={}ms faults={}% keep={}",
            self.replicas,
            self.shards.get(),
            self.channels,
            self.publishers,
            self.publishes,
            self.subscribers,
            self.delay_ms,
            self.fault_percent,
            self.settings.retention.events_max,
        )
    }
}
