//! What callers publish and read.

use std::fmt;

use bytes::Bytes;

use crate::{ClientError, error, proto::v1};

/// An event to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    /// Where to, such as `/stocks/goog`.
    pub channel: String,
    /// The payload, at most 64 KiB by default.
    pub data: Bytes,
    /// Media type of the payload; JSON when not given.
    pub content_type: Option<String>,
    /// The event's type, at most 64 bytes.
    pub event_type: Option<String>,
    /// The publisher's own id, at most 64 bytes.
    pub id: Option<String>,
    /// Names and values, at most 8 and 1 KiB together.
    pub headers: Vec<(String, String)>,
    /// At most 128 bytes; a repetition within ten minutes, by whomever, gets the first result. One is drawn when not
    /// given, except on a [`crate::PublishStream`], which needs none.
    pub key: Option<String>,
    /// Scope of `key`; only with one.
    pub producer: Option<String>,
}

impl Publish {
    /// JSON, as text.
    #[must_use]
    pub fn json(channel: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            channel: channel.into(),
            data: data.into(),
            ..Self::default()
        }
    }

    /// Anything else.
    #[must_use]
    pub fn new(
        channel: impl Into<String>,
        content_type: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Self {
        Self {
            content_type: Some(content_type.into()),
            ..Self::json(channel, data)
        }
    }

    pub(crate) fn into_request(self) -> v1::PublishRequest {
        let header = |(name, value)| v1::Header { name, value };
        v1::PublishRequest {
            channel: self.channel,
            data: self.data,
            content_type: self.content_type.unwrap_or_default(),
            r#type: self.event_type.unwrap_or_default(),
            id: self.id.unwrap_or_default(),
            headers: self.headers.into_iter().map(header).collect(),
            idempotency_key: self.key.unwrap_or_default(),
            producer: self.producer.unwrap_or_default(),
            sequence: 0,
        }
    }
}

/// An acknowledged event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its channel.
    pub channel: String,
    /// Its place there.
    pub offset: u64,
    /// Reading on from here, on any node, begins right behind it.
    pub cursor: String,
    /// It had been published under the caller's own key before. A client's own retries are no duplicates.
    pub duplicate: bool,
}

impl Published {
    pub(crate) fn of(result: v1::PublishResult, own_key: bool) -> Self {
        Self {
            channel: result.channel,
            offset: result.offset,
            cursor: result.cursor,
            duplicate: result.duplicate && own_key,
        }
    }
}

/// One answer inside of many.
pub(crate) fn outcome(
    outcome: Option<v1::PublishOutcome>,
    own_key: bool,
) -> Result<Published, ClientError> {
    match outcome.and_then(|outcome| outcome.outcome) {
        Some(v1::publish_outcome::Outcome::Result(result)) => Ok(Published::of(result, own_key)),
        Some(v1::publish_outcome::Outcome::Error(v1::Error { code, detail })) => {
            Err(ClientError::Refused {
                code,
                detail,
                retry: None,
            })
        }
        None => Err(ClientError::no_answer("an answer without an outcome")),
    }
}

/// Whether the answer may be another one later.
pub(crate) fn is_passing(answer: &Result<Published, ClientError>) -> bool {
    match answer {
        Err(ClientError::Refused { code, .. }) => error::is_passing(code),
        Err(other) => other.is_retryable(),
        Ok(_) => false,
    }
}

/// Where a reader starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// With what comes next.
    #[default]
    Latest,
    /// With the oldest retained event.
    Earliest,
    /// With the newest N events of all its channels together, 1 to 1,000.
    Last(u16),
    /// Right behind this cursor.
    Cursor(String),
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Earliest => f.write_str("earliest"),
            Self::Last(count) => write!(f, "last:{count}"),
            Self::Cursor(cursor) => f.write_str(cursor),
        }
    }
}

impl From<&str> for Since {
    /// As the contract writes it; what is none of the words is taken for a cursor, which the broker checks.
    fn from(text: &str) -> Self {
        match text {
            "latest" => Self::Latest,
            "earliest" => Self::Earliest,
            _ => match text
                .strip_prefix("last:")
                .and_then(|count| count.parse().ok())
            {
                Some(count) => Self::Last(count),
                None => Self::Cursor(text.to_owned()),
            },
        }
    }
}

/// A published event, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its channel.
    pub channel: String,
    /// Its place there.
    pub offset: u64,
    /// The reader's cursor behind it.
    pub cursor: String,
    /// The broker's stamp, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The publisher's type.
    pub event_type: Option<String>,
    /// The publisher's id.
    pub id: Option<String>,
    /// Names and values, in the publisher's order.
    pub headers: Vec<(String, String)>,
    /// Media type of the payload.
    pub content_type: String,
    /// The payload.
    pub data: Bytes,
}

impl Event {
    pub(crate) fn of(event: v1::Event) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self {
            channel: event.channel,
            offset: event.offset,
            cursor: event.cursor,
            time_ms: event.time_ms,
            event_type: given(event.r#type),
            id: given(event.id),
            headers: event
                .headers
                .into_iter()
                .map(|header| (header.name, header.value))
                .collect(),
            content_type: event.content_type,
            data: event.data,
        }
    }
}

/// Events that are gone before they were delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The channel, where it is known.
    pub channel: Option<String>,
    /// The pattern asked for, where the channel is not known.
    pub pattern: Option<String>,
    /// What was not delivered before this offset is gone.
    pub next: Option<u64>,
    /// `trimmed`, `recreated`, `unknown` or `foreign_cursor`.
    pub reason: String,
    /// The reader's cursor behind it.
    pub cursor: String,
}

impl Gap {
    pub(crate) fn of(gap: v1::Gap) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self {
            channel: given(gap.channel),
            pattern: given(gap.pattern),
            next: gap.next,
            reason: gap.reason,
            cursor: gap.cursor,
        }
    }
}

/// What a subscription gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Event(Event),
    /// Events are gone; delivery goes on with the oldest retained one.
    Gap(Gap),
}

/// How fresh a history must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// What this node has, never behind what it has delivered.
    #[default]
    Local,
    /// Everything acknowledged before the call.
    Linearizable,
}

/// Some of what is retained of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Where the next page starts.
    pub cursor: String,
    /// In order.
    pub events: Vec<Event>,
    /// What is gone before them.
    pub gaps: Vec<Gap>,
}

/// One channel in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its name.
    pub channel: String,
    /// Offset of the oldest retained event; `next_offset` when there is none.
    pub first_offset: u64,
    /// Offset that the next event will have.
    pub next_offset: u64,
    /// Retained events.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time of the newest event, milliseconds since the Unix epoch, if it is still known.
    pub last_time_ms: Option<u64>,
}

impl ChannelInfo {
    pub(crate) fn of(info: v1::ChannelInfo) -> Self {
        Self {
            channel: info.channel,
            first_offset: info.first_offset,
            next_offset: info.next_offset,
            events: info.events,
            bytes: info.bytes,
            last_time_ms: (info.last_time_ms != 0).then_some(info.last_time_ms),
        }
    }
}

/// Some channels by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPage {
    /// In name order.
    pub channels: Vec<ChannelInfo>,
    /// Asks for the next page; `None` on the last one.
    pub next_page: Option<String>,
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The channel existed. After a retry whose first attempt had been carried out it says `false`.
    pub existed: bool,
    /// A cursor behind the deletion.
    pub cursor: String,
}
