//! The log of one node, in memory: nothing survives the process.
//!
//! Invariant: a command is applied, answered and visible to followers in one step; the node is its own
//! leader, so its head is always the committed one.

mod admin;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use halley_env::{BoxFuture, Clock, Env, Task};
use halley_shard::{
    ClusterId, Command, Reply, Revision, Settings, Shard, ShardCount, ShardId, Time, codec,
};

use crate::{
    Cluster, Following, LogError, ReadAnswer, ReadQuery, ShardLog,
    follow::{Feed, Source},
    limits,
};

/// How a memory log starts.
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// Its history; drawn at random by the binary.
    pub cluster: ClusterId,
    /// Its shards.
    pub shards: ShardCount,
    /// Every shard's first settings.
    pub settings: Settings,
}

/// [`crate::ShardLog`] without a disk.
#[derive(Debug)]
pub struct MemoryLog {
    cluster: Cluster,
    shards: Vec<Arc<Source>>,
    env: Env,
    ticker: Mutex<Option<Task>>,
}

impl MemoryLog {
    /// Starts it, with a task that lets time pass.
    #[must_use]
    pub fn start(config: MemoryConfig, env: Env) -> Arc<Self> {
        Self::keeping(config, env, limits::FEED_ENTRIES_MAX)
    }

    /// Starts it with room for at most `entries` applied commands a shard for its followers.
    #[must_use]
    pub fn keeping(config: MemoryConfig, env: Env, entries: usize) -> Arc<Self> {
        let MemoryConfig {
            cluster: id,
            shards: count,
            settings,
        } = config;
        let source = |_| Source::new(Feed::new(Shard::new(settings.clone())).keeping(entries));
        let shards: Vec<_> = count.ids().map(source).collect();
        let ticking = let_time_pass(shards.clone(), Arc::clone(&env.clock));
        let ticker = Mutex::new(Some(env.spawn.spawn("memory-ticker", Box::pin(ticking))));
        let cluster = Cluster { id, shards: count };
        Arc::new(Self {
            cluster,
            shards,
            env,
            ticker,
        })
    }

    /// Ends its task; whoever follows is told, commands are refused from now on.
    pub async fn close(&self) {
        self.shards.iter().for_each(|source| source.close());
        let ticker = self
            .ticker
            .lock()
            .expect("nobody panics holding the task")
            .take();
        if let Some(task) = ticker {
            task.stop().await;
        }
    }

    fn source(&self, shard: ShardId) -> Result<&Arc<Source>, LogError> {
        self.shards
            .get(usize::from(shard.get()))
            .ok_or(LogError::NoLeader { shard })
    }
}

/// Proposes a tick a second where one would change anything.
async fn let_time_pass(shards: Vec<Arc<Source>>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(limits::TICK_EVERY).await;
        let now = Time::new(clock.wall_ms());
        for source in &shards {
            if source.with(|feed| feed.shard().is_due(now)) {
                source.apply(now, Command::Tick);
            }
        }
    }
}

impl ShardLog for MemoryLog {
    fn cluster(&self) -> Option<Cluster> {
        Some(self.cluster)
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        Box::pin(std::future::ready(self.cluster))
    }

    fn submit(
        &self,
        shard: ShardId,
        command: Bytes,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>> {
        let submitted = self.source(shard).and_then(|source| {
            let command = codec::decode_command(&command)
                .map_err(|error| LogError::Unreadable(error.to_string()))?;
            let now = Time::new(self.env.clock.wall_ms());
            source.apply(now, command).ok_or(LogError::Draining)
        });
        Box::pin(std::future::ready(submitted))
    }

    fn follow(&self, shard: ShardId) -> Box<dyn Following> {
        let source = self
            .source(shard)
            .expect("followers know the cluster's shards");
        source.follow(Arc::clone(&self.env.clock))
    }

    fn read(
        &self,
        shard: ShardId,
        query: ReadQuery,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        Box::pin(async move {
            let source = self.source(shard)?;
            source
                .reach(at_least, self.env.clock.as_ref(), deadline)
                .await?;
            Ok(source.read(&query))
        })
    }

    fn barrier(
        &self,
        shard: ShardId,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, LogError>> {
        let head = self.source(shard).map(|source| source.with(Feed::head));
        Box::pin(std::future::ready(head))
    }
}

#[cfg(test)]
mod tests;
