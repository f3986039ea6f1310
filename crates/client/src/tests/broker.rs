//! A broker of one channel that remembers what it was sent and fails as its script says.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{StreamExt, stream, stream::BoxStream};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

use crate::proto::v1::{
    self, broker_server, publish_outcome::Outcome, subscribe_response::Delivery,
};

/// What befalls one call, or one event of a batch or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Carried out.
    Well,
    /// Refused under this code.
    Refused(&'static str),
    /// Carried out, and the answer is lost.
    Lost,
}

#[derive(Debug, Default)]
struct State {
    fates: VecDeque<Fate>,
    keys_seen: Vec<String>,
    /// What is stored, by key or number: its offset.
    stored: HashMap<String, u64>,
    log: Vec<String>,
    subscribed_since: Vec<String>,
}

/// The broker; clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Broker(Arc<Mutex<State>>);

impl Broker {
    /// Serves on a port of its own, as long as its runtime lives.
    pub(super) async fn start(fates: &[Fate]) -> (Self, SocketAddr) {
        Self::serve(fates, Server::builder()).await
    }

    /// The same with a transport of the caller's.
    pub(super) async fn serve(fates: &[Fate], mut server: Server) -> (Self, SocketAddr) {
        let broker = Self::default();
        broker.state().fates.extend(fates);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let service = broker_server::BrokerServer::new(broker.clone());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
        (broker, address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Payloads in the order in which they were stored.
    pub(super) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Keys in the order in which they came.
    pub(super) fn keys_seen(&self) -> Vec<String> {
        self.state().keys_seen.clone()
    }

    /// `since` of each subscription.
    pub(super) fn subscribed_since(&self) -> Vec<String> {
        self.state().subscribed_since.clone()
    }

    fn fate(&self) -> Fate {
        self.state().fates.pop_front().unwrap_or(Fate::Well)
    }

    fn store(&self, key: &str, request: &v1::PublishRequest) -> v1::PublishResult {
        let mut state = self.state();
        state.keys_seen.push(key.to_owned());
        let known = state.stored.get(key).copied();
        let offset = known.unwrap_or_else(|| {
            state
                .log
                .push(String::from_utf8_lossy(&request.data).into_owned());
            let offset = state.log.len() as u64;
            state.stored.insert(key.to_owned(), offset);
            offset
        });
        v1::PublishResult {
            channel: request.channel.clone(),
            offset,
            cursor: format!("c.{offset}"),
            duplicate: known.is_some(),
        }
    }
}

fn status(code: &str) -> Status {
    let details = ErrorDetails::with_error_info(code, "halley", HashMap::new());
    Status::with_error_details(Code::Unavailable, "by script", details)
}

fn refused(code: &str) -> Outcome {
    Outcome::Error(v1::Error {
        code: code.to_owned(),
        detail: "by script".to_owned(),
    })
}

fn progress(offset: u64) -> Delivery {
    Delivery::Progress(v1::Progress {
        cursor: format!("c.{offset}"),
    })
}

#[tonic::async_trait]
impl broker_server::Broker for Broker {
    type PublishStreamStream = BoxStream<'static, Result<v1::PublishStreamResponse, Status>>;
    type SubscribeStream = BoxStream<'static, Result<v1::SubscribeResponse, Status>>;

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResult>, Status> {
        let request = request.into_inner();
        match self.fate() {
            Fate::Refused(code) => {
                self.state().keys_seen.push(request.idempotency_key);
                Err(status(code))
            }
            Fate::Lost => {
                self.store(&request.idempotency_key.clone(), &request);
                Err(Status::unavailable("reset"))
            }
            Fate::Well => Ok(Response::new(
                self.store(&request.idempotency_key.clone(), &request),
            )),
        }
    }

    async fn publish_batch(
        &self,
        request: Request<v1::PublishBatchRequest>,
    ) -> Result<Response<v1::PublishBatchResponse>, Status> {
        let mut has_failed = false;
        let mut results = Vec::new();
        for event in request.into_inner().events {
            let fate = if has_failed {
                Fate::Refused("aborted")
            } else {
                self.fate()
            };
            let outcome = match fate {
                Fate::Refused(code) => {
                    has_failed = true;
                    refused(code)
                }
                Fate::Well | Fate::Lost => {
                    Outcome::Result(self.store(&event.idempotency_key.clone(), &event))
                }
            };
            results.push(v1::PublishOutcome {
                outcome: Some(outcome),
                channel: event.channel,
            });
        }
        Ok(Response::new(v1::PublishBatchResponse { results }))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let state = Some((self.clone(), request.into_inner(), None::<String>, false));
        let answers = stream::unfold(state, |state| async move {
            let (broker, mut requests, mut producer, mut broken) = state?;
            let request = requests.message().await.ok().flatten()?;
            let producer = producer
                .get_or_insert_with(|| request.producer.clone())
                .clone();
            assert_eq!(producer.len(), 32, "the first message names the producer");
            let sequence = request.sequence;
            // After one that could not be stored, its successors lack their predecessor.
            let fate = if broken {
                Fate::Refused("out_of_sequence")
            } else {
                broker.fate()
            };
            broken |= matches!(fate, Fate::Refused(code) if code != "body_invalid");
            let outcome = match fate {
                Fate::Well => {
                    let key = format!("{producer} {sequence}");
                    Outcome::Result(broker.store(&key, &request))
                }
                Fate::Lost => {
                    broker.store(&format!("{producer} {sequence}"), &request);
                    return Some((Err(Status::unavailable("reset")), None));
                }
                Fate::Refused(code) => refused(code),
            };
            let outcome = v1::PublishOutcome {
                outcome: Some(outcome),
                channel: request.channel,
            };
            let answer = v1::PublishStreamResponse {
                sequence,
                outcome: Some(outcome),
            };
            Some((Ok(answer), Some((broker, requests, Some(producer), broken))))
        });
        Ok(Response::new(answers.boxed()))
    }

    /// Events 1 to 9 are there; each stream gives two of them and then meets its fate.
    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let since = request.into_inner().since;
        self.state().subscribed_since.push(since.clone());
        let place: u64 = since
            .strip_prefix("c.")
            .and_then(|place| place.parse().ok())
            .unwrap_or(0);
        let fate = self.fate();
        if let Fate::Refused(code) = fate {
            return Err(status(code));
        }
        let mut deliveries = vec![Ok(progress(place))];
        for offset in (place + 1..=9).take(2) {
            let event = v1::Event {
                channel: "/a".to_owned(),
                offset,
                cursor: format!("c.{offset}"),
                ..Default::default()
            };
            deliveries.push(Ok(Delivery::Event(event)));
        }
        let last = (place + 2).min(9);
        deliveries.push(match fate {
            Fate::Lost => Err(Status::unavailable("reset")),
            Fate::Well | Fate::Refused(_) => Ok(Delivery::End(v1::End {
                reason: "draining".to_owned(),
                retry_ms: 1,
                cursor: format!("c.{last}"),
            })),
        });
        let deliveries = deliveries.into_iter().map(|delivery| {
            delivery.map(|delivery| v1::SubscribeResponse {
                delivery: Some(delivery),
            })
        });
        Ok(Response::new(stream::iter(deliveries).boxed()))
    }

    async fn history(
        &self,
        _request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        Ok(Response::new(v1::HistoryResponse {
            cursor: "c.0".to_owned(),
            ..Default::default()
        }))
    }

    async fn get_channel(
        &self,
        request: Request<v1::GetChannelRequest>,
    ) -> Result<Response<v1::ChannelInfo>, Status> {
        let channel = request.into_inner().channel;
        Ok(Response::new(v1::ChannelInfo {
            channel,
            ..Default::default()
        }))
    }

    async fn list_channels(
        &self,
        _request: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn delete_channel(
        &self,
        _request: Request<v1::DeleteChannelRequest>,
    ) -> Result<Response<v1::DeleteChannelResponse>, Status> {
        Err(status("channel_invalid"))
    }
}
