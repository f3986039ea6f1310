//! A disk in memory that forgets what was not synced when its power is cut, and that fails when told to.
//!
//! Invariant: what was synced (a file's data by [`DiskFile::sync_data`], its name by [`Disk::sync_dir`]) is
//! there after every loss of power; what was not may be there, in part, or gone. The same calls and the same
//! random numbers give the same disk.

mod content;
mod handle;
mod tree;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use self::{
    content::Content,
    handle::{Locked, Opened},
    tree::{Change, Inode, Tree, parent, reached_by_sync, tidy},
};
use crate::{Disk, DiskFile, DiskLock, Rng, Space};

/// A disk in memory. Handles and locks of it fail with an I/O error once its power was cut.
///
/// It is as strict as the calls allow: a new file's name needs a sync of its directory even when its data was
/// synced. Changes of names become durable in the order in which they were made, as with a journal.
#[derive(Debug)]
pub struct MemoryDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Names as a running program sees them.
    written: Tree,
    /// Names that survive.
    durable: Tree,
    /// From the durable names to the written ones.
    journal: Vec<Change>,
    inodes: u64,
    capacity: u64,
    /// Files held by a lock, by number.
    locked: BTreeSet<u64>,
    /// Counts power cuts: what was opened in an earlier one is dead.
    generation: u64,
    operations: u64,
    /// The number of operations after which everything fails.
    fails_after: Option<u64>,
}

impl State {
    fn empty(capacity: u64) -> Self {
        Self {
            written: Tree::default(),
            durable: Tree::default(),
            journal: Vec::new(),
            inodes: 0,
            capacity,
            locked: BTreeSet::new(),
            generation: 0,
            operations: 0,
            fails_after: None,
        }
    }

    /// Whether anything works at all.
    fn alive(&self) -> io::Result<()> {
        match self.fails_after {
            Some(last) if self.operations > last => Err(io::Error::other("the disk has failed")),
            _ => Ok(()),
        }
    }

    /// Counts an operation that changes or syncs something; fails from the appointed one on.
    fn operate(&mut self) -> io::Result<()> {
        self.alive()?;
        self.operations += 1;
        self.alive()
    }

    fn change(&mut self, change: Change) {
        self.written.apply(&change);
        self.journal.push(change);
    }

    fn open(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        self.alive()?;
        if let Some(inode) = self.written.files.get(path) {
            return Ok(Arc::clone(inode));
        }
        if self.written.has_dir(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if !self.written.has_dir(parent(path)) {
            return Err(ErrorKind::NotFound.into());
        }
        self.operate()?;
        self.inodes += 1;
        let inode = Inode::new(self.inodes, Content::default());
        self.change(Change::Create(path.to_path_buf(), Arc::clone(&inode)));
        Ok(inode)
    }

    fn used(&self) -> u64 {
        let files = self.written.files.values();
        files
            .map(|inode| inode.content().written().allocated())
            .sum()
    }

    fn file(&self, path: &Path) -> io::Result<&Arc<Inode>> {
        let found = self.written.files.get(&tidy(path));
        found.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// What was opened before is dead, and the disk works again.
    fn restart(&mut self) {
        self.generation += 1;
        self.locked.clear();
        self.fails_after = None;
    }
}

impl MemoryDisk {
    /// An empty disk of 1 TiB.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_capacity(1 << 40)
    }

    /// An empty disk that holds `bytes`, in pages of 4 KiB; pages never written to take nothing.
    #[must_use]
    pub fn with_capacity(bytes: u64) -> Arc<Self> {
        Self::holding(State::empty(bytes))
    }

    fn holding(state: State) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Mutex::new(state)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Changes what it can hold, in bytes; what is there stays also when it is more.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Cuts the power: of the writes since each file's last sync every one is kept, dropped or torn on its own (in
    /// sectors of 512 bytes), of the changes of names since the last sync that reached them a first part is kept.
    /// Open files and locks are dead from then on; a failed disk works again.
    pub fn power_cut(&self, rng: &dyn Rng) {
        let state = &mut *self.state();
        let kept = rng.below(state.journal.len() as u64 + 1);
        for (place, change) in state.journal.drain(..).enumerate() {
            if (place as u64) < kept {
                state.durable.apply(&change);
            }
        }
        for inode in state.durable.files.values() {
            inode.content().power_cut(rng);
        }
        state.written = state.durable.clone();
        state.restart();
    }

    /// Lets `n` more operations succeed (of those that change or sync something); the one after them and whatever
    /// is asked later, reading too, fails with an I/O error until [`MemoryDisk::power_cut`].
    pub fn fail_after(&self, n: u64) {
        let mut state = self.state();
        state.fails_after = Some(state.operations.saturating_add(n));
    }

    /// Operations so far that changed or synced something.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Damages a file that is there: flips its bit number `bit`; beyond its end nothing happens.
    ///
    /// # Errors
    /// `NotFound`
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        self.state().file(path)?.content().flip(bit);
        Ok(())
    }

