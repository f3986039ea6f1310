//! How a delivery becomes bytes. A framing says how one event, gap or sign of life looks; it knows no socket.
//!
//! An event's bytes are the same for every subscriber except for the cursor: [`Fragment`] is the shared part
//! with the places where the cursor goes.

mod dom;
mod fragment;
mod json;
mod sse;

use bytes::Bytes;
use halley_shard::{Event, Gap};

pub use dom::DomEventStream;
pub use fragment::Fragment;
pub use json::Json;
pub use sse::Sse;

pub(crate) use json::payload;

/// A way to write deliveries one after another.
pub trait Framing: std::fmt::Debug + Send + Sync + 'static {
    /// Which memo of an event is this framing's (each framing, and each form of it, has its own; below 8).
    fn slot(&self) -> u8;
    /// An event.
    fn event(&self, event: &Event) -> Fragment;
    /// A gap, with the cursor behind it.
    fn gap(&self, gap: &Gap, cursor: &str) -> Bytes;
    /// A sign of life that carries the cursor; also what opens the stream.
    fn progress(&self, cursor: &str) -> Bytes;
    /// What comes first of all: padding (bytes of comment, line end included) and the reconnection time.
    fn opening(&self, padding: usize, retry_ms: u64) -> Bytes;
    /// What comes last when the server ends the stream.
    fn ending(&self, retry_ms: u64) -> Bytes;
}
