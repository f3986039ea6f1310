//! The one who writes: takes all that waits, makes batches of it, and syncs each before it begins the next.
//!
//! Invariant: a frame is written only when everything before it is synced, so that at most the newest frame of
//! the log can be torn; after a failure nothing is written any more.

use std::{io, mem, sync::Arc};

use bytes::Bytes;
use halley_env::DiskFile;

use super::{
    Done, GroupId,
    change::{self, Change},
    frame::{self, ALIGN, End, FRAME_HEAD, Kind, SEGMENT_HEAD},
    index::Place,
    keeper::Keeper,
    reading,
    shared::{Lot, Op, Shared, What, refuse},
};

/// A batch is not made longer than this, in bytes, unless a single change is.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A buffer longer than this is given back after use, in bytes.
const BUFFER_KEPT_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Where the next frame goes.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) file: Arc<dyn DiskFile>,
    /// Bytes of the file.
    pub(super) length: u64,
    /// Where the last frame ends; it is synced.
    pub(super) end: End,
    /// Number of the next frame.
    pub(super) number: u64,
}

/// The committer. Its step is [`Committer::step`].
pub(super) struct Committer {
    shared: Arc<Shared>,
    /// None once the log is closed.
    keeper: Option<Keeper>,
    tail: Tail,
    batch: Batch,
}

/// A frame in the making.
#[derive(Default)]
struct Batch {
    /// Room for the head, then the changes.
    buffer: Vec<u8>,
    changes: Vec<(GroupId, Change)>,
    /// Who waits for this frame.
    dones: Vec<Done>,
}

impl Tail {
    /// Whether a frame of `bytes` fits, and the mark that ends a segment after it.
    fn fits(&self, bytes: usize) -> bool {
        self.end.offset + (bytes + FRAME_HEAD) as u64 <= self.length
    }
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, keeper: Keeper, tail: Tail) -> Self {
        Self {
            shared,
            keeper: Some(keeper),
            tail,
            batch: Batch::default(),
        }
    }

    /// Does all that waits, and returns when nobody waits any more.
    pub(super) fn step(&mut self) {
        while let Some(mut lot) = self.shared.take() {
            let committed = self.commit(&mut lot);
            if let Err(error) = &committed {
                self.shared.fail(error);
                let waiting = self.batch.dones.drain(..);
                refuse(
                    waiting.chain(lot.ops.into_iter().filter_map(|op| op.done)),
                    error,
                );
            }
            if lot.close {
                self.shared.end();
                self.keeper = None;
            }
        }
    }

    fn commit(&mut self, lot: &mut Lot) -> io::Result<()> {
        self.batch.clear();
        while let Some(Op { group, what, done }) = lot.ops.pop_front() {
            let added = match what {
                What::Append { first, entries } => self.append(group, first, &entries, false),
                What::Change(change) => self.change(group, change),
                What::CopyForward => self.copy_forward(group),
            };
            self.batch.dones.extend(done);
            added?;
        }
        for ((group, slot), value) in mem::take(&mut lot.riders) {
            self.change(group, Change::Set { slot, value })?;
        }
        self.flush()?;
        self.shared.settle();
        if lot.close {
            self.close()?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        group: GroupId,
        first: u64,
        entries: &[Bytes],
        copy: bool,
    ) -> io::Result<()> {
        for (index, entry) in (first..).zip(entries) {
            self.make_room(entry.len() + change::OVERHEAD)?;
            let at = (self.tail.end.segment, self.tail.end.offset);
            let buffer = &mut self.batch.buffer;
            let change = change::encode_entry(buffer, group, index, entry, copy, at);
            self.batch.changes.push((group, change));
        }
        Ok(())
    }

    fn change(&mut self, group: GroupId, change: Change) -> io::Result<()> {
        self.make_room(change.encoded_len())?;
        change.encode(&mut self.batch.buffer, group);
        self.batch.changes.push((group, change));
        Ok(())
    }

    /// Writes the group's entries again. One that cannot be read stays where it is: nothing is lost by that.
    fn copy_forward(&mut self, group: GroupId) -> io::Result<()> {
        // What is before this in the batch must be in the index, which says what is to be copied.
        self.flush()?;
        let (first, found) = {
            let state = self.shared.state();
            let Some(held) = state.index.group(group) else {
                return Ok(());
            };
            let places = held.head.held().filter_map(|index| held.place(index));
            let found = places
                .map(|place| (place, state.file_of(place)))
                .collect::<Vec<_>>();
            (held.head.first, found)
        };
        match found
            .into_iter()
            .map(read_one)
            .collect::<io::Result<Vec<_>>>()
        {
            Ok(entries) => self.append(group, first, &entries, true),
            Err(error) => {
                tracing::warn!(%error, group = group.0, "entries cannot be copied forward");
                Ok(())
            }
        }
    }

    /// Makes sure that a change of at most `bytes` fits in the batch, and the batch in the segment.
    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        let padded = |bytes: usize| bytes.next_multiple_of(ALIGN);
        if !self.batch.changes.is_empty() {
            let length = padded(self.batch.buffer.len() + bytes);
            if length <= BATCH_BYTES_MAX && self.tail.fits(length) {
                return Ok(());
            }
            self.flush()?;
        }
        let length = padded(FRAME_HEAD + bytes);
        if !self.tail.fits(length) {
            self.roll(length)?;
        }
        Ok(())
    }

    /// Writes the batch, if it holds anything, and tells who waits for it.
    fn flush(&mut self) -> io::Result<()> {
        if !self.batch.changes.is_empty() {
            let count = u32::try_from(self.batch.changes.len()).expect("a batch is a few MiB");
            let mut buffer = mem::take(&mut self.batch.buffer);
            let (at, number) = (self.tail.end, self.tail.number);
            frame::seal(&mut buffer, Kind::Batch, number, count, at, at);
            self.write(&buffer)?;
            self.batch.buffer = buffer;
            let gone = self.shared.durable(self.batch.changes.drain(..));
            if let Some(keeper) = &self.keeper {
                keeper.remove(gone);
            }
        }
        self.batch.reset();
        for done in self.batch.dones.drain(..) {
            done(Ok(()));
        }
        Ok(())
    }

    /// Writes a frame where the last one ends, and syncs it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let tail = &mut self.tail;
        write_synced(&*tail.file, bytes, tail.end.offset)?;
        tail.end.offset += bytes.len() as u64;
        tail.number += 1;
        Ok(())
    }

    /// Goes on in the next segment, where a frame of `bytes` fits. Its start is synced before the old one says that
    /// the log goes on there, and that before anything else.
    fn roll(&mut self, bytes: usize) -> io::Result<()> {
        let keeper = self.keeper.as_ref().expect("a closed log is not written");
        let (old, number) = (self.tail.end, self.tail.number);
        let segment = old.segment + 1;
        let changes = self.shared.state().index.checkpoint();
        let mut start = checkpoint(&changes, segment, number, old);
        let end = End {
            segment,
            offset: start.len() as u64,
        };
        let length_min = start.len() + bytes + FRAME_HEAD;
        let (file, length) = keeper.take(segment, length_min as u64)?;
        start[..SEGMENT_HEAD].copy_from_slice(&frame::segment_head(segment, length));
        write_synced(&*file, &start, 0)?;
        let mark = frame::mark(Kind::Roll, number, old, end);
        write_synced(&*self.tail.file, &mark, old.offset)?;
        self.shared.state().files.insert(segment, Arc::clone(&file));
        self.tail = Tail {
            file,
            length,
            end,
            number: number + 1,
        };
        keeper.want(segment + 1);
        Ok(())
    }

    /// Writes the mark of a clean end.
    fn close(&mut self) -> io::Result<()> {
        if let Some(keeper) = &self.keeper {
            keeper.want_nothing();
        }
        if !self.tail.fits(FRAME_HEAD) {
            self.roll(FRAME_HEAD)?;
        }
        let (at, number) = (self.tail.end, self.tail.number);
        self.write(&frame::mark(Kind::Close, number, at, at))
    }
}

