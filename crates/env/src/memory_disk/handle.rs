//! What is open on a [`super::MemoryDisk`].
//!
//! Invariant: nothing opened before a loss of power touches what is there after it.

use std::{
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{State, lock, tree::Inode};
use crate::{DiskFile, DiskLock};

/// A file opened in some generation; dead in all later ones.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) shared: Arc<Mutex<State>>,
    pub(super) inode: Arc<Inode>,
    pub(super) generation: u64,
}

impl Opened {
    /// The disk's state, if it works and still knows this file.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.shared);
        if state.generation != self.generation {
            return Err(io::Error::other("the power was cut since this was opened"));
        }
        state.alive()?;
        Ok(state)
    }
}

impl DiskFile for Opened {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let _state = self.state()?;
        if self.inode.content().written().read(buffer, offset) {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let growth = self.inode.content().written().growth(offset, bytes.len());
        if growth > 0 && state.used().saturating_add(growth) > state.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        state.operate()?;
        self.inode.content().write(bytes, offset);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state()?.operate()?;
        self.inode.content().sync();
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let _state = self.state()?;
        Ok(self.inode.content().written().length())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.operate()?;
        self.inode.content().set_len(length);
        Ok(())
    }
}

/// A lock, released when dropped.
#[derive(Debug)]
pub(super) struct Locked(pub(super) Opened);

impl DiskLock for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = lock(&self.0.shared);
        if state.generation == self.0.generation {
            state.locked.remove(&self.0.inode.number);
        }
    }
}
