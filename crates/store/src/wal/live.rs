//! What callers see: every group with all that was handed in, durable or not, and its newest entries in memory.
//!
//! Invariant: an entry that the index does not hold, or holds in an older shape, is in memory.

use std::collections::VecDeque;

use bytes::Bytes;

use super::index::{Group, Head, fit};

/// A group as its callers see it.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) head: Head,
    /// Bytes of all entries held.
    pub(super) bytes: u64,
    /// Length of each entry held.
    lengths: VecDeque<u32>,
    /// The newest of the entries held.
    cached: VecDeque<Bytes>,
    cached_bytes: usize,
    /// The lowest index that a change in the queue is about, and that of the changes being written.
    queued_from: Option<u64>,
    writing_from: Option<u64>,
}

impl Live {
    /// What the disk holds, with nothing in memory.
    pub(super) fn from_disk(group: &Group) -> Self {
        let lengths: VecDeque<u32> = group.lengths().collect();
        Self {
            head: group.head.clone(),
            bytes: lengths.iter().map(|&length| u64::from(length)).sum(),
            lengths,
            ..Self::default()
        }
    }

    /// Whether entries from `first` on may be appended.
    pub(super) fn accepts(&self, first: u64, count: u64) -> bool {
        let follows = !self.head.started || first == self.head.next;
        follows && first.checked_add(count).is_some()
    }

    /// Takes entries that [`Live::accepts`] allowed.
    pub(super) fn append(&mut self, first: u64, entries: &[Bytes], cache_bytes: usize) {
        for (index, entry) in (first..).zip(entries) {
            let fits = self.head.append(index);
            debug_assert!(fits, "only what is accepted is appended");
            self.bytes += entry.len() as u64;
            self.lengths.push_back(entry.len() as u32);
            self.cached_bytes += entry.len();
            self.cached.push_back(entry.clone());
        }
        if !entries.is_empty() {
            self.touch(first);
        }
        self.evict(cache_bytes);
    }

    pub(super) fn truncate(&mut self, from: u64) {
        let before = self.head.held();
        self.head.truncate(from);
        self.refit(&before);
        self.touch(from);
    }

    pub(super) fn purge(&mut self, through: u64, note: Bytes) {
        let before = self.head.held();
        self.head.purge(through, note);
        self.refit(&before);
    }

    fn refit(&mut self, before: &std::ops::Range<u64>) {
        let after = self.head.held();
        let in_memory = before.end - self.cached.len() as u64..before.end;
        fit(&mut self.lengths, before, &after);
        fit(&mut self.cached, &in_memory, &after);
        self.bytes = self.lengths.iter().map(|&length| u64::from(length)).sum();
        self.cached_bytes = self.cached.iter().map(Bytes::len).sum();
    }

    fn touch(&mut self, index: u64) {
        self.queued_from = Some(self.queued_from.map_or(index, |from| from.min(index)));
    }

    /// All that is queued is being written from now on.
    pub(super) fn writing(&mut self) {
        self.writing_from = self.queued_from.take();
    }

    /// What was being written is in the index.
    pub(super) fn written(&mut self, cache_bytes: usize) {
        self.writing_from = None;
        self.evict(cache_bytes);
    }

    /// Lets go of the oldest entries in memory beyond `cache_bytes` that the index holds as they are.
    fn evict(&mut self, cache_bytes: usize) {
        let kept_from = [self.queued_from, self.writing_from].into_iter().flatten();
        let kept_from = kept_from.min().unwrap_or(u64::MAX);
        while self.cached_bytes > cache_bytes && self.cached_from() < kept_from {
            let Some(gone) = self.cached.pop_front() else {
                return;
            };
            self.cached_bytes -= gone.len();
        }
    }

    fn cached_from(&self) -> u64 {
        self.head.next - self.cached.len() as u64
    }

    /// The length of an entry held.
    pub(super) fn length(&self, index: u64) -> usize {
        let at = (index - self.head.first) as usize;
        self.lengths.get(at).map_or(0, |&length| length as usize)
    }

    /// An entry, if it is in memory.
    pub(super) fn cached(&self, index: u64) -> Option<&Bytes> {
        let at = index.checked_sub(self.cached_from())?;
        self.cached.get(usize::try_from(at).ok()?)
    }
}
