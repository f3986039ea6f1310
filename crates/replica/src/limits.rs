//! Every bound of replication, with its unit.

use std::time::Duration;

/// Bytes of entries read from the log at a time, and so about the most of one append message; one entry may be larger.
pub(crate) const READ_BYTES: usize = 1024 * 1024;
/// Entries of one append message.
pub(crate) const APPEND_ENTRIES_MAX: u64 = 256;
/// Publishes packed into one entry, unless one command alone has more.
pub(crate) const PACK_PUBLISHES_MAX: usize = 512;
/// Publishes that wait for which another entry is proposed beside one in flight.
pub(crate) const PACK_PUBLISHES_WORTH: usize = 64;
/// Bytes packed into one entry, unless one command alone is larger.
pub(crate) const PACK_BYTES_MAX: usize = 256 * 1024;
/// Entries of one shard proposed and not yet answered.
pub(crate) const IN_FLIGHT_MAX: usize = 4;
/// Bytes of commands of one shard that wait or are in flight.
pub(crate) const PROPOSALS_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What a waiting command is charged beyond its bytes.
pub(crate) const PROPOSAL_OVERHEAD_BYTES: u64 = 256;
/// Bytes of one message of a snapshot on its way.
pub(crate) const SNAPSHOT_CHUNK_BYTES: usize = 512 * 1024;
/// Bytes of entries kept behind a snapshot for followers that lag.
pub(crate) const KEEP_BYTES: u64 = 16 * 1024 * 1024;
/// Entries of a shard kept behind its newest snapshot for followers that lag.
pub(crate) const KEEP_ENTRIES: u64 = 1_024;
/// Largest tail copied forward to let an old segment go, in bytes.
pub(crate) const COPY_FORWARD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Segments of the log behind the newest one that a group may pin before its tail is copied or it is snapshotted.
pub(crate) const PINNED_SEGMENTS_MAX: u64 = 4;
/// How often the keeper of a node looks at what is due.
pub(crate) const KEEP_EVERY: Duration = Duration::from_millis(250);
/// Least time that one question to another node may take.
pub(crate) const ASK_MIN: Duration = Duration::from_millis(500);
/// How long opening a stream may take.
pub(crate) const OPEN_MAX: Duration = Duration::from_secs(2);
/// How long a snapshot may take on its way, installing included.
pub(crate) const SNAPSHOT_WITHIN: Duration = Duration::from_secs(600);
/// How long a follower may leave an append unanswered before the stream is given up.
pub(crate) const APPEND_ANSWER_MAX: Duration = Duration::from_secs(3);

const _: () = assert!(PACK_PUBLISHES_WORTH <= PACK_PUBLISHES_MAX);
const _: () = assert!(PACK_BYTES_MAX < READ_BYTES);
const _: () = assert!(PROPOSALS_BYTES_MAX > (PACK_BYTES_MAX * IN_FLIGHT_MAX) as u64);
/// How long one question to a leader may take.
pub(crate) const ASK_MAX: Duration = Duration::from_secs(2);
/// How long to wait before asking again where nobody answered.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often nodes whose address is not known for certain are looked for.
pub(crate) const FIND_EVERY: Duration = Duration::from_secs(1);
/// How often the spread of leaders is looked at.
pub(crate) const SPREAD_EVERY: Duration = Duration::from_secs(5);
/// How long a node that was replaced goes on, so that its groups can change first.
pub(crate) const RETIRE_AFTER: Duration = Duration::from_secs(10);
/// How often a shard's leader lets time pass where something is due.
pub(crate) const TICK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of commands sent to another node and not yet answered.
pub(crate) const SUBMITTED_BYTES_MAX: u64 = 2 * PROPOSALS_BYTES_MAX;
/// Bytes of the newest entries of each group kept in memory for followers.
pub(crate) const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// How often the formation is looked at.
pub(crate) const FORM_EVERY: Duration = Duration::from_millis(50);
/// How long a greeting may take.
pub(crate) const GREET_MAX: Duration = Duration::from_secs(1);
/// How long one try of opening a shard to readers may take.
pub(crate) const GATE_TRY: Duration = Duration::from_secs(5);
