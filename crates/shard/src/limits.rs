//! Every bound of a shard, with its unit; the defaults of the public contract's "Limits".

/// Shards a cluster may have.
pub const SHARDS_MAX: u16 = 16;
/// Bytes of a channel name or pattern.
pub const NAME_BYTES_MAX: usize = 255;
/// Segments of a channel name or pattern.
pub const NAME_SEGMENTS_MAX: usize = 16;
/// Bytes of an event's payload that any setting may allow.
pub const PAYLOAD_BYTES_CEILING: usize = 256 * 1024;
/// Bytes of an event's payload by default.
pub const PAYLOAD_BYTES_DEFAULT: usize = 64 * 1024;
/// Bytes of an event's type.
pub const TYPE_BYTES_MAX: usize = 64;
/// Bytes of an event's id.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Headers of an event.
pub const HEADERS_MAX: usize = 8;
/// Bytes of all headers of an event, names and values together.
pub const HEADER_BYTES_MAX: usize = 1024;
/// Bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 128;
/// Bytes of a key's scope (`Halley-Producer`, later the token's subject).
pub const SCOPE_BYTES_MAX: usize = 128;
/// Events of one publish command.
pub const BATCH_EVENTS_MAX: usize = 512;
/// Payload bytes of one publish command.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// What an event is charged beyond its own bytes (contract.md, Fine print, Bytes of an event).
pub const EVENT_OVERHEAD_BYTES: usize = 64;
/// Retention of a channel by default: events.
pub const RETAINED_EVENTS_DEFAULT: u32 = 1_000;
/// Retention of a channel by default: bytes.
pub const RETAINED_BYTES_DEFAULT: u64 = 1024 * 1024;
/// Retention of a shard by default: bytes.
pub const SHARD_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// Channels of a shard by default.
pub const SHARD_CHANNELS_DEFAULT: u32 = 1_000_000;
/// Tombstones of a shard; the oldest are dropped beyond.
pub const TOMBSTONES_MAX: usize = 1_000_000;
/// Events of a channel that any setting may retain.
pub const RETAINED_EVENTS_CEILING: u32 = 1_000_000;
/// Bytes of a shard's events that any setting must allow: one full batch.
pub const SHARD_BYTES_FLOOR: u64 = 1024 * 1024;
/// Bytes of a shard's events that any setting may allow: 1 TiB.
pub const SHARD_BYTES_CEILING: u64 = 1 << 40;
/// Channels of a shard that any setting may allow.
pub const SHARD_CHANNELS_CEILING: u32 = 16_000_000;
/// Milliseconds after which any setting may let events go: ten years.
pub const AGE_MS_CEILING: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// Retention rules of a shard.
pub const RETENTION_RULES_MAX: usize = 64;
/// How long a publish is recognised when it is sent again, in milliseconds of the shard's time.
pub const DEDUPE_MS: u64 = 10 * 60 * 1000;
/// Bytes of remembered idempotency keys of a shard; beyond, keyed publishes are refused.
pub const KEY_STORE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Results remembered of a client's stream.
pub const CLIENT_RESULTS_MAX: usize = 1_024;
/// Results remembered of a node's own producer.
pub const NODE_RESULTS_MAX: usize = 65_536;
/// Client streams remembered by a shard; beyond, new ones are refused.
pub const CLIENT_PRODUCERS_MAX: usize = 16_384;
/// Events that one tick may expire.
pub const EXPIRED_PER_TICK_MAX: usize = 10_000;
/// Channels named by one subscription.
pub const SUBSCRIPTION_CHANNELS_MAX: usize = 64;
/// Patterns of one subscription.
pub const SUBSCRIPTION_PATTERNS_MAX: usize = 16;
/// Events that `last:N` may ask for, and one answer may carry.
pub const ANSWER_EVENTS_MAX: usize = 1_000;
/// Bytes of one answer (at least one event is always given).
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(PAYLOAD_BYTES_DEFAULT <= PAYLOAD_BYTES_CEILING);
const _: () = assert!(PAYLOAD_BYTES_CEILING <= BATCH_BYTES_MAX);
const _: () = assert!(BATCH_EVENTS_MAX <= CLIENT_RESULTS_MAX);
const _: () = assert!(CLIENT_RESULTS_MAX <= NODE_RESULTS_MAX);
const _: () = assert!(SHARD_BYTES_FLOOR as usize >= BATCH_BYTES_MAX);
const _: () =
    assert!(SHARD_BYTES_DEFAULT >= SHARD_BYTES_FLOOR && SHARD_BYTES_DEFAULT <= SHARD_BYTES_CEILING);
const _: () = assert!(SHARD_CHANNELS_DEFAULT <= SHARD_CHANNELS_CEILING);
