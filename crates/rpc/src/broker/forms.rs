//! Between the public messages and the words of the rooms below.

use bytes::Bytes;
use halley_shard::{Cursor, Event, Gap, GapReason, Interest, Published};
use halley_wire::{cursor, publish::PublishForm};

use crate::proto::v1;

/// A publish as `wire` checks it; what protobuf leaves empty was not given.
pub(super) fn publish_form(request: v1::PublishRequest) -> PublishForm {
    let given = |text: String| (!text.is_empty()).then_some(text);
    PublishForm {
        channel: request.channel,
        data: request.data,
        content_type: given(request.content_type),
        event_type: given(request.r#type),
        id: given(request.id),
        headers: request
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
        key: given(request.idempotency_key),
        producer: given(request.producer),
    }
}

pub(super) fn result(channel: String, published: Published, place: &Cursor) -> v1::PublishResult {
    v1::PublishResult {
        channel,
        offset: published.offset.get(),
        cursor: cursor::format(place),
        duplicate: published.duplicate,
    }
}

/// An event with the cursor behind it; `data` are its payload's bytes.
pub(super) fn event(event: &Event, data: Bytes, cursor: String) -> v1::Event {
    v1::Event {
        channel: event.channel().as_str().to_owned(),
        offset: event.offset().get(),
        cursor,
        time_ms: event.time().get(),
        r#type: event.event_type().unwrap_or_default().to_owned(),
        id: event.id().unwrap_or_default().to_owned(),
        headers: event
            .headers()
            .map(|(name, value)| v1::Header {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .collect(),
        content_type: event.content_type().to_owned(),
        data,
    }
}

/// A gap with the cursor behind it.
pub(super) fn gap(gap: &Gap, cursor: String) -> v1::Gap {
    let (channel, pattern) = match &gap.subject {
        Interest::Channel(name) => (name.as_str().to_owned(), String::new()),
        Interest::Pattern(pattern) => (String::new(), pattern.as_str().to_owned()),
    };
    let reason = match gap.reason {
        GapReason::Trimmed => "trimmed",
        GapReason::Recreated => "recreated",
        GapReason::Unknown => "unknown",
        GapReason::ForeignCursor => "foreign_cursor",
    };
    v1::Gap {
        channel,
        next: gap.next.map(halley_shard::Offset::get),
        reason: reason.to_owned(),
        cursor,
        pattern,
    }
}
