//! Server-Sent Events, read as the HTML standard says.

use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

use super::http::{self, Broken};

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// `message` when not said.
    pub(crate) kind: String,
    pub(crate) data: String,
    /// The last id as of this event.
    pub(crate) id: String,
}

impl Event {
    /// The data as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.data))
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    parser: Parser,
    ready: std::collections::VecDeque<Event>,
}

impl Stream {
    /// Opens one; `last_event_id` as a browser that reconnects would send it.
    pub(crate) async fn open(
        at: SocketAddr,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<Self, Broken> {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last_event_id.map(|id| ("last-event-id", id)));
        let answer = http::open(at, http::request("GET", at, path, &headers, Bytes::new())).await?;
        if answer.status() != 200 {
            return Err(format!("status {}", answer.status()).into());
        }
        Ok(Self {
            body: answer.into_body(),
            parser: Parser::default(),
            ready: [].into(),
        })
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.ready.extend(self.parser.push(&bytes));
            }
        }
    }
}

/// Bytes to events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    last_id: String,
}

impl Parser {
    /// Takes bytes, gives the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8(line).expect("event streams are UTF-8");
            events.extend(self.line(line.trim_end_matches('\r')));
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.kind = value.into(),
            "id" => self.last_id = value.into(),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        if event.kind.is_empty() {
            event.kind = "message".into();
        }
        event.id.clone_from(&self.last_id);
        Some(event)
    }
}
