//! Events, and what publishers say of them.
//!
//! Content and event have the same bytes for what they share: type, id, content type, headers, data.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    Codec, DecodeError,
    primitive::{
        check_text, put_bytes, put_number, reserve, take_bounded, take_bytes, take_flag, take_text,
    },
};
use crate::{
    ChannelName, Content, Event, Offset, Revision, Time,
    event::{Place, Said},
    limits,
};

pub(super) fn put_content(content: &Content, out: &mut BytesMut) {
    let Content {
        event_type,
        content_type,
        id,
        headers,
        data,
    } = content;
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    put_said(
        (event_type.as_deref(), id.as_deref(), content_type),
        headers,
        data,
        out,
    );
}

/// Appends what the publisher of `event` said, without its place.
pub(super) fn put_event_content(event: &Event, out: &mut BytesMut) {
    let texts = (event.event_type(), event.id(), event.content_type());
    put_said(texts, event.headers(), event.data(), out);
}

fn put_said<'a>(
    (event_type, id, content_type): (Option<&str>, Option<&str>, &str),
    headers: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    data: &[u8],
    out: &mut BytesMut,
) {
    for text in [event_type, id] {
        text.is_some().put(out);
        if let Some(text) = text {
            put_bytes(text.as_bytes(), out);
        }
    }
    put_bytes(content_type.as_bytes(), out);
    put_number(headers.len() as u64, out);
    for (name, value) in headers {
        put_bytes(name.as_bytes(), out);
        put_bytes(value.as_bytes(), out);
    }
    put_bytes(data, out);
}

pub(super) fn take_content(input: &mut Bytes) -> Result<Content, DecodeError> {
    let event_type = match take_flag(input, "type")? {
        true => Some(take_text(input, "type", limits::TYPE_BYTES_MAX)?),
        false => None,
    };
    let id = match take_flag(input, "id")? {
        true => Some(take_text(input, "id", limits::ID_BYTES_MAX)?),
        false => None,
    };
    let content_type = take_text(input, "content type", limits::CONTENT_TYPE_BYTES_MAX)?;
    let headers = take_headers(input, |input| {
        take_text(input, "header", limits::HEADER_BYTES_MAX)
    })?;
    let data = take_bytes(input, "data", limits::PAYLOAD_BYTES_CEILING)?;
    Ok(Content {
        event_type,
        content_type,
        id,
        headers,
        data,
    })
}

/// Takes headers, each text by `take`.
fn take_headers<T: AsRef<[u8]>>(
    input: &mut Bytes,
    take: impl Fn(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<(T, T)>, DecodeError> {
    let count = take_bounded(input, "headers", limits::HEADERS_MAX)?;
    let mut headers = reserve(count, input);
    let mut bytes = 0;
    for _ in 0..count {
        let (name, value) = (take(input)?, take(input)?);
        bytes += name.as_ref().len() + value.as_ref().len();
        headers.push((name, value));
    }
    if bytes > limits::HEADER_BYTES_MAX {
        let (value, limit) = (bytes as u64, limits::HEADER_BYTES_MAX as u64);
        return Err(DecodeError::TooMuch {
            what: "header bytes",
            value,
            limit,
        });
    }
    Ok(headers)
}

/// Takes what [`put_event_content`] appends, for the event at `place`: copied once, into its own allocation.
pub(super) fn take_event_content(input: &mut Bytes, place: Place) -> Result<Event, DecodeError> {
    let optional = |input: &mut Bytes, what, limit| match take_flag(input, what)? {
        true => take_bytes(input, what, limit).map(Some),
        false => Ok(None),
    };
    let event_type = optional(input, "type", limits::TYPE_BYTES_MAX)?;
    let id = optional(input, "id", limits::ID_BYTES_MAX)?;
    let content_type = take_bytes(input, "content type", limits::CONTENT_TYPE_BYTES_MAX)?;
    let headers = take_headers(input, |input| {
        take_bytes(input, "header", limits::HEADER_BYTES_MAX)
    })?;
    let data = take_bytes(input, "data", limits::PAYLOAD_BYTES_CEILING)?;

    let mut texts = Vec::with_capacity(headers.len());
    for (name, value) in &headers {
        texts.push((check_text(name, "header")?, check_text(value, "header")?));
    }
    Ok(Event::at(
        place,
        Said {
            event_type: event_type
                .as_deref()
                .map(|text| check_text(text, "type"))
                .transpose()?,
            id: id
                .as_deref()
                .map(|text| check_text(text, "id"))
                .transpose()?,
            content_type: check_text(&content_type, "content type")?,
            headers: texts.iter().copied(),
            data: &data,
        },
    ))
}

impl Codec for Arc<Event> {
    fn put(&self, out: &mut BytesMut) {
        self.channel().put(out);
        self.offset().put(out);
        self.revision().put(out);
        self.time().put(out);
        self.recreated().put(out);
        put_event_content(self, out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let place = Place {
            channel: ChannelName::take(input)?,
            offset: Offset::take(input)?,
            revision: Revision::take(input)?,
            time: Time::take(input)?,
            recreated: take_flag(input, "recreated")?,
        };
        take_event_content(input, place).map(Self::new)
    }
}
