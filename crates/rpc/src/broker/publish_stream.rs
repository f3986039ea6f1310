//! `PublishStream`: a client's numbered publishes (contract.md, Once, *Sequence*), answered in order.
//!
//! Each names the stream's previous publish to the same shard. They are handed on at once, without waiting for
//! each other, so on their way they may overtake; what then comes back `out_of_sequence` although its
//! predecessor has been stored meanwhile is handed on again when its turn to be answered comes.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::stream::{self, BoxStream, FuturesOrdered, StreamExt};
use halley_log::{PublishError, Stream};
use halley_shard::{ChannelName, Cursor, ProducerId, Publication, Published, Refusal, ShardId};
use halley_wire::{Code, Rejection, publish};
use tonic::{Status, Streaming};

use super::{Broker, forms, publish as unary};
use crate::{
    limits,
    proto::v1::{self, publish_outcome::Outcome},
    status,
};

type Answer = Result<(Published, Cursor), Rejection>;

/// The answers to `requests`, in their order.
pub(super) fn results(
    broker: Broker,
    requests: Streaming<v1::PublishRequest>,
) -> BoxStream<'static, Result<v1::PublishStreamResponse, Status>> {
    let state = Publishing {
        broker: Arc::new(broker),
        requests: Some(requests),
        producer: None,
        last: 0,
        sent: BTreeMap::new(),
        stored: BTreeMap::new(),
        on_their_way: FuturesOrdered::new(),
        bytes: 0,
        ended_by: None,
    };
    stream::unfold(state, |mut state| async move {
        let answer = state.next().await?;
        Some((answer, state))
    })
    .boxed()
}

/// One publish that has been handed on, with its first answer.
struct OnItsWay {
    sequence: u64,
    channel: String,
    bytes: usize,
    /// What to hand on again; `None` for what was refused here.
    again: Option<(ShardId, Stream, Publication)>,
    answer: Result<(Published, Cursor), PublishOrRejection>,
}

enum PublishOrRejection {
    Publish(PublishError),
    Rejection(Rejection),
}

struct Publishing {
    broker: Arc<Broker>,
    /// `None` once the client has said all, or something that ends the stream.
    requests: Option<Streaming<v1::PublishRequest>>,
    producer: Option<ProducerId>,
    /// Number of the newest request.
    last: u64,
    /// Newest number handed on, by shard.
    sent: BTreeMap<ShardId, u64>,
    /// Newest number known to be stored, by shard.
    stored: BTreeMap<ShardId, u64>,
    on_their_way: FuturesOrdered<Pin<Box<dyn Future<Output = OnItsWay> + Send>>>,
    /// Payload bytes on their way.
    bytes: usize,
    /// Told once everything before has been answered.
    ended_by: Option<Status>,
}

impl Publishing {
    async fn next(&mut self) -> Option<Result<v1::PublishStreamResponse, Status>> {
        loop {
            if self.requests.is_none() && self.on_their_way.is_empty() {
                return self.ended_by.take().map(Err);
            }
            let room = self.on_their_way.len() < limits::STREAM_IN_FLIGHT_MAX
                && self.bytes < limits::STREAM_BYTES_MAX;
            let requests = self.requests.as_mut().filter(|_| room);
            tokio::select! {
                biased;
                Some(first) = self.on_their_way.next() => {
                    return Some(Ok(self.answer(first).await));
                }
                request = receive(requests) => match request {
                    Ok(Some(request)) => {
                        if let Err(rejection) = self.take(request) {
                            self.end(Some(self.broker.refuser.status(&rejection)));
                        }
                    }
                    Ok(None) => self.end(None),
                    Err(status) => {
                        let ours = status::of_transport(&status).unwrap_or(status);
                        self.end(Some(ours));
                    }
                },
            }
        }
    }

    fn end(&mut self, status: Option<Status>) {
        self.requests = None;
        self.ended_by = status;
    }

    /// Hands one request on. An error ends the stream: the numbers after it could not be trusted.
    fn take(&mut self, mut request: v1::PublishRequest) -> Result<(), Rejection> {
        unary::check_size(&request)?;
        let producer = self.producer(&std::mem::take(&mut request.producer))?;
        let sequence = request.sequence;
        if sequence <= self.last {
            return Err(Rejection::new(
                Code::ParameterInvalid,
                format!("sequence {sequence} does not rise above {}", self.last),
            ));
        }
        self.last = sequence;
        let channel = request.channel.clone();
        let bytes = request.data.len();
        self.bytes += bytes;
        let checked = publish::check(
            forms::publish_form(request),
            self.broker.config.payload_bytes_max,
        );
        let publication = match checked {
            Ok(publication) => publication,
            Err(rejection) => {
                self.push_refused(sequence, channel, bytes, rejection);
                return Ok(());
            }
        };
        let shard = self.shard_of(&publication.channel)?;
        let previous = self.sent.insert(shard, sequence);
        let stream = Stream {
            producer,
            sequence,
            previous,
        };
        let broker = Arc::clone(&self.broker);
        self.on_their_way.push_back(Box::pin(async move {
            let answer = hand_on(&broker, stream, publication.clone()).await;
            let again = Some((shard, stream, publication));
            let answer = answer.map_err(PublishOrRejection::Publish);
            OnItsWay {
                sequence,
                channel,
                bytes,
                again,
                answer,
            }
        }));
        Ok(())
    }

