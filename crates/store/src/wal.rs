//! The write-ahead log: one per node for all groups, one committer, one sync for all that waits.
//!
//! Invariant: whoever is told `Ok` finds what it wrote after a loss of power, in the order in which it was
//! handed in; after a failed write or sync nobody is ever told `Ok` again.

//!
//! The files are described in `wal/frame.rs` and `wal/change.rs`, the order of writing in `wal/committer.rs`,
//! what of a torn log may be given up in `wal/recover.rs`.

mod change;
mod committer;
mod frame;
mod index;
mod keeper;
mod live;
mod reading;
mod recover;
mod repair;
mod segment;
mod shared;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use halley_env::{Disk, Spawn, Worker};
use thiserror::Error;

use change::Change;
use committer::Committer;
use index::Index;
use keeper::Keeper;
use shared::{Op, Shared, What};

/// A group: a log of its own within the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

/// One of the small values that a group keeps beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u8);

/// Called once, on the committer's thread, when what was handed in is durable or will never be. Must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Where and how large.
#[derive(Clone, Debug)]
pub struct WalConfig {
    /// The log's own directory; created when absent.
    pub directory: PathBuf,
    /// Bytes of a segment file, preallocated. 16 MiB.
    pub segment_bytes: u64,
    /// Bytes of the newest entries of each group kept in memory for reading. 8 MiB.
    pub cache_bytes: usize,
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Something durable is damaged or missing: the disk must not be used.
    #[error("the log in {directory} is damaged: {reason}")]
    Corrupt {
        /// Where.
        directory: PathBuf,
        /// What does not fit, with file and offset.
        reason: String,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a group's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Index of the first entry that can be read; equal to `next` when there is none.
    pub first: u64,
    /// Index that the next entry must have.
    pub next: u64,
    /// The owner's note about the newest entry that was purged.
    pub purged: Option<Bytes>,
    /// Bytes of the entries that can be read.
    pub bytes: u64,
    /// Segments behind the newest one that are kept for this group's oldest entry.
    pub segments: u64,
}

/// The log. Cheap to clone; [`Wal::close`] ends it for all.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// The committer; none after the end.
    committer: Mutex<Option<Worker>>,
    clean: bool,
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").finish_non_exhaustive()
    }
}

impl Wal {
    /// Longest entry, in bytes.
    pub const ENTRY_BYTES_MAX: usize = 64 * 1024 * 1024;
    /// Longest value of a slot, in bytes.
    pub const VALUE_BYTES_MAX: usize = 64 * 1024;
    /// Most bytes of entries that [`Wal::copy_forward`] writes again.
    pub const COPY_BYTES_MAX: u64 = 4 * 1024 * 1024;

    /// Opens the log, reading all of it. `failed` is called once, at the first write or sync that fails.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed on the disk then, unless the operating system refused a repair.
    pub fn open(
        disk: Arc<dyn Disk>,
        spawn: &dyn Spawn,
        config: WalConfig,
        failed: Box<dyn Fn(&io::Error) + Send + Sync>,
    ) -> Result<Self, OpenError> {
        let segment_bytes = config.segment_bytes.max(MIN_BYTES);
        let directory = &config.directory;
        let (index, clean, (files, tail)) = match recover::read(&*disk, directory)? {
            Some(found) => {
                let ready = repair::make_good(&*disk, directory, &found)?;
                (found.index, found.clean, ready)
            }
            None => {
                let ready = repair::begin(&*disk, directory, segment_bytes)?;
                (Index::default(), true, ready)
            }
        };
        let shared = Arc::new(Shared::new(index, files, config.cache_bytes, failed));
        let keeper = Keeper::start(
            disk,
            spawn,
            config.directory,
            segment_bytes,
            Arc::clone(&shared),
        );
        keeper.want(tail.end.segment + 1);
        keeper.remove(shared.state().let_go());
        let mut committer = Committer::new(Arc::clone(&shared), keeper, tail);
        let committer = spawn.worker("log", Box::new(move || committer.step()));
        let committer = Mutex::new(Some(committer));
        let inner = Inner {
            shared,
            committer,
            clean,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether a log was ever begun in `directory`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn is_there(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
        match disk.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            names => Ok(names?.iter().any(|name| segment::number(name).is_some())),
        }
    }

    /// Whether the log was new or had been closed when it was opened.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.inner.clean
    }

