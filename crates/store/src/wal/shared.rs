//! What callers, committer and keeper share: the groups as seen and as durable, the queue between, and the end.
//!
//! Invariant: the lock is never held over an operation on the disk or a call of anybody's [`Done`].

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use halley_env::DiskFile;

use super::{
    Done, GroupId, GroupState, Slot,
    change::Change,
    index::{Group, Index, Place},
    live::Live,
};

/// What was handed in and waits to be written.
pub(super) struct Op {
    pub(super) group: GroupId,
    pub(super) what: What,
    pub(super) done: Option<Done>,
}

pub(super) enum What {
    Append {
        first: u64,
        entries: Vec<Bytes>,
    },
    /// No entry.
    Change(Change),
    /// Write the group's entries again.
    CopyForward,
}

/// All that waits, taken together.
pub(super) struct Lot {
    pub(super) ops: VecDeque<Op>,
    /// Values that nobody waits for; written after the rest.
    pub(super) riders: BTreeMap<(GroupId, Slot), Bytes>,
    /// Whether this is the last lot.
    pub(super) close: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) live: BTreeMap<GroupId, Live>,
    pub(super) index: Index,
    /// Every segment that is not to be removed.
    pub(super) files: BTreeMap<u64, Arc<dyn DiskFile>>,
    queue: VecDeque<Op>,
    riders: BTreeMap<(GroupId, Slot), Bytes>,
    closing: bool,
    ended: bool,
    failed: Option<io::Error>,
}

/// The state under its lock, and who is told of a failure.
pub(super) struct Shared {
    state: Mutex<State>,
    cache_bytes: usize,
    failed: Box<dyn Fn(&io::Error) + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Another error that says the same.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the log is closed")
}

impl Shared {
    pub(super) fn new(
        index: Index,
        files: BTreeMap<u64, Arc<dyn DiskFile>>,
        cache_bytes: usize,
        failed: Box<dyn Fn(&io::Error) + Send + Sync>,
    ) -> Self {
        let groups = index.groups();
        let live = groups.map(|(id, group)| (id, Live::from_disk(group)));
        let state = State {
            live: live.collect(),
            index,
            files,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            cache_bytes,
            failed,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("nobody panics while holding the log's state")
    }

    /// Makes `see` what callers see and queues `op`. Refused: gives back the error, and `op`'s done is told.
    pub(super) fn hand_in(&self, op: Op, see: impl FnOnce(&mut Live)) -> bool {
        let mut state = self.state();
        if state.closing {
            drop(state);
            if let Some(done) = op.done {
                done(Err(closed()));
            }
            return false;
        }
        see(state.live.entry(op.group).or_default());
        if let (What::Change(Change::Set { slot, .. }), group) = (&op.what, op.group) {
            state.riders.remove(&(group, *slot));
        }
        state.queue.push_back(op);
        true
    }

    /// Appends, if it fits.
    ///
    /// # Errors
    /// `InvalidInput` for a hole or an overlap, `NotConnected` after the end.
    pub(super) fn append(
        &self,
        group: GroupId,
        first: u64,
        entries: Vec<Bytes>,
        done: Done,
    ) -> io::Result<()> {
        let mut state = self.state();
        if state.closing {
            return Err(closed());
        }
        let live = state.live.entry(group).or_default();
        if !live.accepts(first, entries.len() as u64) {
            let (group, next) = (group.0, live.head.next);
            let reason = format!("group {group}: entry {first} was handed in, {next} is next");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        live.append(first, &entries, self.cache_bytes);
        state.queue.push_back(Op {
            group,
            what: What::Append { first, entries },
            done: Some(done),
        });
        Ok(())
    }

    /// Sets a value that rides along with whatever is written next.
    pub(super) fn ride_along(&self, group: GroupId, slot: Slot, value: Bytes) {
        let mut state = self.state();
        if !state.closing {
            let live = state.live.entry(group).or_default();
            live.head.slots.insert(slot, value.clone());
            state.riders.insert((group, slot), value);
        }
    }

    /// All that waits, if somebody waits for it; after a failure everybody who waits is told instead.
    pub(super) fn take(&self) -> Option<Lot> {
        let mut state = self.state();
        if let Some(failed) = &state.failed {
            let error = same(failed);
            let ops = std::mem::take(&mut state.queue);
            state.ended = state.closing;
            drop(state);
            refuse(ops.into_iter().filter_map(|op| op.done), &error);
            return None;
        }
        let close = state.closing && !state.ended;
        if state.queue.is_empty() && !close {
            return None;
        }
        for live in state.live.values_mut() {
            live.writing();
        }
        Some(Lot {
            ops: std::mem::take(&mut state.queue),
            riders: std::mem::take(&mut state.riders),
            close,
        })
    }

    /// Puts changes that are durable into the index. The segments that nobody needs any more, oldest first.
    pub(super) fn durable(&self, changes: impl Iterator<Item = (GroupId, Change)>) -> Vec<u64> {
        let mut state = self.state();
        for (group, change) in changes {
            let changed = state.index.change(group, change);
            changed.expect("what is handed in fits what is there");
        }
        state.let_go()
    }

    /// All that was taken is durable and in the index.
    pub(super) fn settle(&self) {
        for live in self.state().live.values_mut() {
            live.written(self.cache_bytes);
        }
    }

    /// Nothing is durable any more from here on. Tells whoever wants to know, once.
    pub(super) fn fail(&self, error: &io::Error) {
        let mut state = self.state();
        if state.failed.is_none() {
            state.failed = Some(same(error));
            drop(state);
            (self.failed)(error);
        }
    }

    /// Nothing more is taken.
    pub(super) fn close(&self) {
        self.state().closing = true;
    }

    /// The committer does nothing more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.closing, state.ended) = (true, true);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Why nothing is durable any more.
    ///
    /// # Errors
    /// The failure.
    pub(super) fn health(&self) -> io::Result<()> {
        self.state()
            .failed
            .as_ref()
            .map_or(Ok(()), |error| Err(same(error)))
    }
}

impl State {
    /// The file that `place` lies in.
    pub(super) fn file_of(&self, place: Place) -> Option<Arc<dyn DiskFile>> {
        self.files.get(&u64::from(place.segment)).cloned()
    }

    /// What callers are told about `group`.
    pub(super) fn group_state(&self, group: GroupId) -> GroupState {
        let Some(live) = self.live.get(&group) else {
            return GroupState::default();
        };
        let held = self
            .index
            .group(group)
            .filter(|_| live.head.first < live.head.next);
        let oldest = held.and_then(Group::oldest_segment);
        let newest = self.files.keys().next_back().copied().unwrap_or(0);
        GroupState {
            first: live.head.first,
            next: live.head.next,
            purged: live.head.purged.clone(),
            bytes: live.bytes,
            segments: oldest.map_or(0, |oldest| newest.saturating_sub(oldest)),
        }
    }

    /// Forgets the segments that no entry needs; their numbers, oldest first.
    pub(super) fn let_go(&mut self) -> Vec<u64> {
        let newest = self.files.keys().next_back().copied().unwrap_or(0);
        let needed = self.index.oldest_segment().unwrap_or(newest).min(newest);
        let kept = self.files.split_off(&needed);
        let gone = std::mem::replace(&mut self.files, kept);
        gone.into_keys().collect()
    }
}

/// Tells everybody that it will never be durable.
pub(super) fn refuse(dones: impl Iterator<Item = Done>, error: &io::Error) {
    for done in dones {
        done(Err(same(error)));
    }
}