    fn push_refused(&mut self, sequence: u64, channel: String, bytes: usize, why: Rejection) {
        let answer = Err(PublishOrRejection::Rejection(why));
        let refused = OnItsWay {
            sequence,
            channel,
            bytes,
            again: None,
            answer,
        };
        self.on_their_way
            .push_back(Box::pin(std::future::ready(refused)));
    }

    fn shard_of(&self, channel: &ChannelName) -> Result<ShardId, Rejection> {
        Ok(self.broker.cluster()?.shards.shard_of(channel.hash64()))
    }

    /// The stream's id, named by its first request and by none in another way.
    fn producer(&mut self, text: &str) -> Result<ProducerId, Rejection> {
        let named = match (text, self.producer) {
            ("", Some(producer)) => return Ok(producer),
            (text, _) => parse_producer(text)?,
        };
        match self.producer.replace(named) {
            Some(before) if before != named => Err(Rejection::new(
                Code::ParameterInvalid,
                "a stream has one producer, named by its first message",
            )),
            _ => Ok(named),
        }
    }

    /// The answer to the oldest publish.
    async fn answer(&mut self, first: OnItsWay) -> v1::PublishStreamResponse {
        let OnItsWay {
            sequence,
            channel,
            bytes,
            again,
            answer,
        } = first;
        self.bytes -= bytes;
        let answer: Answer = match (answer, again) {
            (answer, Some((shard, stream, publication))) => {
                let answer = self.settle(shard, stream, publication, answer).await;
                if answer.is_ok() {
                    self.stored.insert(shard, sequence);
                }
                answer
            }
            (Ok(stored), None) => Ok(stored),
            (Err(error), None) => Err(rejection(error)),
        };
        let outcome = match answer {
            Ok((published, place)) => {
                Outcome::Result(forms::result(channel.clone(), published, &place))
            }
            Err(rejection) => Outcome::Error(status::in_answer(rejection)),
        };
        let outcome = v1::PublishOutcome {
            outcome: Some(outcome),
            channel,
        };
        v1::PublishStreamResponse {
            sequence,
            outcome: Some(outcome),
        }
    }

    /// `answer`, or a second one where the first only says that this publish has overtaken its predecessor.
    async fn settle(
        &mut self,
        shard: ShardId,
        stream: Stream,
        publication: Publication,
        answer: Result<(Published, Cursor), PublishOrRejection>,
    ) -> Answer {
        let overtook = matches!(
            &answer,
            Err(PublishOrRejection::Publish(PublishError::Refused(
                Refusal::OutOfSequence { .. }
            )))
        );
        let predecessor_stored =
            stream.previous.is_some() && self.stored.get(&shard).copied() == stream.previous;
        if overtook && predecessor_stored {
            let second = hand_on(&self.broker, stream, publication).await;
            return second.map_err(|error| status::of_publish(&error));
        }
        answer.map_err(rejection)
    }
}

fn rejection(error: PublishOrRejection) -> Rejection {
    match error {
        PublishOrRejection::Publish(error) => status::of_publish(&error),
        PublishOrRejection::Rejection(rejection) => rejection,
    }
}

async fn hand_on(
    broker: &Broker,
    stream: Stream,
    publication: Publication,
) -> Result<(Published, Cursor), PublishError> {
    let deadline: Duration = broker.config.deadline;
    broker
        .publisher
        .publish_numbered(stream, publication, deadline)
        .await
}

/// The next request, if any is to be read.
async fn receive(
    requests: Option<&mut Streaming<v1::PublishRequest>>,
) -> Result<Option<v1::PublishRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}

/// 32 hexadecimal digits.
fn parse_producer(text: &str) -> Result<ProducerId, Rejection> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    number
        .map(|number| ProducerId(number.to_be_bytes()))
        .ok_or_else(|| {
            Rejection::new(
                Code::ParameterInvalid,
                format!(
                    "the stream's producer has {} bytes, 32 hexadecimal digits are needed",
                    text.len()
                ),
            )
        })
}
