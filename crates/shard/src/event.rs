//! One published message, as it is kept and shared.
//!
//! Invariant: immutable, and its text and data live in one allocation of its own, so that keeping an event
//! never pins the batch it came in.

use std::fmt;

use crate::{ChannelName, Content, Offset, Revision, Time, limits};

/// A published message with its place in the order.
#[derive(PartialEq, Eq)]
pub struct Event {
    channel: ChannelName,
    offset: Offset,
    revision: Revision,
    time: Time,
    /// The channel began with this event above offset 1: its reader is told `recreated` before it.
    recreated: bool,
    body: Body,
}

/// Everything a window may hold: an event, or a node's own wrapping of one.
pub trait Retained: Clone {
    /// The event.
    fn event(&self) -> &Event;
}

impl Retained for std::sync::Arc<Event> {
    fn event(&self) -> &Event {
        self
    }
}

/// What the publisher said, in one allocation: lengths of header names and values, type, id, content type,
/// header names and values, data. All but the data and the lengths is UTF-8.
#[derive(PartialEq, Eq)]
struct Body {
    bytes: Box<[u8]>,
    type_bytes: Option<u8>,
    id_bytes: Option<u8>,
    content_type_bytes: u8,
    headers: u8,
}

/// Where an event stands.
pub(crate) struct Place {
    pub(crate) channel: ChannelName,
    pub(crate) offset: Offset,
    pub(crate) revision: Revision,
    pub(crate) time: Time,
    pub(crate) recreated: bool,
}

/// What its publisher said, borrowed.
pub(crate) struct Said<'a, H> {
    pub(crate) event_type: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) content_type: &'a str,
    pub(crate) headers: H,
    pub(crate) data: &'a [u8],
}

/// Bytes that one header's two lengths take in a [`Body`].
const LENGTHS_BYTES: usize = 4;

const _: () = assert!(limits::TYPE_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(limits::ID_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(limits::CONTENT_TYPE_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(limits::HEADERS_MAX <= u8::MAX as usize);
const _: () = assert!(limits::HEADER_BYTES_MAX <= u16::MAX as usize);

impl Event {
    /// An event with its place. `content` must be within [`limits`] (publishers are checked before, and so
    /// is every decoded command).
    #[must_use]
    pub fn new(
        channel: ChannelName,
        offset: Offset,
        revision: Revision,
        time: Time,
        recreated: bool,
        content: &Content,
    ) -> Self {
        let place = Place {
            channel,
            offset,
            revision,
            time,
            recreated,
        };
        let headers = content.headers.iter();
        let said = Said {
            event_type: content.event_type.as_deref(),
            id: content.id.as_deref(),
            content_type: &content.content_type,
            headers: headers.map(|(name, value)| (name.as_str(), value.as_str())),
            data: &content.data,
        };
        Self::at(place, said)
    }

    /// An event of borrowed parts, which must be within [`limits`].
    pub(crate) fn at<'a, H>(place: Place, said: Said<'a, H>) -> Self
    where
        H: ExactSizeIterator<Item = (&'a str, &'a str)> + Clone,
    {
        let Place {
            channel,
            offset,
            revision,
            time,
            recreated,
        } = place;
        Self {
            channel,
            offset,
            revision,
            time,
            recreated,
            body: Body::new(said),
        }
    }

    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Its place in the channel.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Its place in the shard.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The shard's stamp.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// Whether its channel began with it above offset 1.
    #[must_use]
    pub fn recreated(&self) -> bool {
        self.recreated
    }

    /// The publisher's type.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.body
            .type_bytes
            .map(|bytes| self.body.text(self.body.type_at(), bytes.into()))
    }

    /// Media type of the data.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.body.text(
            self.body.content_type_at(),
            self.body.content_type_bytes.into(),
        )
    }

    /// The publisher's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.body
            .id_bytes
            .map(|bytes| self.body.text(self.body.id_at(), bytes.into()))
    }

    /// Header names and values in the publisher's order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        let mut at = self.body.headers_at();
        (0..self.body.headers).map(move |index| {
            let (name_bytes, value_bytes) = self.body.lengths(index);
            let name = self.body.text(at, name_bytes);
            let value = self.body.text(at + name_bytes, value_bytes);
            at += name_bytes + value_bytes;
            (name, value)
        })
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.body.bytes[self.body.data_at()..]
    }

    /// What it counts for retention: its own bytes and [`limits::EVENT_OVERHEAD_BYTES`].
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.body.bytes.len() - self.body.type_at() + limits::EVENT_OVERHEAD_BYTES
    }
}

