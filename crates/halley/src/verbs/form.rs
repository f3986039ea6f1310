//! Events and gaps as lines: the envelope of the public contract, or text for people.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use halley_client::{Event, Gap};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::RawValue;

/// contract.md, Envelope: keys in this order, absent when empty.
#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    channel: &'a str,
    offset: u64,
    cursor: &'a str,
    time: u64,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(serialize_with = "headers", skip_serializing_if = "<[_]>::is_empty")]
    headers: &'a [(String, String)],
    data: Data<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

/// A payload: JSON as it is, text as a string, anything else in base64.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Binary { base64: String },
}

impl<'a> Envelope<'a> {
    /// The envelope of `event`.
    pub(super) fn of(event: &'a Event) -> Self {
        let own_type = event.content_type != "application/json";
        Self {
            channel: &event.channel,
            offset: event.offset,
            cursor: &event.cursor,
            time: event.time_ms,
            event_type: event.event_type.as_deref(),
            id: event.id.as_deref(),
            headers: &event.headers,
            data: Data::of(&event.content_type, &event.data),
            content_type: own_type.then_some(event.content_type.as_str()),
        }
    }
}

impl<'a> Data<'a> {
    fn of(content_type: &str, data: &'a Bytes) -> Self {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let is_json = media == "application/json" || media.ends_with("+json");
        if is_json && let Ok(value) = serde_json::from_slice(data) {
            return Self::Json(value);
        }
        match std::str::from_utf8(data) {
            Ok(text) if media.starts_with("text/") => Self::Text(text),
            _ => Self::Binary {
                base64: STANDARD.encode(data),
            },
        }
    }
}

fn headers<S: Serializer>(headers: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// contract.md, gap.
#[derive(Serialize)]
pub(super) struct GapLine<'a> {
    gap: GapBody<'a>,
    cursor: &'a str,
}

#[derive(Serialize)]
struct GapBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    reason: &'a str,
}

impl<'a> GapLine<'a> {
    /// The line of `gap`.
    pub(super) fn of(gap: &'a Gap) -> Self {
        let body = GapBody {
            channel: gap.channel.as_deref(),
            pattern: gap.pattern.as_deref(),
            next: gap.next,
            reason: &gap.reason,
        };
        Self {
            gap: body,
            cursor: &gap.cursor,
        }
    }
}

/// One line of JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and raw JSON are JSON")
}

/// One line for people: channel, offset, type if any, payload.
pub(super) fn event_text(event: &Event) -> String {
    let data = match Data::of(&event.content_type, &event.data) {
        Data::Json(value) => value.get().to_owned(),
        Data::Text(text) => text.to_owned(),
        Data::Binary { .. } => format!("({} bytes of {})", event.data.len(), event.content_type),
    };
    let kind = event
        .event_type
        .as_ref()
        .map(|kind| format!(" {kind}"))
        .unwrap_or_default();
    format!("{} {}{kind} {data}", event.channel, event.offset)
}

/// One line for people.
pub(super) fn gap_text(gap: &Gap) -> String {
    let what = gap
        .channel
        .as_deref()
        .or(gap.pattern.as_deref())
        .unwrap_or("?");
    let next = gap
        .next
        .map(|next| format!(" before offset {next}"))
        .unwrap_or_default();
    format!("{what} gap: events{next} are gone ({})", gap.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content_type: &str, data: &'static [u8]) -> Event {
        Event {
            channel: "/a".into(),
            offset: 7,
            cursor: "c.0-7".into(),
            time_ms: 5,
            event_type: None,
            id: Some("x".into()),
            headers: vec![("b".into(), "2".into()), ("a".into(), "1".into())],
            content_type: content_type.into(),
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn the_envelope_is_that_of_the_contract() {
        let line = json(&Envelope::of(&event(
            "application/json",
            b"{\"price\":1.50}",
        )));
        let expected = "{\"channel\":\"/a\",\"offset\":7,\"cursor\":\"c.0-7\",\"time\":5,\"id\":\"x\",\
                        \"headers\":{\"b\":\"2\",\"a\":\"1\"},\"data\":{\"price\":1.50}}";
        assert_eq!(line, expected);
        let line = json(&Envelope::of(&event("text/plain; charset=utf-8", b"hi")));
        assert!(line.ends_with("\"data\":\"hi\",\"content_type\":\"text/plain; charset=utf-8\"}"));
        let line = json(&Envelope::of(&event("image/png", &[0, 255])));
        assert!(line.contains("\"data\":{\"base64\":\"AP8=\"}"), "{line}");
    }

    #[test]
    fn a_gap_leaves_out_what_it_does_not_know() {
        let gap = Gap {
            channel: Some("/a".into()),
            pattern: None,
            next: Some(10),
            reason: "trimmed".into(),
            cursor: "c.0-9".into(),
        };
        let expected = "{\"gap\":{\"channel\":\"/a\",\"next\":10,\"reason\":\"trimmed\"},\"cursor\":\"c.0-9\"}";
        assert_eq!(json(&GapLine::of(&gap)), expected);
    }
}
