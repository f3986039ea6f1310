//! The format of an event stream in the 2008 draft of Server-Sent Events, for clients of that time.
//!
//! Invariant: fields `Event` and `data` only; the cursor stands in the envelope, or is told between events.

use bytes::Bytes;
use halley_shard::{Event, Gap};

use super::{
    Fragment, Framing,
    fragment::Builder,
    json,
    sse::{comment, envelope, field, gap_data, payload},
};

/// `dialect=dom-event-stream`: `Event:` and `data:`, the envelope (slot 3) or the payload alone (slot 4).
#[derive(Clone, Copy, Debug)]
pub struct DomEventStream {
    /// `format=data`.
    pub data_only: bool,
}

impl Framing for DomEventStream {
    fn slot(&self) -> u8 {
        if self.data_only { 4 } else { 3 }
    }

    fn event(&self, event: &Event) -> Fragment {
        let mut out = Builder::new(json::capacity(event));
        let event_type = event.event_type().unwrap_or("message");
        field(&mut out.bytes, b"Event: ", event_type.as_bytes());
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
        field(&mut out, b"Event: ", b"gap");
        gap_data(gap, cursor, &mut out);
        out.push(b'\n');
        Bytes::from(out)
    }

    fn progress(&self, cursor: &str) -> Bytes {
        let mut out = Vec::with_capacity(32 + cursor.len());
        field(&mut out, b"Event: ", b"cursor");
        field(&mut out, b"data: ", cursor.as_bytes());
        out.push(b'\n');
        Bytes::from(out)
    }

    fn opening(&self, padding: usize, _retry_ms: u64) -> Bytes {
        let mut out = Vec::with_capacity(padding);
        comment(padding, &mut out);
        Bytes::from(out)
    }

    fn ending(&self, _retry_ms: u64) -> Bytes {
        Bytes::new()
    }
}
