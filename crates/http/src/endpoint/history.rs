//! `/v1/history/{channel}`: what is retained of a channel, without a subscription.
//!
//! Invariant: an answer is never older than what this node's readers have been given.

use halley_log::{Cluster, HistoryStart, LogError, ReadAnswer, ReadQuery};
use halley_shard::{Cursor, Item, Next, Revision, ShardId, Since};
use halley_wire::{
    Code,
    cursor::format,
    framing::{Framing, Json},
    request::{HistoryForm, RequestParts, parse_history},
};
use hyper::{StatusCode, http::request::Parts};

use super::poll::tagged;
use crate::{
    answer::{Answer, JSON, whole},
    batch::Batch,
    front::Front,
    limits::answer_budget,
    reject::Reject,
};

/// Answers like a poll that does not wait for anything to happen.
pub(crate) async fn history(front: &Front, parts: &Parts, path: &str) -> Result<Answer, Reject> {
    let query = parts.uri.query().unwrap_or_default();
    let form = parse_history(RequestParts {
        path,
        query,
        ..RequestParts::default()
    })?;
    front.admit()?;
    let place = Place::find(front, &form).await?;
    let shard = place.shard;
    let mut at_least = front.hub().delivered(shard).max(place.least);
    if form.linearizable {
        let barrier = front
            .log()
            .barrier(shard, front.config().history_time)
            .await?;
        at_least = at_least.max(barrier);
    }
    let budget = answer_budget(form.limit);
    let query = ReadQuery::History {
        channel: form.channel,
        start: place.start,
        budget,
    };
    match front
        .log()
        .read(shard, query, at_least, front.config().history_time)
        .await
    {
        Ok(ReadAnswer::History(Next::Items { items, through, .. })) => {
            Ok(answer(&place, &items, through))
        }
        Ok(ReadAnswer::History(Next::Ahead { .. })) | Err(LogError::Behind { .. }) => {
            behind(front, &place).await
        }
        Ok(ReadAnswer::History(Next::NotHeld)) => Err(Reject::new(
            Code::NoLeader,
            "this node does not have the channel yet",
        )),
        Ok(ReadAnswer::Channel(_) | ReadAnswer::Channels(_)) => Err(Reject::new(
            Code::Internal,
            "the log answered another question",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Where reading starts.
#[derive(Debug)]
struct Place {
    cluster: Cluster,
    shard: ShardId,
    start: HistoryStart,
    /// What the client's cursor has seen of the shard.
    after: Option<Revision>,
    /// The least head of a copy that may answer.
    least: Revision,
    own: Option<Cursor>,
}

impl Place {
    async fn find(front: &Front, form: &HistoryForm) -> Result<Self, Reject> {
        let cluster = tokio::select! {
            biased;
            cluster = front.log().formed() => cluster,
            () = front.env().clock.sleep(front.config().history_time) => {
                return Err(Reject::new(Code::NoLeader, "this node does not know its cluster yet"));
            }
        };
        let shard = cluster.shards.shard_of(form.channel.hash64());
        let mut place = Self {
            cluster,
            shard,
            start: HistoryStart::Latest,
            after: None,
            least: Revision::ZERO,
            own: None,
        };
        place.start = match &form.since {
            Since::Latest => HistoryStart::Latest,
            Since::Earliest => HistoryStart::After(Revision::ZERO),
            Since::Last(count) => HistoryStart::Last(*count),
            Since::Cursor(cursor) => {
                check(cursor, cluster)?;
                place.after = cursor.get(shard);
                place.least = cursor.least(shard);
                place.own = Some(cursor.clone());
                place
                    .after
                    .map_or(HistoryStart::Latest, HistoryStart::After)
            }
        };
        Ok(place)
    }

    fn cursor(&self, revision: Revision) -> String {
        format(&Cursor::single(self.cluster.id, self.shard, revision))
    }
}

fn check(cursor: &Cursor, cluster: Cluster) -> Result<(), Reject> {
    if cursor.cluster() != cluster.id {
        let detail = "the cursor belongs to another cluster, or to one before a restore";
        return Err(Reject::new(Code::CursorForeign, detail));
    }
    let count = cluster.shards.get();
    match cursor
        .positions()
        .iter()
        .find(|(shard, _)| shard.get() >= count)
    {
        None => Ok(()),
        Some((shard, _)) => {
            let detail = format!("the cursor names shard {shard}, this cluster has {count}");
            Err(Reject::new(Code::CursorInvalid, detail))
        }
    }
}

fn answer(
    place: &Place,
    items: &[Item<std::sync::Arc<halley_shard::Event>>],
    through: Revision,
) -> Answer {
    let mut batch = Batch::new(false);
    let mut reached = None;
    let mut whole_batch = true;
    for item in items {
        let (fits, revision) = match item {
            Item::Event(event) => {
                let envelope = Json.event(event).fill(&place.cursor(event.revision()));
                (batch.event(event, &envelope), event.revision())
            }
            Item::Gap(gap) => (batch.gap(gap, &place.cursor(gap.revision)), gap.revision),
        };
        if !fits {
            whole_batch = false;
            break;
        }
        reached = Some(revision);
    }
    let revision = match reached {
        Some(reached) if !whole_batch => reached,
        _ => through,
    };
    let cursor = place.cursor(revision);
    tagged(whole(StatusCode::OK, JSON, batch.finish(&cursor)), &cursor)
}

/// This node lags behind the cursor (or behind the leader, where that was asked for): the leader says which.
async fn behind(front: &Front, place: &Place) -> Result<Answer, Reject> {
    let (Some(own), Some(_)) = (&place.own, place.after) else {
        return Err(Reject::new(
            Code::NoLeader,
            "this node lags behind what was asked for",
        ));
    };
    let head = front
        .log()
        .barrier(place.shard, front.config().history_time / 10)
        .await?;
    if place.least > head {
        metrics::counter!("halley_cursor_ahead_total").increment(1);
        tracing::error!(shard = %place.shard, cursor = %place.least, %head, "a reader has seen more than the leader has");
        return Err(halley_hub::EndReason::CursorAhead.into());
    }
    let cursor = format(own);
    Ok(tagged(
        whole(StatusCode::OK, JSON, Batch::new(false).finish(&cursor)),
        &cursor,
    ))
}
