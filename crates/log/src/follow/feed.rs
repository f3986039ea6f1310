//! A shard's state together with its newest changes, for those who follow it.
//!
//! Invariant: the changes kept are the newest, without a hole, and end at the state's head; they are
//! numbered from the feed's beginning on, so that a follower's place is one number.

use std::{collections::VecDeque, sync::Arc};

use halley_shard::{Change, Changes, Command, Reply, Revision, Shard, Time};

use crate::limits;

/// A shard and the changes of its newest commands, bounded by [`limits::FEED_ENTRIES_MAX`] and
/// [`limits::FEED_BYTES_MAX`].
#[derive(Debug)]
pub struct Feed {
    shard: Shard,
    entries: VecDeque<Entry>,
    /// Number of the oldest entry kept.
    begin: u64,
    bytes: usize,
    bounds: Bounds,
}

#[derive(Debug)]
struct Entry {
    changes: Arc<Changes>,
    bytes: usize,
}

/// How much a feed keeps for its followers.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    entries: usize,
    bytes: usize,
}

impl Feed {
    /// A feed of `shard` from its present head on.
    #[must_use]
    pub fn new(shard: Shard) -> Self {
        let bounds = Bounds {
            entries: limits::FEED_ENTRIES_MAX,
            bytes: limits::FEED_BYTES_MAX,
        };
        Self {
            shard,
            entries: VecDeque::new(),
            begin: 0,
            bytes: 0,
            bounds,
        }
    }

    /// This feed with room for at most `entries`, for tests of followers that fall behind.
    #[must_use]
    pub fn keeping(mut self, entries: usize) -> Self {
        self.bounds.entries = entries.clamp(1, limits::FEED_ENTRIES_MAX);
        self
    }

    /// The state.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The state's newest revision.
    #[must_use]
    pub fn head(&self) -> Revision {
        self.shard.windows().head()
    }

    /// Applies a command proposed at `now` and keeps what it changed.
    pub fn apply(&mut self, now: Time, command: Command) -> Reply {
        let before = self.head();
        let applied = self.shard.apply(now, command);
        if applied.changes.through > before || !applied.changes.list.is_empty() {
            self.push(applied.changes);
        }
        applied.reply
    }

    /// Puts another state in place, as after a snapshot: every follower is behind then.
    pub fn replace(&mut self, shard: Shard) {
        self.begin = self.end() + 1;
        self.entries.clear();
        self.bytes = 0;
        self.shard = shard;
    }

    /// The number that the next entry will have.
    #[must_use]
    pub fn end(&self) -> u64 {
        let kept = u64::try_from(self.entries.len()).expect("a count of entries in memory fits");
        self.begin + kept
    }

    /// The entries from number `next` on, oldest first; `None` when that one is not kept any more.
    pub(crate) fn since(&self, next: u64) -> Option<impl Iterator<Item = &Arc<Changes>>> {
        let skip = usize::try_from(next.checked_sub(self.begin)?).ok()?;
        (next <= self.end()).then(|| self.entries.range(skip..).map(|entry| &entry.changes))
    }

    fn push(&mut self, changes: Changes) {
        let bytes = changes.list.iter().map(change_bytes).sum();
        self.bytes += bytes;
        self.entries.push_back(Entry {
            changes: Arc::new(changes),
            bytes,
        });
        while self.entries.len() > self.bounds.entries
            || (self.bytes > self.bounds.bytes && self.entries.len() > 1)
        {
            let oldest = self
                .entries
                .pop_front()
                .expect("there are more than the bound");
            self.bytes -= oldest.bytes;
            self.begin += 1;
        }
    }
}

/// What a change is charged against the bounds of feeds and batches.
pub(crate) fn change_bytes(change: &Change) -> usize {
    let event = match change {
        Change::Event(event) => event.retained_bytes(),
        Change::Opened { .. }
        | Change::Trimmed { .. }
        | Change::Erased { .. }
        | Change::Forgotten(_) => 0,
    };
    event + limits::CHANGE_OVERHEAD_BYTES
}
