//! Bounds of what clients send (contract.md, Limits), with their units.

/// Bytes of a cursor.
pub const CURSOR_BYTES_MAX: usize = 1_024;
/// Bytes of a publish body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of JSON.
pub const JSON_DEPTH_MAX: usize = 128;
/// Seconds that a poll may be held.
pub const WAIT_SECONDS_MAX: u64 = 120;
/// Seconds that a poll is held by default.
pub const WAIT_SECONDS_DEFAULT: u64 = 25;
/// Events of one poll answer by default.
pub const LIMIT_DEFAULT: usize = 100;
/// Bytes of padding.
pub const PADDING_BYTES_MAX: usize = 4_096;
