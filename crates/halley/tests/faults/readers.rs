//! Readers that hop with their cursor: every few seconds, or when their node ends, to another node and transport.
//!
//! Invariant: a reader takes the next offset of a channel and nothing else; what it has seen it never asks for again.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use halley_client::{Client, Delivery, Since};
use halley_env::{Env, Rng as _, SystemRng};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    load::{CHANNELS, Door, GROUPS},
    record::Record,
    support::{http, sse},
};

/// How the id of a channel's last event begins.
pub(crate) const END: &str = "end";
/// How long a reader stays at one node at least and at most, in milliseconds.
const STAY_MS: (u64, u64) = (1_000, 4_000);

/// Waits between `least` and `most` milliseconds.
pub(crate) async fn rest(least: u64, most: u64) {
    tokio::time::sleep(between(least, most)).await;
}

fn between(least: u64, most: u64) -> Duration {
    Duration::from_millis(least + SystemRng.below(most - least))
}

/// One subscriber, wherever it is.
#[derive(Debug)]
pub(crate) struct Reader {
    who: String,
    pattern: String,
    doors: Vec<Door>,
    record: Arc<Record>,
    cursor: String,
    /// By channel, the last offset.
    seen: BTreeMap<String, u64>,
    /// Channels whose end was seen.
    ended: usize,
    hops: usize,
}

impl Reader {
    /// Reads the channels of group `number` from their beginning.
    pub(crate) fn new(number: usize, doors: Vec<Door>, record: Arc<Record>) -> Self {
        Self {
            who: format!("reader {number}"),
            pattern: format!("/faults/g{}/*", number % GROUPS),
            doors,
            record,
            cursor: "earliest".into(),
            seen: BTreeMap::new(),
            ended: 0,
            hops: 0,
        }
    }

    /// How often it went elsewhere.
    pub(crate) fn hops(&self) -> usize {
        self.hops
    }

    /// Reads until the end of all its channels.
    pub(crate) async fn run(mut self) -> Self {
        while !self.has_ended() {
            let draw = |count: usize| {
                usize::try_from(SystemRng.below(count as u64)).expect("below a usize")
            };
            let door = self.doors[draw(self.doors.len())];
            let leave = Instant::now() + between(STAY_MS.0, STAY_MS.1);
            let _left_in_time = match draw(3) {
                0 => timeout_at(leave, self.read_sse(door.http)).await,
                1 => timeout_at(leave, self.read_polls(door.http)).await,
                _ => timeout_at(leave, self.read_grpc(door.grpc)).await,
            };
            self.hops += 1;
            if Instant::now() < leave {
                rest(50, 250).await;
            }
        }
        self
    }

    /// Asserts that it has every acknowledged event: offsets rise by one from 1, so the last one says it.
    pub(crate) fn assert_has_all(&self) {
        assert_eq!(self.seen.len(), CHANNELS, "{}", self.who);
        for (channel, last) in &self.seen {
            let head = self.record.head(channel);
            assert!(*last >= head, "{} ended at {last} of {head}", self.who);
        }
    }

    fn has_ended(&self) -> bool {
        self.ended == CHANNELS
    }

    fn wrong(&self, what: &str) {
        self.record.wrong(format!("{}: {what}", self.who));
    }

    fn note(&mut self, channel: &str, offset: u64, id: &str) {
        let last = self.seen.entry(channel.to_owned()).or_default();
        let wanted = *last + 1;
        *last = offset;
        if offset != wanted {
            self.wrong(&format!("{channel}: {offset} came, not {wanted}"));
        }
        self.record.seen(&self.who, channel, offset, id);
        self.ended += usize::from(id.starts_with(END));
    }

    fn note_envelope(&mut self, envelope: &Value) {
        let text = |key: &str| envelope[key].as_str();
        match (text("channel"), envelope["offset"].as_u64(), text("id")) {
            (Some(channel), Some(offset), Some(id)) => self.note(channel, offset, id),
            _ => self.wrong(&format!("no envelope: {envelope}")),
        }
    }

    async fn read_sse(&mut self, at: SocketAddr) {
        let (since, id) = match self.cursor.as_str() {
            "earliest" => ("&since=earliest", None),
            cursor => ("", Some(cursor)),
        };
        let path = format!("/v1/sse?channel={}{since}", self.pattern);
        let mut stream = match sse::Stream::open(at, &path, id).await {
            Ok(stream) => stream,
            Err(error) => {
                let said = error.to_string();
                if said.starts_with("status") {
                    self.wrong(&format!("an event stream was answered with {said}"));
                }
                return;
            }
        };
        while let Some(event) = stream.next().await {
            match event.kind.as_str() {
                "cursor" => {}
                "gap" => self.wrong(&event.data),
                _ => self.note_envelope(&event.json()),
            }
            self.cursor = event.id;
            if self.has_ended() {
                return;
            }
        }
    }

    async fn read_polls(&mut self, at: SocketAddr) {
        while !self.has_ended() {
            let path = format!(
                "/v1/poll?channel={}&since={}&limit=200&wait=3",
                self.pattern, self.cursor
            );
            let Ok(answer) = http::get(at, &path, &[]).await else {
                return;
            };
            match answer.status {
                200 => {}
                503 => return,
                status => {
                    self.wrong(&format!("a poll was answered {status} {:?}", answer.body));
                    return;
                }
            }
            let body = answer.json();
            if let Some(gaps) = body.get("gaps") {
                self.wrong(&gaps.to_string());
            }
            let cursor = body["cursor"].as_str().unwrap_or_default().to_owned();
            for event in body["events"].as_array().map_or(&[][..], Vec::as_slice) {
                self.note_envelope(event);
            }
            self.cursor = cursor;
        }
    }

    async fn read_grpc(&mut self, at: SocketAddr) {
        let client = Client::connect([at.to_string()], Env::system()).expect("an endpoint");
        let since = Since::from(self.cursor.as_str());
        let mut subscription = client.subscribe([self.pattern.clone()], since);
        while !self.has_ended() {
            match subscription.next().await {
                Ok(Delivery::Event(event)) => {
                    let id = event.id.as_deref().unwrap_or_default();
                    self.note(&event.channel, event.offset, id);
                    self.cursor = event.cursor;
                }
                Ok(Delivery::Gap(gap)) => {
                    self.wrong(&format!("{gap:?}"));
                    self.cursor = gap.cursor;
                }
                Err(error) => {
                    if !error.is_retryable() {
                        self.wrong(&format!("a subscription ended: {error}"));
                    }
                    return;
                }
            }
        }
    }
}
