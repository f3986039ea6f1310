//! The carrier of polls: waits until there is something, gives all of it at once, and ends.

use std::time::Duration;

use halley_hub::{Delivery, EndReason, SubscribeError, SubscribeRequest, Subscription};
use halley_shard::{Budget, Cursor, Retained, Since};
use halley_wire::{cursor::format, framing::Json};

use crate::{batch::Batch, frame::frame, front::Front, limits::HOLDING_TIME};

/// What there was.
#[derive(Debug)]
pub(crate) struct Given {
    /// Events and gaps, maybe none.
    pub(crate) batch: Batch,
    /// The cursor behind them; the client's own while this node is behind it.
    pub(crate) cursor: Cursor,
    /// The newest event was waited for: when it was stamped.
    pub(crate) stamped_ms: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No subscription.
    Refused(SubscribeError),
    /// It ended.
    Ended(EndReason),
}

/// Reads once: waits up to `wait` for the first delivery, then takes what is there within `budget`.
pub(crate) async fn read(
    front: &Front,
    request: SubscribeRequest,
    wait: Duration,
    budget: Budget,
    data_only: bool,
) -> Result<Given, Failure> {
    let clock = &front.env().clock;
    let began = clock.monotonic();
    let own = match &request.since {
        Since::Cursor(cursor) if !request.unreadable => Some(cursor.clone()),
        _ => None,
    };
    let mut subscription = front
        .hub()
        .subscribe(request)
        .await
        .map_err(Failure::Refused)?;
    let left = wait.saturating_sub(clock.monotonic().saturating_sub(began));
    let gather = own.is_none();
    let taken = wait_for(front, &mut subscription, left, gather, budget).await;
    let taken = match taken {
        Ok(taken) => taken,
        Err(EndReason::Behind) => Taken::default(),
        Err(EndReason::Draining) if own.is_some() => Taken::default(),
        Err(reason) => return Err(Failure::Ended(reason)),
    };
    let mut batch = Batch::new(data_only);
    let stopped = fill(&mut batch, &taken.deliveries);
    let cursor = stopped.unwrap_or_else(|| subscription.cursor());
    let newest = taken.deliveries.last().filter(|_| taken.waited);
    let stamped_ms = newest.and_then(|delivery| match delivery {
        Delivery::Event { event, .. } => Some(event.event().time().get()),
        Delivery::Gap { .. } => None,
    });
    Ok(Given {
        batch,
        cursor,
        stamped_ms,
    })
}

#[derive(Debug, Default)]
struct Taken {
    deliveries: Vec<Delivery>,
    /// Nothing was there at first.
    waited: bool,
}

/// Waits for the first delivery. Whoever brought no cursor has no lag of ours to wait for, but the channels
/// themselves may not be known here yet: with `gather`, those are waited for as well, for a moment.
async fn wait_for(
    front: &Front,
    subscription: &mut Subscription,
    patience: Duration,
    mut gather: bool,
    mut budget: Budget,
) -> Result<Taken, EndReason> {
    let clock = &front.env().clock;
    let mut patience = clock.sleep(patience);
    let mut gathering = clock.sleep(HOLDING_TIME);
    let mut drained = front.drain().begins();
    let mut over = false;
    let mut taken = Taken::default();
    loop {
        let more = match subscription.take(budget) {
            Ok(more) => more,
            // What has been taken lies behind the cursor already: it is given, and the end told next time.
            Err(_) if !taken.deliveries.is_empty() => return Ok(taken),
            Err(reason) => return Err(reason),
        };
        budget.items -= more.len().min(budget.items);
        taken.deliveries.extend(more);
        let partial = gather && subscription.verdict().await == Some(EndReason::Behind);
        if budget.items == 0 || !(partial || taken.deliveries.is_empty()) {
            return Ok(taken);
        }
        if over && !partial {
            return subscription.verdict().await.map_or(Ok(taken), Err);
        }
        tokio::select! {
            biased;
            () = subscription.ready() => taken.waited = true,
            _ = &mut drained => return Ok(taken),
            () = &mut patience, if !over => over = true,
            () = &mut gathering, if gather => gather = false,
        }
        tokio::task::consume_budget().await;
    }
}

/// Fills the answer; when not everything fits, gives the cursor behind what did.
fn fill(batch: &mut Batch, deliveries: &[Delivery]) -> Option<Cursor> {
    let mut behind = None;
    for delivery in deliveries {
        let (fits, cursor) = match delivery {
            Delivery::Event { event, cursor } => {
                let envelope = frame(event, &Json, cursor, || format(cursor));
                (batch.event(event.event(), &envelope), cursor)
            }
            Delivery::Gap { gap, cursor } => (batch.gap(gap, &format(cursor)), cursor),
        };
        if !fits {
            return behind;
        }
        behind = Some(cursor.clone());
    }
    None
}
