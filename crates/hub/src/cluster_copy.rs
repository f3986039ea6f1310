//! This node's copies of one cluster's shards, for as long as the log is that cluster's.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use halley_env::Env;
use halley_log::Cluster;
use halley_shard::{Interest, ShardId};
use tokio::sync::Notify;

use crate::{EndReason, HubConfig, copy::ShardCopy};

/// One copy for each shard of a cluster.
#[derive(Debug)]
pub(crate) struct ClusterCopy {
    cluster: Cluster,
    shards: Vec<Arc<ShardCopy>>,
    ending: AtomicU8,
    replaced: Notify,
}

/// Why all readers of a cluster's copy are ended. The first reason stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// The node goes down.
    Draining = 1,
    /// The log has become another cluster's.
    Replaced = 2,
}

impl ClusterCopy {
    pub(crate) fn new(cluster: Cluster, env: &Env, config: &HubConfig) -> Self {
        let copy = |shard| Arc::new(ShardCopy::new(shard, Arc::clone(&env.clock), config.linger));
        let shards = cluster.shards.ids().map(copy).collect();
        Self {
            cluster,
            shards,
            ending: AtomicU8::new(0),
            replaced: Notify::new(),
        }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster
    }

    pub(crate) fn shards(&self) -> &[Arc<ShardCopy>] {
        &self.shards
    }

    pub(crate) fn shard(&self, shard: ShardId) -> Option<&Arc<ShardCopy>> {
        self.shards.get(usize::from(shard.get()))
    }

    /// The shards in which channels of `interest` may lie.
    pub(crate) fn shards_of(&self, interest: &Interest) -> &[Arc<ShardCopy>] {
        match interest {
            Interest::Channel(name) => {
                let index = usize::from(self.cluster.shards.shard_of(name.hash64()).get());
                &self.shards[index..=index]
            }
            Interest::Pattern(_) => &self.shards,
        }
    }

    /// Ends every subscription, now and later.
    pub(crate) fn end(&self, ending: Ending) {
        let ending = ending as u8;
        let _ = self
            .ending
            .compare_exchange(0, ending, Ordering::AcqRel, Ordering::Acquire);
        self.shards.iter().for_each(|shard| shard.wake_all());
    }

    /// Why its subscriptions are over, if they are. Readers of a replaced history come back with their
    /// cursors and are told that these are foreign.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        match self.ending.load(Ordering::Acquire) {
            0 => None,
            ending if ending == Ending::Draining as u8 => Some(EndReason::Draining),
            _ => Some(EndReason::Behind),
        }
    }

    /// Says that the log has become another cluster's.
    pub(crate) fn replace(&self) {
        self.replaced.notify_one();
    }

    /// Completes after [`ClusterCopy::replace`].
    pub(crate) async fn replaced(&self) {
        self.replaced.notified().await;
    }
}
