//! The load: publishers to every node in every way, readers that hop, and one record of what they were told.
//!
//! Invariant: a publish ends acknowledged, or of unknown outcome when it had no key; nothing else is put up with.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use halley_client::{Client, ClientConfig, ClientError, Publish, PublishStream, Published};
use halley_env::Env;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, timeout},
};

use crate::{
    readers::{self, Reader},
    record::Record,
    support::{http, until, within},
};

/// Readers of one group of channels each; every group has the same number of them.
const READERS: usize = 50;
/// Groups of channels.
pub(crate) const GROUPS: usize = 10;
/// Channels of a group.
pub(crate) const CHANNELS: usize = 2;
/// Publishes a second of one publisher; with every way at every one of three nodes more than 500.
const RATE: u64 = 50;
/// Publishes of one publisher on their way.
const IN_FLIGHT: usize = 64;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a publish is tried; longer than anything that these scenarios do to a cluster.
const DEADLINE: Duration = Duration::from_secs(90);

/// Where a node is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

/// The channel with this number.
pub(crate) fn channel(number: usize) -> String {
    let number = number % (GROUPS * CHANNELS);
    format!("/faults/g{}/c{}", number % GROUPS, number / GROUPS)
}

/// How a publisher publishes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// gRPC, under a key of its own or one that the client draws, by turns.
    Grpc,
    /// A numbered gRPC stream.
    Stream,
    /// HTTP under a key.
    Key,
    /// HTTP without one.
    Plain,
}

const WAYS: [Way; 4] = [Way::Grpc, Way::Stream, Way::Key, Way::Plain];

/// The prefix of what publishers of numbered streams publish.
const STREAM: &str = "stream";

/// Everything that runs beside a fault.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) record: Arc<Record>,
    replicas: Vec<Door>,
    enough: Arc<AtomicBool>,
    publishers: JoinSet<()>,
    readers: JoinSet<Reader>,
}

impl Load {
    /// Publishers to all of `replicas`, readers there and at `edges`; returns when events flow.
    pub(crate) async fn start(replicas: &[Door], edges: &[Door]) -> Self {
        let mut load = Self {
            record: Arc::default(),
            replicas: replicas.to_vec(),
            enough: Arc::default(),
            publishers: JoinSet::new(),
            readers: JoinSet::new(),
        };
        let doors: Vec<Door> = replicas.iter().chain(edges).copied().collect();
        for number in 0..READERS {
            let reader = Reader::new(number, doors.clone(), Arc::clone(&load.record));
            load.readers.spawn(reader.run());
        }
        for way in WAYS {
            for home in 0..replicas.len() {
                let mut doors = replicas.to_vec();
                doors.rotate_left(home);
                let who = format!("{}{home}", format!("{way:?}").to_lowercase());
                let publisher = Publisher::new(who, way, doors, &load.record);
                let publisher = publisher.run(Arc::clone(&load.enough));
                load.publishers.spawn(publisher);
            }
        }
        load.flows(1_000).await;
        load
    }

    /// Waits for `count` more acknowledgements.
    pub(crate) async fn flows(&self, count: usize) {
        let goal = self.record.count() + count;
        until("more acknowledgements", async || {
            self.record.assert_whole();
            (self.record.count() >= goal).then_some(())
        })
        .await;
    }

    /// Waits for the acknowledgement of a publish that was begun after `from` to a channel that `counts`.
    pub(crate) async fn first_since(
        &self,
        from: Instant,
        counts: impl Fn(&str) -> bool,
    ) -> Duration {
        let first = until("an acknowledgement after the fault", async || {
            self.record.assert_whole();
            self.record.first_since(from, &counts)
        });
        first.await.duration_since(from)
    }

