//! `Subscribe`: a subscription of the hub as a stream of messages. A reader that does not read is not asked.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use halley_env::Env;
use halley_hub::{Delivery, EndReason, MemoSlot, SharedEvent, SubscribeRequest, Subscription};
use halley_shard::{Budget, Retained, Since};
use halley_wire::{Code, Rejection, cursor, request};
use tonic::Status;

use super::{Broker, forms};
use crate::{
    limits,
    proto::v1::{self, subscribe_response::Delivery as Message},
    status::{self, Refuser},
};

/// Where an event remembers its payload as shared bytes (`wire`'s framings have the slots below 4).
const PAYLOAD: MemoSlot = MemoSlot(4);

const BUDGET: Budget = Budget {
    items: limits::TAKE_ITEMS,
    bytes: limits::TAKE_BYTES,
    scanned: limits::TAKE_SCANNED,
};

/// What a subscriber is told, the opening cursor first.
pub(super) async fn deliveries(
    broker: &Broker,
    asked: &v1::SubscribeRequest,
) -> Result<BoxStream<'static, Result<v1::SubscribeResponse, Status>>, Rejection> {
    let interests = request::interests(asked.channels.iter().map(String::as_str))?;
    let since = match asked.since.as_str() {
        "" => Since::Latest,
        text => request::since(text)?,
    };
    let asked = SubscribeRequest {
        interests,
        since,
        tell_foreign: false,
        unreadable: false,
    };
    let subscribed = broker.hub.subscribe(asked).await;
    let mut subscription = subscribed.map_err(|error| status::of_subscribe(&error))?;
    let opening = progress(&mut subscription);
    let reading = Reading {
        subscription: Some(subscription),
        waiting: VecDeque::from([Ok(opening)]),
        every: broker.config.progress_every,
        env: broker.env.clone(),
        refuser: broker.refuser.clone(),
    };
    let messages = stream::unfold(reading, |mut reading| async move {
        let message = reading.next().await?;
        Some((
            message.map(|delivery| v1::SubscribeResponse {
                delivery: Some(delivery),
            }),
            reading,
        ))
    });
    Ok(messages.boxed())
}

struct Reading {
    /// `None` once the subscription has ended.
    subscription: Option<Subscription>,
    /// Taken, not sent yet: at most what one taking gives.
    waiting: VecDeque<Result<Message, Status>>,
    every: Duration,
    env: Env,
    refuser: Refuser,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Message, Status>> {
        while self.waiting.is_empty() {
            let subscription = self.subscription.as_mut()?;
            let taken = tokio::select! {
                taken = subscription.next(BUDGET) => taken,
                () = self.env.clock.sleep(self.every) => {
                    return Some(Ok(progress(subscription)));
                }
            };
            match taken {
                Ok(deliveries) => {
                    count(&deliveries);
                    self.waiting
                        .extend(deliveries.iter().map(|delivery| Ok(message(delivery))));
                }
                Err(reason) => {
                    let last = end(reason, subscription, &self.refuser);
                    self.subscription = None;
                    return Some(last);
                }
            }
        }
        self.waiting.pop_front()
    }
}

fn progress(subscription: &mut Subscription) -> Message {
    Message::Progress(v1::Progress {
        cursor: cursor::format(&subscription.cursor()),
    })
}

fn message(delivery: &Delivery) -> Message {
    match delivery {
        Delivery::Event { event, cursor } => Message::Event(forms::event(
            event.event(),
            payload(event),
            cursor::format(cursor),
        )),
        Delivery::Gap { gap, cursor } => Message::Gap(forms::gap(gap, cursor::format(cursor))),
    }
}

fn payload(event: &SharedEvent) -> Bytes {
    event
        .memo(PAYLOAD, |event| Bytes::copy_from_slice(event.data()))
        .clone()
}

fn count(deliveries: &[Delivery]) {
    let (mut events, mut bytes) = (0_u64, 0_u64);
    for delivery in deliveries {
        if let Delivery::Event { event, .. } = delivery {
            events += 1;
            bytes += event.event().data().len() as u64;
        }
    }
    metrics::counter!("halley_deliveries_total", "transport" => "grpc").increment(events);
    metrics::counter!("halley_delivered_bytes_total", "transport" => "grpc").increment(bytes);
}

/// The last message: what will pass is an `end`, what will not is an error.
fn end(
    reason: EndReason,
    subscription: &mut Subscription,
    refuser: &Refuser,
) -> Result<Message, Status> {
    let (reason, code) = match reason {
        EndReason::Draining => ("draining", Code::Draining),
        EndReason::Behind => ("behind", Code::Draining),
        EndReason::NoLeader => ("no_leader", Code::NoLeader),
        EndReason::CursorAhead => {
            let detail = "the cursor is beyond the newest event of its shard's leader";
            return Err(refuser.status(&Rejection::new(Code::CursorAhead, detail)));
        }
    };
    let retry = refuser.retry(code).unwrap_or_default();
    Ok(Message::End(v1::End {
        reason: reason.to_owned(),
        retry_ms: u64::try_from(retry.as_millis()).unwrap_or(u64::MAX),
        cursor: cursor::format(&subscription.cursor()),
    }))
}
