//! The carrier of event streams: a body that takes from its subscription whenever the socket wants more.
//!
//! Invariant: at most one chunk of a subscriber exists at a time, so a slow reader costs its lag in the
//! windows that everybody shares, and nothing else. Dropping the body ends the subscription.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use halley_env::BoxFuture;
use halley_hub::{Delivery, EndReason, SubscribeRequest, Subscription};
use halley_shard::{Retained, Since};
use halley_wire::{cursor::format, framing::Framing};

use crate::{
    frame::frame,
    front::Front,
    limits::{RETRY_LATER_MS, RETRY_MS, STREAM_BUDGET},
    meters::Held,
};

/// What a stream is made of.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What was asked for, to ask again from the oldest event if the cursor turns out to be ahead.
    pub(crate) request: SubscribeRequest,
    /// The subscription.
    pub(crate) subscription: Subscription,
    /// How deliveries look.
    pub(crate) framing: Box<dyn Framing>,
    /// Bytes of padding.
    pub(crate) padding: usize,
}

/// The chunks of a stream.
pub(crate) fn chunks(front: Arc<Front>, opening: Opening) -> impl Stream<Item = Bytes> + Send {
    let reader = Reader::new(front, opening);
    futures_util::stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next_chunk().await?;
        Some((chunk, reader))
    })
}

/// Milliseconds until an EventSource should come back, drawn for each.
pub(crate) fn retry_ms(front: &Front, (least, spread): (u64, u64)) -> u64 {
    least + front.env().rng.below(spread)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Live,
    Over,
}

struct Reader {
    front: Arc<Front>,
    request: SubscribeRequest,
    subscription: Subscription,
    framing: Box<dyn Framing>,
    padding: usize,
    phase: Phase,
    /// Nothing was left at the last reading: what comes next is live.
    caught_up: bool,
    /// When bytes were given last.
    spoke: Duration,
    /// Completes at the earliest moment that a sign of life can be due.
    keepalive: BoxFuture<'static, ()>,
    /// Completes when this stream should end because the node does.
    turn: BoxFuture<'static, ()>,
    held: Held,
}

impl Reader {
    fn new(front: Arc<Front>, opening: Opening) -> Self {
        let clock = &front.env().clock;
        Self {
            request: opening.request,
            subscription: opening.subscription,
            framing: opening.framing,
            padding: opening.padding,
            phase: Phase::Opening,
            caught_up: false,
            spoke: clock.monotonic(),
            keepalive: clock.sleep(front.config().keepalive),
            turn: front.drain().turn(),
            held: front.meters().sse.open(),
            front,
        }
    }

    /// The next bytes; `None` at the end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = match self.phase {
            Phase::Opening => self.opening(),
            Phase::Live => self.live_chunk().await,
            Phase::Over => return None,
        };
        self.spoke = self.front.env().clock.monotonic();
        Some(chunk)
    }

    fn opening(&mut self) -> Bytes {
        self.phase = Phase::Live;
        let opening = self
            .framing
            .opening(self.padding, retry_ms(&self.front, RETRY_MS));
        let progress = self.framing.progress(&format(&self.subscription.cursor()));
        [opening, progress].concat().into()
    }

    async fn live_chunk(&mut self) -> Bytes {
        loop {
            if (&mut self.turn).now_or_never().is_some() {
                return self.ending("drain");
            }
            match self.subscription.take(STREAM_BUDGET) {
                Ok(deliveries) if !deliveries.is_empty() => return self.encode(&deliveries),
                Ok(_) => self.caught_up = true,
                Err(EndReason::CursorAhead) => {
                    if !self.start_over().await {
                        return self.ending("cursor_ahead");
                    }
                    continue;
                }
                // The stream's own turn comes later than the hub's word: whoever drains the hub at once
                // wants the streams to end at once.
                Err(EndReason::Draining) => return self.ending("drain"),
                Err(EndReason::Behind) => return self.ending("behind"),
                Err(EndReason::NoLeader) => return self.ending("no_leader"),
            }
            tokio::select! {
                biased;
                () = self.subscription.ready() => {}
                () = &mut self.turn => return self.ending("drain"),
                () = &mut self.keepalive => {
                    if let Some(chunk) = self.sign_of_life() {
                        return chunk;
                    }
                }
            }
            tokio::task::consume_budget().await;
        }
    }

    /// The sign of life, if nothing was said for long enough; and sets the alarm for the next one.
    fn sign_of_life(&mut self) -> Option<Bytes> {
        let clock = &self.front.env().clock;
        let every = self.front.config().keepalive;
        let quiet = clock.monotonic().saturating_sub(self.spoke);
        let due = quiet >= every;
        self.keepalive = clock.sleep(if due { every } else { every - quiet });
        due.then(|| self.framing.progress(&format(&self.subscription.cursor())))
    }

    fn encode(&mut self, deliveries: &[Delivery]) -> Bytes {
        let mut events = 0;
        let mut frames = deliveries.iter().map(|delivery| match delivery {
            Delivery::Event { event, cursor } => {
                events += 1;
                frame(event, self.framing.as_ref(), cursor, || format(cursor))
            }
            Delivery::Gap { gap, cursor } => self.framing.gap(gap, &format(cursor)),
        });
        // One event is the rule on a live stream: its frame is shared by all subscribers as it is.
        let chunk = match deliveries {
            [_] => frames.next().expect("one delivery has one frame"),
            _ => frames.collect::<Vec<_>>().concat().into(),
        };
        self.front.meters().sse.note_delivered(events, chunk.len());
        if std::mem::take(&mut self.caught_up)
            && let Some(Delivery::Event { event, .. }) = deliveries.last()
        {
            let now = self.front.env().clock.wall_ms();
            self.front
                .meters()
                .note_trip(now, event.event().time().get());
        }
        chunk
    }

    /// An EventSource sends its cursor for ever: one beyond the head is told as a gap, and reading starts
    /// with the oldest retained event.
    async fn start_over(&mut self) -> bool {
        self.request.since = Since::Earliest;
        self.request.unreadable = true;
        match self.front.hub().subscribe(self.request.clone()).await {
            Ok(subscription) => {
                self.subscription = subscription;
                true
            }
            Err(_) => false,
        }
    }

    fn ending(&mut self, reason: &'static str) -> Bytes {
        self.phase = Phase::Over;
        self.held.because(reason);
        self.framing.ending(retry_ms(&self.front, RETRY_LATER_MS))
    }
}
