//! Publishers that never stop trying, what was acknowledged to them, and the nodes' histories held against it.
//!
//! Invariant: every publish has a key and is repeated until it is acknowledged, so the book has no unknowns.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use halley_client::{Client, Consistency, Publish, Since};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use super::cluster::{Replica, client, payload};
use crate::support::{
    PATIENCE,
    ledger::{Ledger, Seen},
    sse, until, within,
};

/// Spread over both shards.
const CHANNELS: [&str; 4] = ["/members/a", "/members/b", "/members/c", "/members/d"];

/// The member of a payload that only makes it large.
const PADDING: &str = "pad";

/// What was acknowledged, and the same by place.
type Acknowledged = (Ledger, BTreeMap<(&'static str, u64), Value>);

/// Publishers at work.
#[derive(Debug)]
pub(crate) struct Writers {
    ledger: Arc<Mutex<Acknowledged>>,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    /// The longest time without any acknowledgement.
    longest: Arc<Mutex<(Instant, Duration)>>,
}

impl Writers {
    /// `count` publishers through `endpoints`, each with one event on its way, `pause` between two, and `bytes` of
    /// padding in each.
    fn start(count: usize, endpoints: &[SocketAddr], pause: Duration, bytes: usize) -> Self {
        let writers = Self {
            ledger: Arc::default(),
            acknowledged: Arc::default(),
            stop: Arc::default(),
            tasks: Vec::new(),
            longest: Arc::new(Mutex::new((Instant::now(), Duration::ZERO))),
        };
        let tasks = (0..count).map(|number| {
            let mut endpoints = endpoints.to_vec();
            let turn = number % endpoints.len();
            endpoints.rotate_left(turn);
            let client = client(endpoints, Duration::from_secs(10));
            let one = One {
                who: format!("w{number}"),
                client,
                ledger: Arc::clone(&writers.ledger),
                acknowledged: Arc::clone(&writers.acknowledged),
                stop: Arc::clone(&writers.stop),
                longest: Arc::clone(&writers.longest),
                padding: "x".repeat(bytes),
            };
            tokio::spawn(one.run(pause))
        });
        let tasks = tasks.collect();
        Self { tasks, ..writers }
    }

    /// Two of them, at a modest pace.
    pub(crate) fn modest(endpoints: &[SocketAddr]) -> Self {
        Self::start(2, endpoints, Duration::from_millis(5), 0)
    }

    /// `count` of them without pauses, with large payloads.
    pub(crate) fn with_payload(count: usize, endpoints: &[SocketAddr], bytes: usize) -> Self {
        Self::start(count, endpoints, Duration::ZERO, bytes)
    }

    /// Waits until `count` more are acknowledged, to whoever.
    pub(crate) async fn more(&self, count: u64) {
        let wanted = self.acknowledged.load(Ordering::Acquire) + count;
        until(
            &format!("{count} more acknowledged publishes"),
            async || {
                self.check_alive();
                (self.acknowledged.load(Ordering::Acquire) >= wanted).then_some(())
            },
        )
        .await;
    }

    /// Publishes acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// The longest time so far in which nothing was acknowledged.
    pub(crate) fn longest_silence(&self) -> Duration {
        let longest = self.longest.lock().expect("nobody panics with it");
        longest.1.max(longest.0.elapsed())
    }

    /// Asserts that all publishers still publish.
    pub(crate) fn check_alive(&self) {
        let finished = self.tasks.iter().any(JoinHandle::is_finished);
        assert!(!finished, "a publisher ended early: it panicked");
    }

    /// Lets each publisher end what it has begun.
    pub(crate) async fn end(self) -> Book {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            within("the end of a publisher", task)
                .await
                .expect("no offset was given out twice");
        }
        let (ledger, places) = self.ledger.lock().expect("no publisher panicked").clone();
        Book { ledger, places }
    }
}

struct One {
    who: String,
    client: Client,
    ledger: Arc<Mutex<Acknowledged>>,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    longest: Arc<Mutex<(Instant, Duration)>>,
    padding: String,
}

impl One {
    async fn run(self, pause: Duration) {
        let mut number = 0;
        while !self.stop.load(Ordering::Acquire) {
            number += 1;
            let index = usize::try_from(number).expect("small") % CHANNELS.len();
            self.publish(CHANNELS[index], number).await;
            tokio::time::sleep(pause).await;
        }
    }

    async fn publish(&self, channel: &'static str, number: u64) {
        let data = payload(&self.who, number);
        let mut padded = data.clone();
        if !self.padding.is_empty() {
            padded[PADDING] = self.padding.clone().into();
        }
        let mut event = Publish::json(channel, padded.to_string());
        event.key = Some(format!("{}-{number}", self.who));
        event.producer = Some("members".into());
        loop {
            if let Ok(published) = self.client.publish(event.clone()).await {
                let mut ledger = self.ledger.lock().expect("nobody panics with it");
                ledger.0.note(channel, published.offset, data.clone());
                ledger.1.insert((channel, published.offset), data);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.acknowledged.fetch_add(1, Ordering::AcqRel);
        let mut longest = self.longest.lock().expect("nobody panics with it");
        longest.1 = longest.1.max(longest.0.elapsed());
        longest.0 = Instant::now();
    }
}

/// Everything that was acknowledged, and by who keeps to the rule above everything that was published.
#[derive(Debug)]
pub(crate) struct Book {
    ledger: Ledger,
    places: BTreeMap<(&'static str, u64), Value>,
}

impl Book {
    /// Events acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.ledger.len()
    }

    /// Asserts that each node's own history is exactly what was acknowledged, once it has caught up.
    pub(crate) async fn check(&self, nodes: &[&Replica]) {
        for node in nodes {
            let wait = Instant::now() + PATIENCE;
            let seen = loop {
                let seen = seen_by(node).await;
                if seen
                    .as_ref()
                    .is_ok_and(|seen| seen.len() >= self.ledger.len())
                {
                    break seen.expect("just looked at");
                }
                assert!(
                    Instant::now() < wait,
                    "{} has {:?} of {} events",
                    node.name,
                    seen.map(|seen| seen.len()),
                    self.ledger.len()
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            self.ledger.check(&node.name, &seen);
        }
    }
}

impl Book {
    /// Asserts that what the node has kept is the end of what was acknowledged, once it has caught up.
    pub(crate) async fn check_tail(&self, node: &Replica) {
        for channel in CHANNELS {
            let offsets = self.places.keys().filter(|(name, _)| *name == channel);
            let Some((_, newest)) = offsets.max() else {
                continue;
            };
            let kept = until(
                &format!("{} has caught up on {channel}", node.name),
                async || {
                    let kept = history(node, channel).await.ok()?;
                    let last = kept.last()?["offset"].as_u64()?;
                    (last >= *newest).then_some(kept)
                },
            )
            .await;
            let first = kept[0]["offset"].as_u64().expect("an offset");
            let wanted: Vec<_> = (first..=*newest)
                .map(|offset| (offset, self.places.get(&(channel, offset)).cloned()))
                .collect();
            let kept: Vec<_> = kept
                .iter()
                .map(|envelope| {
                    let offset = envelope["offset"].as_u64().expect("an offset");
                    (offset, Some(envelope["data"].clone()))
                })
                .collect();
            assert_eq!(kept, wanted, "{} on {channel}", node.name);
        }
    }
}

/// A subscriber over SSE that stays with one node and comes back whenever it is sent away.
#[derive(Debug)]
pub(crate) struct Reader {
    who: String,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Reads all channels of the publishers from their beginning, at the http listener `at`.
    pub(crate) fn start(who: &str, at: SocketAddr) -> Self {
        let who = format!("the reader at {who}");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(read(who.clone(), at, Arc::clone(&seen)));
        Self { who, seen, task }
    }

    /// Waits until it has seen all of `book`, and asserts that it saw nothing else.
    pub(crate) async fn end(self, book: &Book) {
        until(&format!("{} sees all", self.who), async || {
            assert!(!self.task.is_finished(), "{} panicked", self.who);
            let count = self.seen.lock().expect("nobody panics with it").len();
            (count >= book.len()).then_some(())
        })
        .await;
        self.task.abort();
        let seen = self.seen.lock().expect("nobody panics with it").clone();
        book.ledger.check(&self.who, &seen);
    }
}

async fn read(who: String, at: SocketAddr, seen: Arc<Mutex<Seen>>) {
    let channels = CHANNELS
        .map(|channel| format!("channel={channel}"))
        .join("&");
    let mut cursor: Option<String> = None;
    loop {
        let path = match cursor {
            Some(_) => format!("/v1/sse?{channels}"),
            None => format!("/v1/sse?{channels}&since=earliest"),
        };
        if let Ok(mut stream) = sse::Stream::open(at, &path, cursor.as_deref()).await {
            while let Some(event) = stream.next().await {
                assert_ne!(event.kind, "gap", "{who}: {}", event.data);
                if event.kind != "cursor" {
                    let mut seen = seen.lock().expect("nobody panics with it");
                    seen.note(&who, &event.json());
                }
                cursor = Some(event.id);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// All that this node has by itself.
async fn seen_by(node: &Replica) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for channel in CHANNELS {
        for envelope in history(node, channel).await? {
            seen.note(&node.name, &envelope);
        }
    }
    Ok(seen)
}

/// What this node has of `channel`, whatever others have.
pub(crate) async fn history(node: &Replica, channel: &str) -> Result<Vec<Value>, String> {
    let client = node.client();
    let mut since = Since::Earliest;
    let mut all = Vec::new();
    loop {
        let page = client
            .history(channel, since, 1_000, Consistency::Local)
            .await
            .map_err(|error| error.to_string())?;
        if page.events.is_empty() {
            return Ok(all);
        }
        for event in page.events {
            let mut data: Value = serde_json::from_slice(&event.data).expect("JSON was published");
            if let Some(object) = data.as_object_mut() {
                object.remove(PADDING);
            }
            all.push(json!({"channel": event.channel, "offset": event.offset, "data": data}));
        }
        since = Since::Cursor(page.cursor);
    }
}
