//! The time that this node gives entries while it leads (replication.md, rule 11).
//!
//! Invariant: an entry is proposed with a time that the rule allows, or not at all.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use halley_env::BoxFuture;
use halley_log::LogError;
use halley_shard::{ShardId, Time};

use super::{Node, held};
use crate::{
    clock_rule::{Reading, Resolution, Stamp, Stamper},
    limits,
    packer::Stamping,
    question::{Ask, Say},
    raft::Runtime,
};

/// The stampers of all shards, each of the term that it was made in.
#[derive(Debug)]
pub(crate) struct Clocks(Vec<Mutex<Option<(u64, Stamper)>>>);

impl Clocks {
    pub(crate) fn new() -> Self {
        Self(
            (0..halley_shard::limits::SHARDS_MAX)
                .map(|_| Mutex::default())
                .collect(),
        )
    }
}

/// The time of one shard's entries.
struct ShardTime<R: Runtime> {
    node: Weak<Node<R>>,
    shard: ShardId,
}

impl<R: Runtime> Stamping for ShardTime<R> {
    fn stamp(&self) -> BoxFuture<'_, Result<Time, LogError>> {
        let shard = self.shard;
        Box::pin(async move {
            match self.node.upgrade() {
                Some(node) => node.stamp(shard).await,
                None => Err(LogError::Draining),
            }
        })
    }
}

impl<R: Runtime> Node<R> {
    /// What stamps a shard's entries.
    pub(super) fn stamping(self: &Arc<Self>, shard: ShardId) -> Arc<dyn Stamping> {
        Arc::new(ShardTime {
            node: Arc::downgrade(self),
            shard,
        })
    }

    fn clocks_now(&self) -> (u64, Duration) {
        let clock = &self.env.clock;
        (clock.wall_ms(), clock.monotonic())
    }

    async fn stamp(&self, id: ShardId) -> Result<Time, LogError> {
        let no_leader = LogError::NoLeader { shard: id };
        let Some(shard) = self.shard(id) else {
            return Err(no_leader);
        };
        self.proposals_may_go_on()?;
        let (wall, monotonic) = self.clocks_now();
        let floor = shard.source.with(|feed| feed.shard().time());
        let term = shard.group.told().term;
        let slot = &self.clocks.0[usize::from(id.get())];
        {
            let mut slot = held(slot);
            if slot.as_ref().is_none_or(|(of, _)| *of != term) {
                *slot = Some((term, Stamper::new(floor, monotonic)));
            }
            let (_, stamper) = slot.as_mut().expect("it was just made");
            if let Stamp::Use(time) = stamper.stamp(wall, monotonic) {
                return Ok(time.max(floor));
            }
        }
        let voters = shard.group.standing().voters;
        let readings = self.read_clocks(&voters).await;
        let (wall, monotonic) = self.clocks_now();
        let resolution = {
            let mut slot = held(slot);
            let (_, stamper) = slot.as_mut().ok_or(no_leader.clone())?;
            stamper.resolve(wall, monotonic, &readings, voters.len())
        };
        match resolution {
            Resolution::Taken(time) => {
                self.notice("clock", "");
                Ok(time.max(floor))
            }
            Resolution::Refused(why) => {
                metrics::counter!("halley_replica_clock_refused_total").increment(1);
                self.notice("clock", why);
                self.hand_group_over(&shard.group).await;
                Err(no_leader)
            }
        }
    }

    /// The clocks of other voters, of as many as make a majority with this node if they answer.
    async fn read_clocks(
        &self,
        voters: &std::collections::BTreeSet<crate::identity::NodeId>,
    ) -> Vec<Reading> {
        let others = voters.iter().filter(|voter| **voter != self.me());
        let reading = others.map(async |voter| {
            let asked = self.asker.ask(*voter, 0, Ask::Clock(()), limits::ASK_MAX);
            match asked.await {
                Ok(Say::Clock(theirs_ms)) => Some(Reading {
                    theirs_ms,
                    ours_ms: self.env.clock.wall_ms(),
                }),
                _ => None,
            }
        });
        let mut asked: FuturesUnordered<_> = reading.collect();
        let mut readings = Vec::new();
        // A majority decides; whoever is away is not waited for.
        while readings.len() < voters.len() / 2
            && let Some(read) = asked.next().await
        {
            readings.extend(read);
        }
        readings
    }
}
