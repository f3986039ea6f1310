//! Every bound of a hub that is not a setting, with its unit.

use std::time::Duration;

/// Interests that nobody reads any more and that a shard's copy still follows, to save the next reader the
/// fetching; beyond, the one idle longest goes.
pub(crate) const LINGERING_MAX: usize = 10_000;
/// Interests that wait to be given up until they are answered; beyond, as when an upstream is away for
/// long, the copy follows anew and forgets them.
pub(crate) const LEAVING_MAX: usize = 10_000;
/// Events looked at to find how far a cursor may move without giving anything.
pub(crate) const CURSOR_SCAN_MAX: usize = 1_000;
/// Newest events of an interest whose revisions are remembered, so that a reader which had been caught up
/// is known to have been so right up to the first of them.
pub(crate) const TOUCHES_MAX: usize = 16;
/// The first wait before following anew; doubles with every failure.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait before following anew.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// This part of the patience with a reader ahead of this node is kept for asking the leader.
pub(crate) const ASKING_PART: u32 = 10;

const _: () = assert!(BACKOFF_MIN.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(ASKING_PART >= 2);
