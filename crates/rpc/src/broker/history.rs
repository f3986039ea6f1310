//! `History`: what is retained of one channel, never behind what this node has delivered.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use halley_log::{HistoryStart, LogError, ReadAnswer, ReadQuery};
use halley_shard::{
    Budget, Cursor, Event, Item, Next, Revision, ShardId, Since, limits as shard_limits,
};
use halley_wire::{Code, Rejection, cursor, request};

use super::{Broker, channel, forms, page};
use crate::{limits, proto::v1, status};

/// Where a reader starts, and what it has seen already.
struct Start {
    from: HistoryStart,
    /// Revision of its own cursor.
    seen: Revision,
}

pub(super) async fn history(
    broker: &Broker,
    asked: &v1::HistoryRequest,
    deadline: Duration,
) -> Result<v1::HistoryResponse, Rejection> {
    let channel = channel(&asked.channel)?;
    let limit = page("limit", asked.limit)?;
    let cluster = broker.cluster()?;
    let shard = cluster.shards.shard_of(channel.hash64());
    let start = start(broker, &asked.since, shard)?;
    let mut at_least = broker.hub.delivered(shard);
    if asked.consistency() == v1::Consistency::Linearizable {
        let barrier = broker.log().barrier(shard, deadline).await;
        at_least = at_least.max(barrier.map_err(|error| status::of_log(&error))?);
    }
    let budget = Budget {
        items: limit as usize,
        bytes: shard_limits::ANSWER_BYTES_MAX,
        scanned: limits::HISTORY_SCANNED,
    };
    let query = ReadQuery::History {
        channel,
        start: start.from,
        budget,
    };
    let within = deadline.min(broker.config.patience);
    let answer = broker
        .log()
        .read(shard, query, at_least.max(start.seen), within)
        .await;
    match answer {
        Ok(ReadAnswer::History(Next::Items { items, through, .. })) => {
            Ok(response(cluster.id, shard, items, through))
        }
        Ok(ReadAnswer::History(Next::Ahead { .. })) | Err(LogError::Behind { .. })
            if start.seen > at_least =>
        {
            behind(broker, asked, shard, start.seen).await
        }
        Err(error) => Err(status::of_log(&error)),
        Ok(_) => Err(Rejection::new(
            Code::NoLeader,
            "this node does not hold the channel yet",
        )),
    }
}

fn start(broker: &Broker, since: &str, shard: ShardId) -> Result<Start, Rejection> {
    let since = match since {
        "" => Since::Earliest,
        text => request::since(text)?,
    };
    let from = match since {
        Since::Earliest => HistoryStart::After(Revision::ZERO),
        Since::Latest => HistoryStart::Latest,
        Since::Last(count) => HistoryStart::Last(count),
        Since::Cursor(place) => {
            check(broker, &place)?;
            let seen = place.get(shard);
            let from = seen.map_or(HistoryStart::Latest, HistoryStart::After);
            return Ok(Start {
                from,
                seen: place.least(shard),
            });
        }
    };
    Ok(Start {
        from,
        seen: Revision::ZERO,
    })
}

/// Refuses a cursor of another history, or of shards that there are not.
fn check(broker: &Broker, place: &Cursor) -> Result<(), Rejection> {
    use halley_hub::SubscribeError::{CursorForeign, CursorInvalid};

    let cluster = broker.cluster()?;
    if place.cluster() != cluster.id {
        return Err(status::of_subscribe(&CursorForeign));
    }
    let beyond = place
        .positions()
        .iter()
        .find(|(shard, _)| shard.get() >= cluster.shards.get());
    match beyond {
        Some((shard, _)) => Err(status::of_subscribe(&CursorInvalid(shard.get()))),
        None => Ok(()),
    }
}

/// The answer to a cursor that this node did not reach in time: nothing, and the caller's own cursor; unless no
/// node has ever given it out.
async fn behind(
    broker: &Broker,
    asked: &v1::HistoryRequest,
    shard: ShardId,
    seen: Revision,
) -> Result<v1::HistoryResponse, Rejection> {
    let head = broker.log().barrier(shard, broker.config.patience).await;
    let head = head.map_err(|error| status::of_log(&error))?;
    if seen > head {
        metrics::counter!("halley_cursor_ahead_total").increment(1);
        tracing::error!(%shard, cursor = %seen, %head, "a reader has seen more than the leader has");
        return Err(Rejection::new(
            Code::CursorAhead,
            format!("the cursor is at {seen} of shard {shard}, whose leader is at {head}"),
        ));
    }
    Ok(v1::HistoryResponse {
        cursor: asked.since.clone(),
        events: Vec::new(),
        gaps: Vec::new(),
    })
}

/// An answer has its gaps before its events; a gap that belongs behind one of them begins the next answer.
fn response(
    cluster: halley_shard::ClusterId,
    shard: ShardId,
    items: Vec<Item<Arc<Event>>>,
    through: Revision,
) -> v1::HistoryResponse {
    let text = |revision| cursor::format(&Cursor::single(cluster, shard, revision));
    let (mut events, mut gaps): (Vec<v1::Event>, Vec<v1::Gap>) = (Vec::new(), Vec::new());
    let mut place = Revision::ZERO;
    for item in items {
        match item {
            Item::Gap(_) if !events.is_empty() => {
                return v1::HistoryResponse {
                    cursor: text(place),
                    events,
                    gaps,
                };
            }
            Item::Gap(gap) => gaps.push(forms::gap(&gap, text(gap.revision))),
            Item::Event(event) => {
                place = event.revision();
                let data = Bytes::copy_from_slice(event.data());
                events.push(forms::event(&event, data, text(place)));
            }
        }
    }
    v1::HistoryResponse {
        cursor: text(through),
        events,
        gaps,
    }
}
