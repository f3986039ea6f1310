//! Bounds that are no settings, with their units.

use std::time::Duration;

use halley_shard::{Budget, limits::ANSWER_BYTES_MAX};

/// Bytes that one reading of a stream may take: about what a socket swallows at once.
pub(crate) const STREAM_BYTES: usize = 64 * 1024;
/// Events that one reading of a stream may take.
pub(crate) const STREAM_ITEMS: usize = 512;
/// Events looked at by one reading, those of other channels included.
pub(crate) const SCANNED_MAX: usize = 10_000;
/// Bytes that hyper may hold of one connection, either way. Above a request head's own limit, so that heads
/// moderately too long are still read and get a problem of ours.
pub(crate) const CONNECTION_BUFFER_BYTES: usize = 128 * 1024;
/// Requests at a time on one HTTP/2 connection.
pub(crate) const STREAMS_MAX: u32 = 250;
/// Streams of an HTTP/2 connection that may be reset before they were taken up; more end the connection.
pub(crate) const RESETS_MAX: usize = 64;
/// Time between pings of an HTTP/2 connection, and time for their answer.
pub(crate) const H2_PING: Duration = Duration::from_secs(30);
/// Connections beyond the setting that are still told why; those beyond are closed without a word.
pub(crate) const REFUSALS_MAX: usize = 512;
/// The longest wait after an error of accepting connections.
pub(crate) const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long and how much is read of a client after the last answer, so that it sees that answer.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes of the same.
pub(crate) const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a connection without a request is kept after the drain began, at most.
pub(crate) const DRAIN_IDLE_TIME: Duration = Duration::from_secs(1);
/// How long a poll that brought no cursor waits for its channels to be known here, whatever its `wait`.
pub(crate) const HOLDING_TIME: Duration = Duration::from_secs(2);
/// Seconds that a refused client is told to wait: 1 to this, drawn for each.
pub(crate) const RETRY_AFTER_SECONDS_MAX: u64 = 5;
/// Milliseconds before an EventSource reconnects: from, and how much is drawn on top for each.
pub(crate) const RETRY_MS: (u64, u64) = (1_000, 2_000);
/// The same when a whole node's streams end together.
pub(crate) const RETRY_LATER_MS: (u64, u64) = (1_000, 4_000);

const _: () = assert!(STREAM_BYTES <= ANSWER_BYTES_MAX);

/// How much a stream takes at a time.
pub(crate) const STREAM_BUDGET: Budget = Budget {
    items: STREAM_ITEMS,
    bytes: STREAM_BYTES,
    scanned: SCANNED_MAX,
};

/// How much one answer takes.
pub(crate) fn answer_budget(items: usize) -> Budget {
    Budget {
        items,
        bytes: ANSWER_BYTES_MAX,
        scanned: SCANNED_MAX,
    }
}