    /// Appends `entries` of `group`, the first at `first`, which must be the group's `next` (any index is, in a group
    /// that has never had one). They can be read at once; `done` says when they are durable.
    ///
    /// # Errors
    /// `InvalidInput` when this would leave a hole or overlap, or an entry is longer than
    /// [`Wal::ENTRY_BYTES_MAX`]; `NotConnected` after the end. Nothing was taken then, and `done` is dropped.
    pub fn append(
        &self,
        group: GroupId,
        first: u64,
        entries: Vec<Bytes>,
        done: Done,
    ) -> io::Result<()> {
        if entries
            .iter()
            .any(|entry| entry.len() > Self::ENTRY_BYTES_MAX)
        {
            let reason = "an entry is longer than an entry may be";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        self.inner.shared.append(group, first, entries, done)?;
        self.inner.wake();
        Ok(())
    }

    /// Drops the entries of `group` from `from` on; the next one has that index then. What was purged stays so: `from`
    /// below it means the first index above it.
    pub fn truncate(&self, group: GroupId, from: u64, done: Done) {
        self.hand_in(group, Change::Truncate { from }, done, |live| {
            live.truncate(from);
        });
    }

    /// Drops the entries of `group` through `through` and keeps `note` about it; when `through` is beyond the newest
    /// entry, the next one has index `through + 1` then. Does nothing when more has been purged before.
    pub fn purge(&self, group: GroupId, through: u64, note: Bytes, done: Done) {
        let kept = note.clone();
        self.hand_in(group, Change::Purge { through, note }, done, |live| {
            live.purge(through, kept);
        });
    }

    fn hand_in(
        &self,
        group: GroupId,
        change: Change,
        done: Done,
        see: impl FnOnce(&mut live::Live),
    ) {
        let op = Op {
            group,
            what: What::Change(change),
            done: Some(done),
        };
        if self.inner.shared.hand_in(op, see) {
            self.inner.wake();
        }
    }

    /// Sets a small value (at most [`Wal::VALUE_BYTES_MAX`]; a longer one is refused with `InvalidInput`).
    /// `Some(done)` says when it is durable; without it the value rides along with whatever is synced next, and an
    /// older one may be found after a loss of power.
    pub fn set(&self, group: GroupId, slot: Slot, value: Bytes, done: Option<Done>) {
        if value.len() > Self::VALUE_BYTES_MAX {
            debug_assert!(done.is_some(), "a value that nobody waits for is small");
            if let Some(done) = done {
                done(Err(io::ErrorKind::InvalidInput.into()));
            }
            return;
        }
        let Some(done) = done else {
            self.inner.shared.ride_along(group, slot, value);
            return;
        };
        let seen = value.clone();
        self.hand_in(group, Change::Set { slot, value }, done, |live| {
            live.head.slots.insert(slot, seen);
        });
    }

    /// The value set last.
    #[must_use]
    pub fn get(&self, group: GroupId, slot: Slot) -> Option<Bytes> {
        let state = self.inner.shared.state();
        state.live.get(&group)?.head.slots.get(&slot).cloned()
    }

    /// The entries of `group` with an index in `range` that exist, from the first on, up to about `most` bytes but at
    /// least one. May block on the disk for entries that are not in memory.
    ///
    /// # Errors
    /// What the operating system says, or `InvalidData` when an entry is not what was written.
    pub fn read(&self, group: GroupId, range: Range<u64>, most: usize) -> io::Result<Vec<Bytes>> {
        reading::read(&self.inner.shared, group, &range, most)
    }

    /// What `group` holds now.
    #[must_use]
    pub fn state(&self, group: GroupId) -> GroupState {
        self.inner.shared.state().group_state(group)
    }

    /// Writes the entries of `group` again, into the newest segment, so that the older ones can go. False when there
    /// are none or they have more than [`Wal::COPY_BYTES_MAX`] bytes: nothing happens then.
    pub fn copy_forward(&self, group: GroupId) -> bool {
        let state = self.state(group);
        if state.first == state.next || state.bytes > Self::COPY_BYTES_MAX {
            return false;
        }
        let op = Op {
            group,
            what: What::CopyForward,
            done: None,
        };
        let taken = self.inner.shared.hand_in(op, |_| ());
        if taken {
            self.inner.wake();
        }
        taken
    }

    /// Writes what waits and the mark of a clean end, and ends the committer. What is handed in later fails. Blocks
    /// until then; not to be called from a [`Done`].
    ///
    /// # Errors
    /// What the operating system says: the end was not clean then.
    pub fn close(&self) -> io::Result<()> {
        self.inner.shared.close();
        let committer = self.inner.committer().take();
        if let Some(committer) = committer {
            committer.wake();
            drop(committer);
        }
        self.inner.shared.health()
    }
}

impl Inner {
    fn committer(&self) -> MutexGuard<'_, Option<Worker>> {
        let committer = self.committer.lock();
        committer.expect("nobody panics while waking the committer")
    }

    fn wake(&self) {
        if let Some(committer) = &*self.committer() {
            committer.wake();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.committer().take());
        // Nobody works on the files after this, also where a worker's end cannot be waited for.
        self.shared.end();
    }
}

/// A segment has room for its start and a mark, in bytes.
const MIN_BYTES: u64 = 4096;
