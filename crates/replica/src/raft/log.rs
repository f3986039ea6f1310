//! openraft's log storage over the node's write-ahead log.
//!
//! Invariant: an entry or vote is reported durable only from the log's own report; entries are never skipped
//! nor overlapped, which the log below refuses.

use std::{
    fmt, io,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
};

use bytes::Bytes;
use halley_store::{GroupId, Slot, Wal};
use openraft::{
    RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use tokio::sync::oneshot;

use super::{
    Entry, LogId, Runtime, Types, Vote,
    message::{self, EntryForm, PlaceForm, VoteForm},
};
use crate::limits;

const VOTE: Slot = Slot(1);
const COMMITTED: Slot = Slot(2);

/// One group's log. Clones read and write the same.
pub(crate) struct GroupLog<R> {
    wal: Wal,
    group: GroupId,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Clone for GroupLog<R> {
    fn clone(&self) -> Self {
        Self::new(self.wal.clone(), self.group)
    }
}

impl<R> fmt::Debug for GroupLog<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLog")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl<R> GroupLog<R> {
    /// The log of `group` within `wal`.
    pub(crate) fn new(wal: Wal, group: GroupId) -> Self {
        Self {
            wal,
            group,
            runtime: PhantomData,
        }
    }

    /// Place of the newest entry, kept or purged.
    pub(crate) fn last(&self) -> io::Result<Option<LogId>> {
        let state = self.wal.state(self.group);
        if state.next > state.first {
            let newest = self.read(state.next - 1..state.next, 1)?.pop();
            let newest = newest.ok_or(io::ErrorKind::UnexpectedEof)?;
            return Ok(Some(newest.log_id));
        }
        purged(state.purged)
    }

    /// All entries that are kept, oldest first.
    pub(crate) fn kept(&self) -> io::Result<Vec<Entry>> {
        let state = self.wal.state(self.group);
        self.read(state.first..state.next, usize::MAX)
    }

    fn read(&self, range: std::ops::Range<u64>, most: usize) -> io::Result<Vec<Entry>> {
        let entries = self.wal.read(self.group, range, most)?.into_iter();
        let decoded = entries.map(|bytes| {
            let form: EntryForm = message::decode("log entry", bytes)?;
            Ok(form.into())
        });
        decoded.collect()
    }
}

fn purged(note: Option<Bytes>) -> io::Result<Option<LogId>> {
    let Some(note) = note else { return Ok(None) };
    let place: PlaceForm = message::decode("note of purging", note)?;
    Ok(Some(place.into()))
}

fn bounds(range: &impl RangeBounds<u64>) -> std::ops::Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl<R: Runtime> RaftLogReader<Types<R>> for GroupLog<R> {
    async fn try_get_log_entries<B: RangeBounds<u64> + Clone + fmt::Debug + Send>(
        &mut self,
        range: B,
    ) -> io::Result<Vec<Entry>> {
        let mut range = bounds(&range);
        range.start = range.start.max(self.wal.state(self.group).first);
        let mut entries = Vec::new();
        while range.start < range.end {
            let more = self.read(range.clone(), limits::READ_BYTES)?;
            let Some(newest) = more.last() else { break };
            range.start = newest.log_id.index + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, limits::READ_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let Some(bytes) = self.wal.get(self.group, VOTE) else {
            return Ok(None);
        };
        let form: VoteForm = message::decode("vote", bytes)?;
        Ok(Some(form.into()))
    }
}

impl<R: Runtime> RaftLogStorage<Types<R>> for GroupLog<R> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<R>>> {
        Ok(LogState {
            last_purged_log_id: purged(self.wal.state(self.group).purged)?,
            last_log_id: self.last()?,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, durable) = oneshot::channel();
        let vote = message::encode(&VoteForm::from(*vote));
        let report = Box::new(move |result| {
            // Nobody waits once Raft itself has ended.
            let _ended = done.send(result);
        });
        self.wal.set(self.group, VOTE, vote, Some(report));
        durable
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            let place = message::encode(&PlaceForm::from(committed));
            self.wal.set(self.group, COMMITTED, place, None);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let Some(bytes) = self.wal.get(self.group, COMMITTED) else {
            return Ok(None);
        };
        let place: PlaceForm = message::decode("committed place", bytes)?;
        // It rides along unsynced with what is: after a loss of power it may name entries that are gone.
        let committed = LogId::from(place);
        Ok(self.last()?.map(|last| last.min(committed)))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<R>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut first = None;
        let mut encoded = Vec::new();
        for entry in entries {
            first.get_or_insert(entry.log_id.index);
            encoded.push(message::encode(&EntryForm::from(&entry)));
        }
        let Some(first) = first else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let report = Box::new(move |result| callback.io_completed(result));
        self.wal.append(self.group, first, encoded, report)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        // Whatever is appended and reported later lies behind it in the same log; a failure ends the process.
        self.wal.truncate(self.group, from, Box::new(|_| ()));
        Ok(())
    }

    async fn purge(&mut self, through: LogId) -> io::Result<()> {
        let note = message::encode(&PlaceForm::from(through));
        self.wal
            .purge(self.group, through.index, note, Box::new(|_| ()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
