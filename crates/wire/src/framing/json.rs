//! The envelope: one event, gap or sign of life as a JSON object without line breaks.
//!
//! Invariant: keys stand in the contract's order and are absent when empty; published JSON passes through as text.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use halley_shard::{Event, Gap, GapReason, Interest};

use super::{Fragment, Framing, fragment::Builder};
use crate::{
    json::{number, string},
    media::{self, Kind},
};

/// The envelope of one event as a JSON object, cursor included (poll, history; later ndjson, ws…). Slot 0.
///
/// For answers given once: nothing opens or ends one.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Framing for Json {
    fn slot(&self) -> u8 {
        0
    }

    fn event(&self, event: &Event) -> Fragment {
        let mut out = Builder::new(capacity(event));
        envelope(event, &mut out);
        out.finish()
    }

    fn gap(&self, gap: &Gap, cursor: &str) -> Bytes {
        let mut out = Vec::with_capacity(128);
        gap_object(gap, cursor, &mut out);
        Bytes::from(out)
    }

    fn progress(&self, cursor: &str) -> Bytes {
        let mut out = b"{\"keepalive\":true,\"cursor\":".to_vec();
        string(&mut out, cursor);
        out.push(b'}');
        Bytes::from(out)
    }

    fn opening(&self, _padding: usize, _retry_ms: u64) -> Bytes {
        Bytes::new()
    }

    fn ending(&self, _retry_ms: u64) -> Bytes {
        Bytes::new()
    }
}

/// Bytes that an event's envelope has at most, unless much must be escaped.
pub(super) fn capacity(event: &Event) -> usize {
    /// Keys, numbers, punctuation.
    const SYNTAX_BYTES: usize = 192;
    let data = match Kind::of(event.content_type()) {
        Kind::Binary => event.data().len().div_ceil(3) * 4,
        Kind::Json | Kind::Text => event.data().len(),
    };
    event.channel().as_str().len() + data + event.retained_bytes() - event.data().len()
        + SYNTAX_BYTES
}

/// Appends the envelope, its cursor a hole.
pub(super) fn envelope(event: &Event, out: &mut Builder) {
    out.bytes.extend_from_slice(b"{\"channel\":");
    string(&mut out.bytes, event.channel().as_str());
    out.bytes.extend_from_slice(b",\"offset\":");
    number(&mut out.bytes, event.offset().get());
    out.bytes.extend_from_slice(b",\"cursor\":\"");
    out.hole();
    out.bytes.extend_from_slice(b"\",\"time\":");
    let out = &mut out.bytes;
    number(out, event.time().get());
    if let Some(event_type) = event.event_type() {
        out.extend_from_slice(b",\"type\":");
        string(out, event_type);
    }
    if let Some(id) = event.id() {
        out.extend_from_slice(b",\"id\":");
        string(out, id);
    }
    if event.headers().len() > 0 {
        out.extend_from_slice(b",\"headers\":");
        for (index, (name, value)) in event.headers().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            string(out, name);
            out.push(b':');
            string(out, value);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"data\":");
    payload(event, out);
    if event.content_type() != media::JSON {
        out.extend_from_slice(b",\"content_type\":");
        string(out, event.content_type());
    }
    out.push(b'}');
}

/// Appends the payload as a JSON value: JSON as it was published, text as a string, anything else as
/// `{"base64":"…"}`. Text that a node without this check let in is shown as bytes.
pub(crate) fn payload(event: &Event, out: &mut Vec<u8>) {
    let data = event.data();
    match (Kind::of(event.content_type()), std::str::from_utf8(data)) {
        (Kind::Json, _) => out.extend_from_slice(data),
        (Kind::Text, Ok(text)) => string(out, text),
        (Kind::Text, Err(_)) | (Kind::Binary, _) => {
            out.extend_from_slice(b"{\"base64\":\"");
            base64(data, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

/// Appends `data` in base 64, standard alphabet, padded.
pub(super) fn base64(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let bytes = base64::encoded_len(data.len(), true).expect("an event is far below 4 GiB");
    out.resize(start + bytes, 0);
    STANDARD
        .encode_slice(data, &mut out[start..])
        .expect("exactly as long as asked");
}

/// Appends `{"gap":{…},"cursor":"…"}`.
pub(super) fn gap_object(gap: &Gap, cursor: &str, out: &mut Vec<u8>) {
    let (key, subject): (&[u8], _) = match &gap.subject {
        Interest::Channel(name) => (b"{\"gap\":{\"channel\":", name.as_str()),
        Interest::Pattern(pattern) => (b"{\"gap\":{\"pattern\":", pattern.as_str()),
    };
    out.extend_from_slice(key);
    string(out, subject);
    if let Some(next) = gap.next {
        out.extend_from_slice(b",\"next\":");
        number(out, next.get());
    }
    out.extend_from_slice(b",\"reason\":");
    string(out, reason(gap.reason));
    out.extend_from_slice(b"},\"cursor\":");
    string(out, cursor);
    out.push(b'}');
}

fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Trimmed => "trimmed",
        GapReason::Recreated => "recreated",
        GapReason::Unknown => "unknown",
        GapReason::ForeignCursor => "foreign_cursor",
    }
}