    /// Damages a file that is there: it ends after `length` bytes, if it was longer.
    ///
    /// # Errors
    /// `NotFound`
    pub fn truncate_file(&self, path: &Path, length: u64) -> io::Result<()> {
        self.state().file(path)?.content().cut(length);
        Ok(())
    }

    /// All files with their lengths in bytes, sorted by path.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let files = state.written.files.iter();
        files
            .map(|(path, inode)| (path.clone(), inode.content().written().length()))
            .collect()
    }

    /// Another disk with the same content, durable and not; nothing is open on it, and it has not failed.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        let state = self.state();
        let mut copies = BTreeMap::new();
        let mut copy = |inode: &Arc<Inode>| {
            let copied = copies
                .entry(inode.number)
                .or_insert_with(|| Inode::new(inode.number, inode.content().clone()));
            Arc::clone(copied)
        };
        let mut copied = State::empty(state.capacity);
        copied.written = state.written.clone();
        copied.durable = state.durable.clone();
        copied.journal = state.journal.clone();
        copied.inodes = state.inodes;
        for tree in [&mut copied.written, &mut copied.durable] {
            for inode in tree.files.values_mut() {
                *inode = copy(inode);
            }
        }
        for change in &mut copied.journal {
            if let Change::Create(_, inode) = change {
                *inode = copy(inode);
            }
        }
        Self::holding(copied)
    }

    /// Makes the disk empty, as a new one; what was open is dead.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.written = Tree::default();
        state.durable = Tree::default();
        state.journal.clear();
        state.restart();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state
        .lock()
        .expect("nobody panics holding the disk's state")
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.open(&tidy(path))?;
        Ok(Arc::new(Opened {
            shared: Arc::clone(&self.shared),
            inode,
            generation: state.generation,
        }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        state.alive()?;
        state.written.list(&tidy(directory))
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let directory = tidy(directory);
        let mut missing: Vec<&Path> = directory.ancestors().collect();
        missing.retain(|path| !state.written.has_dir(path));
        for path in missing.into_iter().rev() {
            if state.written.files.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.operate()?;
            state.change(Change::CreateDir(path.to_path_buf()));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let (from, to) = (tidy(from), tidy(to));
        if state.written.may_rename(&from, &to)? {
            state.operate()?;
            state.change(Change::Rename(from, to));
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let path = tidy(path);
        if state.written.has_dir(&path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        state.file(&path)?;
        state.operate()?;
        state.change(Change::Remove(path));
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        state.alive()?;
        let directory = tidy(directory);
        if !state.written.has_dir(&directory) {
            return Err(ErrorKind::NotFound.into());
        }
        state.operate()?;
        let reached = reached_by_sync(&state.journal, &directory);
        for change in state.journal.drain(..reached) {
            state.durable.apply(&change);
        }
        Ok(())
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        let state = self.state();
        state.alive()?;
        if !state.written.has_dir(&tidy(directory)) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(Space {
            total: state.capacity,
            available: state.capacity.saturating_sub(state.used()),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        let inode = state.open(&tidy(path))?;
        if !state.locked.insert(inode.number) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Locked(Opened {
            shared: Arc::clone(&self.shared),
            inode,
            generation: state.generation,
        })))
    }
}
