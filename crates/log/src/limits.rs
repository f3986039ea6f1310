//! Every bound of the log seam, with its unit. Rooms that stand behind the seam add their own.

use std::time::Duration;

/// Entries (applied commands) of a shard kept for followers; one that is further behind is ended.
pub const FEED_ENTRIES_MAX: usize = 65_536;
/// Bytes of changes of a shard kept for followers, as retention counts events.
pub const FEED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes after which one batch of a following ends; it has at least one message, which may be larger.
pub const FOLLOW_BATCH_BYTES: usize = 256 * 1024;
/// Entries looked at by one step of a following, so that the shard is not locked for longer.
pub const FOLLOW_SCAN_MAX: usize = 1_024;
/// Windows and answers to interests looked at by one step of a following.
pub const FOLLOW_WINDOWS_MAX: usize = 1_024;
/// What a change is charged beyond the bytes of its event.
pub const CHANGE_OVERHEAD_BYTES: usize = 64;
/// How late a follower may be told of progress when nothing else is said.
pub const PROGRESS_LATE_MAX: Duration = Duration::from_millis(50);

/// How often a shard is asked whether something is due.
pub const TICK_EVERY: Duration = Duration::from_secs(1);

/// Times that one submission is sent on from node to node before it ends.
pub const ROUTE_HOPS_MAX: u32 = 3;
/// How long one attempt of a submission may take, so that a silent node leaves time for another.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(2);
/// First bound of the jittered back-off; doubles with every attempt.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// Last bound of the jittered back-off of a submission or a reading.
pub const BACKOFF_LAST: Duration = Duration::from_millis(500);
/// Last bound of the jittered back-off between two rounds of asking every upstream.
pub const HELLO_BACKOFF_LAST: Duration = Duration::from_secs(2);
/// How long an upstream may take to say which cluster it belongs to.
pub const HELLO_MAX: Duration = Duration::from_secs(2);
/// How long one opening of a follow stream may take.
pub const OPEN_FOLLOW_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(FOLLOW_BATCH_BYTES * 16 <= FEED_BYTES_MAX);
const _: () = assert!(FOLLOW_SCAN_MAX * 16 <= FEED_ENTRIES_MAX);
const _: () = assert!(BACKOFF_FIRST.as_millis() < BACKOFF_LAST.as_millis());
const _: () = assert!(BACKOFF_LAST.as_millis() <= HELLO_BACKOFF_LAST.as_millis());
