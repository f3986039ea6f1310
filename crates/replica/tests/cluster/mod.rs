//! Replicas on disks in memory and a network in memory, under paused time.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod net;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use halley_env::{Disk, Env, InlineSpawn, MemoryDisk, Rng, SystemClock};
use halley_log::ShardLog;
use halley_replica::{Addresses, Bootstrap, DiskBounds, Keeping, Replica, ReplicaConfig, Timing};
use halley_shard::{Settings, ShardCount};

use net::{Cable, Net};

/// A seeded generator (splitmix64).
#[derive(Debug)]
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) fn env(seed: u64) -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        rng: Seeded::new(seed),
        spawn: Arc::new(InlineSpawn),
    }
}

/// One place where a replica runs, stops, and runs again on the same disk.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) disk: Arc<MemoryDisk>,
    pub(crate) replica: Option<Arc<Replica>>,
    /// Why it ended by itself.
    pub(crate) ended: Arc<Mutex<Vec<String>>>,
    starts: u64,
}

/// The replicas of one test.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) net: Arc<Net>,
    pub(crate) places: Vec<Place>,
    members: Vec<String>,
    seed: u64,
    pub(crate) shards: u16,
    pub(crate) settings: Settings,
    pub(crate) replace_after: Duration,
    pub(crate) keeping: Keeping,
}

impl Cluster {
    /// `count` places with empty disks, nobody running.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let members: Vec<_> = (1..=count).map(|index| format!("n{index}")).collect();
        let place = |name: &String| Place {
            name: name.clone(),
            disk: MemoryDisk::new(),
            replica: None,
            ended: Arc::default(),
            starts: 0,
        };
        Self {
            net: Net::new(Duration::from_millis(1)),
            places: members.iter().map(place).collect(),
            members,
            seed,
            shards: 2,
            settings: Settings::default(),
            replace_after: Duration::from_secs(60),
            keeping: Keeping {
                segment_bytes: 2 * 1024 * 1024,
                ..Keeping::default()
            },
        }
    }

    pub(crate) fn address(&self, index: usize) -> String {
        format!("{}:7400", self.places[index].name)
    }

    pub(crate) async fn start(&mut self, index: usize) {
        let peers = self.members.iter().map(|name| format!("{name}:7400"));
        let address = self.address(index);
        let place = &mut self.places[index];
        place.starts += 1;
        let config = ReplicaConfig {
            name: place.name.clone(),
            addresses: Addresses {
                peer: address.clone(),
                ..Addresses::default()
            },
            data: "/data".into(),
            bootstrap: Bootstrap {
                members: self.members.clone(),
                shards: ShardCount::new(self.shards).expect("a count"),
                settings: self.settings.clone(),
            },
            peers: peers.collect(),
            timing: Timing::default(),
            replace_after: self.replace_after,
            disk: DiskBounds {
                ballast_max: 0,
                free_min: 0,
            },
            keeping: self.keeping,
            catalogue: false,
        };
        let seed = self.seed * 1_000 + place.starts * 10 + index as u64;
        let cable = Cable {
            net: Arc::clone(&self.net),
            own: address.clone(),
        };
        let ended = Arc::clone(&place.ended);
        let fatal = Arc::new(move |why: String| ended.lock().expect("a list").push(why));
        let disk = Arc::clone(&place.disk) as Arc<dyn Disk>;
        let started = Replica::start_deterministic(config, env(seed), disk, Arc::new(cable), fatal);
        let replica = started.await.expect("it starts");
        self.net.plug(&address, replica.answering());
        place.replica = Some(replica);
    }

    /// Starts all at once.
    pub(crate) async fn start_all(&mut self) {
        for index in 0..self.places.len() {
            self.start(index).await;
        }
    }

    /// Ends a replica cleanly.
    pub(crate) async fn stop(&mut self, index: usize) {
        self.net.unplug(&self.address(index));
        let replica = self.places[index].replica.take().expect("it runs");
        replica.close().await;
    }

    /// Cuts its power: what was not synced may be gone.
    pub(crate) async fn cut_power(&mut self, index: usize) {
        self.net.unplug(&self.address(index));
        let rng = Seeded::new(self.seed ^ self.places[index].starts);
        let place = &mut self.places[index];
        place.disk.fail_after(0);
        let replica = place.replica.take().expect("it runs");
        replica.close().await;
        drop(replica);
        place.disk.power_cut(rng.as_ref());
        // A log without power has failed, which is no news.
        place.ended.lock().expect("a list").clear();
    }

    /// Waits until a replica serves every shard and the cluster's settings are in all of them.
    pub(crate) async fn served(&self, index: usize) {
        let replica = self.places[index].replica.as_ref().expect("it runs");
        let served = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let checks = replica.checks();
                if checks.iter().all(|check| check.ok) {
                    return;
                }
            }
        };
        let served = tokio::time::timeout(Duration::from_secs(60), served).await;
        assert!(served.is_ok(), "not served: {:?}", replica.checks());
        // Leaders bring settings in once a second.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    pub(crate) fn log(&self, index: usize) -> Arc<dyn ShardLog> {
        let replica = self.places[index].replica.as_ref().expect("it runs");
        Arc::clone(replica) as _
    }

    pub(crate) fn assert_nobody_ended(&self) {
        for place in &self.places {
            let ended = place.ended.lock().expect("a list");
            assert!(ended.is_empty(), "{}: {ended:?}", place.name);
        }
    }
}