    /// Ends the publishers, waits until every reader has everything, and checks it all.
    pub(crate) async fn finish(mut self) -> String {
        self.enough.store(true, Ordering::Relaxed);
        within("the publishers", async {
            while let Some(ended) = self.publishers.join_next().await {
                ended.expect("no publisher panicked");
            }
        })
        .await;
        for number in 0..GROUPS * CHANNELS {
            let channel = channel(number);
            let id = format!("{}{channel}", readers::END);
            publish_keyed(&self.replicas, &channel, &id, &self.record).await;
        }
        let mut hops = 0;
        while !self.readers.is_empty() {
            let reader = until("a reader's end", async || {
                self.record.assert_whole();
                self.readers.try_join_next()
            });
            let reader = reader.await.expect("no reader panicked");
            reader.assert_has_all();
            hops += reader.hops();
        }
        self.record.assert_complete();
        self.record.assert_ordered(STREAM);
        let summary = self.record.summary();
        let course = std::env::var_os("HALLEY_FAULT_COURSE").map(|_| self.record.course());
        let course = course.map_or_else(String::new, |course| format!("; by seconds: {course}"));
        format!("{summary}, {READERS} readers, {hops} hops{course}")
    }
}

/// One source of events, by one way, at home at the first of its doors.
#[derive(Debug)]
struct Publisher {
    who: String,
    way: Way,
    doors: Vec<Door>,
    client: Client,
    record: Arc<Record>,
}

impl Publisher {
    fn new(who: String, way: Way, doors: Vec<Door>, record: &Arc<Record>) -> Self {
        let config = ClientConfig {
            deadline: DEADLINE,
            attempt: ATTEMPT,
            ..ClientConfig::default()
        };
        let endpoints = doors.iter().map(|door| door.grpc.to_string());
        let client = Client::with_config(endpoints, config, Env::system());
        Self {
            who,
            way,
            doors,
            client: client.expect("endpoints"),
            record: Arc::clone(record),
        }
    }

    async fn run(self, enough: Arc<AtomicBool>) {
        let publisher = Arc::new(self);
        let stream = publisher.client.publish_stream();
        let mut pace = tokio::time::interval(Duration::from_millis(1_000 / RATE));
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut in_flight: JoinSet<()> = JoinSet::new();
        let mut number = 0;
        while !enough.load(Ordering::Relaxed) {
            pace.tick().await;
            while in_flight.len() >= IN_FLIGHT {
                let ended = in_flight.join_next().await.expect("there are some");
                ended.expect("no publish panicked");
            }
            publisher.spawn(number, &stream, &mut in_flight).await;
            number += 1;
        }
        while let Some(ended) = in_flight.join_next().await {
            ended.expect("no publish panicked");
        }
        stream.finish().await;
    }

    async fn spawn(
        self: &Arc<Self>,
        number: usize,
        stream: &PublishStream,
        in_flight: &mut JoinSet<()>,
    ) {
        let me = Arc::clone(self);
        let begun = Instant::now();
        let channel = channel(number);
        let id = format!("{}-{number}", me.who);
        match me.way {
            Way::Stream => {
                let receipt = stream.send(event(&channel, &id)).await;
                let receipt = receipt.expect("the stream lives");
                in_flight.spawn(async move { me.told(&id, begun, receipt.await) });
            }
            Way::Grpc => {
                let mut event = event(&channel, &id);
                event.key = number.is_multiple_of(2).then(|| id.clone());
                in_flight.spawn(async move {
                    let told = me.client.publish(event).await;
                    me.told(&id, begun, told);
                });
            }
            Way::Key => {
                in_flight.spawn(async move {
                    publish_keyed(&me.doors, &channel, &id, &me.record).await
                });
            }
            Way::Plain => {
                in_flight.spawn(async move {
                    publish_plain(&me.doors, &channel, &id, &me.record).await
                });
            }
        }
    }

    fn told(&self, id: &str, begun: Instant, told: Result<Published, ClientError>) {
        match told {
            Ok(told) => self
                .record
                .acknowledged(&told.channel, told.offset, id, begun),
            Err(error) => {
                self.record.unknown(id, "failed");
                self.record.wrong(format!("{id} failed for good: {error}"));
            }
        }
    }
}