impl Body {
    fn new<'a, H>(said: Said<'a, H>) -> Self
    where
        H: ExactSizeIterator<Item = (&'a str, &'a str)> + Clone,
    {
        let Said {
            event_type,
            id,
            content_type,
            headers,
            data,
        } = said;
        let texts = [event_type, id, Some(content_type)];
        let text_bytes: usize = texts.iter().flatten().map(|text| text.len()).sum();
        let header_bytes: usize = headers
            .clone()
            .map(|(name, value)| name.len() + value.len() + LENGTHS_BYTES)
            .sum();

        let mut bytes = Vec::with_capacity(header_bytes + text_bytes + data.len());
        for (name, value) in headers.clone() {
            for text in [name, value] {
                let length =
                    u16::try_from(text.len()).expect("headers are within HEADER_BYTES_MAX");
                bytes.extend_from_slice(&length.to_le_bytes());
            }
        }
        for text in texts.into_iter().flatten() {
            bytes.extend_from_slice(text.as_bytes());
        }
        let header_count = headers.len();
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes.extend_from_slice(data);

        let short = |text: &str| u8::try_from(text.len()).expect("texts are within their limits");
        Self {
            bytes: bytes.into_boxed_slice(),
            type_bytes: event_type.map(short),
            id_bytes: id.map(short),
            content_type_bytes: short(content_type),
            headers: u8::try_from(header_count).expect("headers are within HEADERS_MAX"),
        }
    }

    fn type_at(&self) -> usize {
        usize::from(self.headers) * LENGTHS_BYTES
    }

    fn id_at(&self) -> usize {
        self.type_at() + usize::from(self.type_bytes.unwrap_or(0))
    }

    fn content_type_at(&self) -> usize {
        self.id_at() + usize::from(self.id_bytes.unwrap_or(0))
    }

    fn headers_at(&self) -> usize {
        self.content_type_at() + usize::from(self.content_type_bytes)
    }

    fn data_at(&self) -> usize {
        let lengths = (0..self.headers).map(|index| self.lengths(index));
        self.headers_at() + lengths.map(|(name, value)| name + value).sum::<usize>()
    }

    /// Bytes of the name and of the value of header `index`.
    fn lengths(&self, index: u8) -> (usize, usize) {
        let at = usize::from(index) * LENGTHS_BYTES;
        let length =
            |at: usize| usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]));
        (length(at), length(at + 2))
    }

    fn text(&self, at: usize, bytes: usize) -> &str {
        str::from_utf8(&self.bytes[at..at + bytes]).expect("copied from a str")
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("channel", &self.channel)
            .field("offset", &self.offset.get())
            .field("revision", &self.revision.get())
            .field("time", &self.time.get())
            .field("recreated", &self.recreated)
            .field("event_type", &self.event_type())
            .field("id", &self.id())
            .field("content_type", &self.content_type())
            .field("headers", &self.headers().collect::<Vec<_>>())
            .field("data", &String::from_utf8_lossy(self.data()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn event(content: &Content) -> Event {
        let channel = ChannelName::parse("/a").unwrap();
        Event::new(
            channel,
            Offset::new(3),
            Revision::new(9),
            Time::new(7),
            true,
            content,
        )
    }

    #[test]
    fn everything_comes_back() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let content = Content {
            event_type: Some("quote".into()),
            content_type: "text/plain".into(),
            id: Some("i-1".into()),
            headers: vec![header("x", "1"), header("", ""), header("größe", "ünï")],
            data: Bytes::from_static(b"\xFFdata"),
        };
        let event = event(&content);
        assert_eq!(event.channel().as_str(), "/a");
        assert_eq!(
            (
                event.offset().get(),
                event.revision().get(),
                event.time().get()
            ),
            (3, 9, 7)
        );
        assert!(event.recreated());
        assert_eq!(event.event_type(), Some("quote"));
        assert_eq!(event.content_type(), "text/plain");
        assert_eq!(event.id(), Some("i-1"));
        assert_eq!(event.headers().len(), 3);
        assert_eq!(
            event.headers().collect::<Vec<_>>(),
            [("x", "1"), ("", ""), ("größe", "ünï")]
        );
        assert_eq!(event.data(), b"\xFFdata");
        assert_eq!(event.retained_bytes(), 5 + 10 + 3 + 2 + 12 + 5 + 64);
    }

    #[test]
    fn absent_parts_take_nothing() {
        let event = event(&Content::default());
        assert_eq!(
            (event.event_type(), event.id(), event.content_type()),
            (None, None, "")
        );
        assert_eq!(event.headers().len(), 0);
        assert_eq!(event.data(), b"");
        assert_eq!(event.retained_bytes(), 64);
    }

    #[test]
    fn the_largest_parts_fit() {
        let content = Content {
            event_type: Some("t".repeat(limits::TYPE_BYTES_MAX)),
            content_type: "c".repeat(limits::CONTENT_TYPE_BYTES_MAX),
            id: Some("i".repeat(limits::ID_BYTES_MAX)),
            headers: vec![("n".to_owned(), "v".repeat(limits::HEADER_BYTES_MAX - 1))],
            data: vec![1; limits::PAYLOAD_BYTES_CEILING].into(),
        };
        let event = event(&content);
        assert_eq!(event.content_type(), content.content_type);
        assert_eq!(
            event.headers().next().unwrap().1.len(),
            limits::HEADER_BYTES_MAX - 1
        );
        assert_eq!(event.data().len(), limits::PAYLOAD_BYTES_CEILING);
    }

    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 72, "{} bytes", size_of::<Event>());
    }
}
