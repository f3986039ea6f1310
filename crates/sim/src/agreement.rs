//! Whether all replicas hold the same: every channel's figures and retained events, shard by shard.
//!
//! Invariant: asked only in calm; time still passes in the log then, so that answers of different moments may differ
//! for a while.

use std::{sync::Arc, time::Duration};

use halley_log::{HistoryStart, ReadAnswer, ReadQuery, ShardLog};
use halley_shard::{Budget, ChannelInfo, Event, Item, Next, Revision, ShardId};

use crate::broker::Broker;

/// Time for one reading.
const PATIENCE: Duration = Duration::from_secs(20);
/// Comparisons, half a second apart, before they disagree for good.
const TRIES: u32 = 100;
/// More than a shard of a run holds.
const EVERYTHING: Budget = Budget {
    items: 1_000_000,
    bytes: usize::MAX,
    scanned: usize::MAX,
};

/// What one replica holds of one shard.
type Held = Vec<(ChannelInfo, Vec<Item<Arc<Event>>>)>;

/// Waits until all replicas hold the same, and holds it against what was promised.
pub(crate) async fn reached(broker: &Broker) -> Result<(), String> {
    for shard in broker.plan.shards.ids() {
        let mut tries = 0;
        let held = loop {
            let all = all(broker, shard).await?;
            let differing = all.iter().position(|held| *held != all[0]);
            match differing {
                None => break all.into_iter().next().unwrap_or_default(),
                Some(index) if tries == TRIES => {
                    return Err(format!(
                        "shard {shard}: n1 and n{} disagree: {:?} and {:?}",
                        index + 1,
                        all[0],
                        all[index]
                    ));
                }
                Some(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        promised(broker, &held)?;
    }
    Ok(())
}

async fn all(broker: &Broker, shard: ShardId) -> Result<Vec<Held>, String> {
    let mut logs = Vec::new();
    for node in &broker.nodes {
        logs.push(
            node.log()
                .ok_or_else(|| format!("{node:?} does not run in calm"))?,
        );
    }
    let head = logs[0].barrier(shard, PATIENCE).await;
    let head = head.map_err(|error| format!("no barrier in calm: {error}"))?;
    let mut all = Vec::new();
    for (index, log) in logs.iter().enumerate() {
        let held = held(log.as_ref(), shard, head).await;
        all.push(held.map_err(|error| format!("n{}: {error}", index + 1))?);
    }
    Ok(all)
}

async fn held(log: &dyn ShardLog, shard: ShardId, head: Revision) -> Result<Held, String> {
    let channels = ReadQuery::Channels {
        after: None,
        pattern: None,
        count: u32::MAX,
    };
    let ReadAnswer::Channels(page) = read(log, shard, channels, head).await? else {
        return Err("no answer to the question for channels".to_owned());
    };
    let mut held = Vec::new();
    for info in page.channels {
        let history = ReadQuery::History {
            channel: info.name.clone(),
            start: HistoryStart::After(Revision::new(0)),
            budget: EVERYTHING,
        };
        match read(log, shard, history, head).await? {
            ReadAnswer::History(Next::Items { items, .. }) => held.push((info, items)),
            other => return Err(format!("no history of {}: {other:?}", info.name)),
        }
    }
    Ok(held)
}

async fn read(
    log: &dyn ShardLog,
    shard: ShardId,
    query: ReadQuery,
    head: Revision,
) -> Result<ReadAnswer, String> {
    let answer = log.read(shard, query, head, PATIENCE).await;
    answer.map_err(|error| format!("no reading in calm: {error}"))
}

/// What the replicas agree on is what publishers and subscribers were told.
fn promised(broker: &Broker, held: &Held) -> Result<(), String> {
    for (info, items) in held {
        let name = info.name.as_str();
        broker.oracle.continues(name, info.next_offset.get())?;
        for item in items {
            let Item::Event(event) = item else { continue };
            let value = std::str::from_utf8(event.data()).ok();
            let value = value.and_then(|text| text.parse().ok());
            let value = value.ok_or_else(|| format!("{name}: unreadable data"))?;
            broker.oracle.holds(name, event.offset().get(), value)?;
        }
    }
    Ok(())
}