fn event(channel: &str, id: &str) -> Publish {
    let mut event = Publish::json(channel, payload(id));
    event.id = Some(id.to_owned());
    event
}

/// A payload of an ordinary size that tells its event.
fn payload(id: &str) -> String {
    format!(r#"{{"id":"{id}","filling":"{}"}}"#, "x".repeat(100))
}

/// What one attempt over HTTP came to.
enum Outcome {
    Stored(u64),
    /// It was not stored.
    Passing,
    /// Nobody knows, and why.
    Unknown(&'static str),
    Refused(String),
}

async fn attempt(
    at: SocketAddr,
    channel: &str,
    id: &str,
    key: Option<&str>,
    patience: Duration,
) -> Outcome {
    let mut headers = vec![
        ("content-type", "application/json"),
        ("halley-event-id", id),
    ];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let path = format!("/v1/publish{channel}");
    let request = http::request("POST", at, &path, &headers, Bytes::from(payload(id)));
    match timeout(patience, http::ask(at, request)).await {
        Err(_) => Outcome::Unknown("no answer in time"),
        Ok(Err(error)) => match error.downcast_ref::<std::io::Error>() {
            Some(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Outcome::Passing
            }
            _ => Outcome::Unknown("connection broken"),
        },
        Ok(Ok(answer)) => match answer.status {
            200 => {
                let offset = answer.json().get("offset").and_then(Value::as_u64);
                offset.map_or(Outcome::Refused("no offset".into()), Outcome::Stored)
            }
            408 | 504 => Outcome::Unknown("told so"),
            503 => Outcome::Passing,
            status => Outcome::Refused(format!("{status} {:?}", answer.body)),
        },
    }
}

/// Publishes under its id as the key, again and again, from the first door on, until it is acknowledged.
pub(crate) async fn publish_keyed(doors: &[Door], channel: &str, id: &str, record: &Record) {
    let begun = Instant::now();
    for door in doors.iter().cycle() {
        match attempt(door.http, channel, id, Some(id), ATTEMPT).await {
            Outcome::Stored(offset) => return record.acknowledged(channel, offset, id, begun),
            Outcome::Refused(why) => {
                record.unknown(id, "refused");
                return record.wrong(format!("{id} was refused: {why}"));
            }
            Outcome::Passing | Outcome::Unknown(_) => record.retried(),
        }
        if begun.elapsed() > DEADLINE {
            record.unknown(id, "given up");
            return record.wrong(format!("{id} was not acknowledged in time"));
        }
        readers::rest(20, 80).await;
    }
}

/// The same, waiting at `home` for an answer before it goes on to `others`.
pub(crate) async fn publish_patiently(
    home: Door,
    others: &[Door],
    channel: &str,
    id: &str,
    record: &Record,
) {
    let begun = Instant::now();
    match attempt(home.http, channel, id, Some(id), DEADLINE).await {
        Outcome::Stored(offset) => record.acknowledged(channel, offset, id, begun),
        _ => publish_keyed(others, channel, id, record).await,
    }
}

/// Publishes without a key: again only after an answer that says that nothing was stored.
async fn publish_plain(doors: &[Door], channel: &str, id: &str, record: &Record) {
    let begun = Instant::now();
    for door in doors.iter().cycle() {
        match attempt(door.http, channel, id, None, ATTEMPT).await {
            Outcome::Stored(offset) => return record.acknowledged(channel, offset, id, begun),
            Outcome::Unknown(why) => return record.unknown(id, why),
            Outcome::Refused(why) => {
                record.unknown(id, "refused");
                return record.wrong(format!("{id} was refused: {why}"));
            }
            Outcome::Passing => record.retried(),
        }
        if begun.elapsed() > DEADLINE {
            record.unknown(id, "given up");
            return record.wrong(format!("{id} was not accepted in time"));
        }
        readers::rest(20, 80).await;
    }
}