impl Batch {
    fn clear(&mut self) {
        self.changes.clear();
        self.reset();
    }

    /// Makes the buffer ready for a frame.
    fn reset(&mut self) {
        if self.buffer.capacity() > BUFFER_KEPT_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.resize(FRAME_HEAD, 0);
    }
}

/// The start of `segment`: room for its head, and a checkpoint of what the log holds there.
pub(super) fn checkpoint(
    changes: &[(GroupId, Change)],
    segment: u64,
    number: u64,
    synced: End,
) -> Vec<u8> {
    let mut buffer = vec![0; FRAME_HEAD];
    for (group, change) in changes {
        change.encode(&mut buffer, *group);
    }
    let at = End {
        segment,
        offset: SEGMENT_HEAD as u64,
    };
    let count = u32::try_from(changes.len()).expect("groups and slots are few");
    frame::seal(&mut buffer, Kind::Checkpoint, number, count, at, synced);
    let mut start = vec![0; SEGMENT_HEAD];
    start.append(&mut buffer);
    start
}

fn read_one((place, file): (Place, Option<Arc<dyn DiskFile>>)) -> io::Result<Bytes> {
    let file = file.ok_or(io::ErrorKind::NotFound)?;
    let entries = reading::read_places(&*file, &[place])?;
    entries
        .into_iter()
        .next()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Writes and syncs, and counts both.
fn write_synced(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_at(bytes, offset)?;
    file.sync_data()?;
    metrics::counter!("halley_store_log_bytes_total").increment(bytes.len() as u64);
    metrics::counter!("halley_store_log_syncs_total").increment(1);
    Ok(())
}
