//! Server-Sent Events (HTML, 9.2).
//!
//! Invariant: every frame is a whole block with its blank line, so that a stream cut between frames loses nothing.
//! Cursors and types have no line ends, hence fill one line each.

use bytes::Bytes;
use halley_shard::{Event, Gap};

use super::{Fragment, Framing, fragment::Builder, json};
use crate::{json::number, media::Kind};

/// Server-Sent Events (HTML, 9.2), `data:` carrying the envelope (slot 1) or the payload alone (slot 2): JSON as
/// published, text line by line (an EventSource gives every line end back as a line feed), anything else in base 64.
#[derive(Clone, Copy, Debug)]
pub struct Sse {
    /// `format=data`.
    pub data_only: bool,
}

impl Framing for Sse {
    fn slot(&self) -> u8 {
        if self.data_only { 2 } else { 1 }
    }

    fn event(&self, event: &Event) -> Fragment {
        let mut out = Builder::new(json::capacity(event));
        out.bytes.extend_from_slice(b"id: ");
        out.hole();
        out.bytes.push(b'\n');
        if let Some(event_type) = event.event_type() {
            field(&mut out.bytes, b"event: ", event_type.as_bytes());
        }
        if self.data_only {
            payload(event, &mut out.bytes);
        } else {
            envelope(event, &mut out);
        }
        out.bytes.push(b'\n');
        out.finish()
    }

    fn gap(&self, gap: &Gap, cursor: &str) -> Bytes {
        let mut out = Vec::with_capacity(192);
        field(&mut out, b"event: ", b"gap");
        field(&mut out, b"id: ", cursor.as_bytes());
        gap_data(gap, cursor, &mut out);
        out.push(b'\n');
        Bytes::from(out)
    }

    fn progress(&self, cursor: &str) -> Bytes {
        let mut out = Vec::with_capacity(32 + 2 * cursor.len());
        field(&mut out, b"event: ", b"cursor");
        field(&mut out, b"id: ", cursor.as_bytes());
        field(&mut out, b"data: ", cursor.as_bytes());
        out.push(b'\n');
        Bytes::from(out)
    }

    fn opening(&self, padding: usize, retry_ms: u64) -> Bytes {
        let mut out = Vec::with_capacity(padding + 32);
        comment(padding, &mut out);
        retry(retry_ms, &mut out);
        Bytes::from(out)
    }

    fn ending(&self, retry_ms: u64) -> Bytes {
        let mut out = Vec::with_capacity(32);
        retry(retry_ms, &mut out);
        Bytes::from(out)
    }
}

/// Appends one line; `name` ends with a colon and a space.
pub(super) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Appends a comment of exactly `bytes` bytes, colon and line end included; of one byte there is only a blank line.
pub(super) fn comment(bytes: usize, out: &mut Vec<u8>) {
    let Some(before_end) = bytes.checked_sub(1) else {
        return;
    };
    let start = out.len();
    out.resize(start + before_end, b' ');
    if before_end > 0 {
        out[start] = b':';
    }
    out.push(b'\n');
}

/// Appends the reconnection time as a block of its own.
fn retry(retry_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"retry: ");
    number(out, retry_ms);
    out.extend_from_slice(b"\n\n");
}

/// Appends the envelope as a line of data.
pub(super) fn envelope(event: &Event, out: &mut Builder) {
    out.bytes.extend_from_slice(b"data: ");
    json::envelope(event, out);
    out.bytes.push(b'\n');
}

/// Appends a gap as a line of data.
pub(super) fn gap_data(gap: &Gap, cursor: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    json::gap_object(gap, cursor, out);
    out.push(b'\n');
}

/// Appends the payload as lines of data, at least one.
pub(super) fn payload(event: &Event, out: &mut Vec<u8>) {
    let data = event.data();
    let is_text = std::str::from_utf8(data).is_ok();
    if Kind::of(event.content_type()) == Kind::Binary || !is_text {
        out.extend_from_slice(b"data: ");
        json::base64(data, out);
        out.push(b'\n');
        return;
    }
    let mut rest = data;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        field(out, b"data: ", &rest[..at]);
        let width = if rest[at..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        rest = &rest[at + width..];
    }
    field(out, b"data: ", rest);
}
