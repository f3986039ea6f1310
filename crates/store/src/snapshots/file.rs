//! A whole snapshot, for reading.
//!
//! Invariant: no byte of the content is handed out unless its chunk is what was written.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use halley_env::DiskFile;

use super::layout::{CHUNK_BYTES, Layout, Unread};

/// A whole snapshot. Readable as long as this lives, also when newer ones have replaced it.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// What [`Snapshots::create`](crate::Snapshots::create) was given.
    pub head: Bytes,
    /// Where the state stands.
    pub index: u64,
    /// Bytes of the content.
    pub length: u64,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Arc<dyn DiskFile>,
    start: u64,
    sums: Vec<u32>,
    sum: u32,
    /// The chunk that is being read in parts, verified, by number.
    reading: Mutex<Option<(u64, Bytes)>>,
}

impl Inner {
    fn reading(&self) -> MutexGuard<'_, Option<(u64, Bytes)>> {
        self.reading.lock().expect("nobody panics holding a chunk")
    }
}

impl SnapshotFile {
    pub(super) fn new(file: Arc<dyn DiskFile>, index: u64, layout: Layout) -> Self {
        Self {
            head: layout.head,
            index,
            length: layout.length,
            inner: Arc::new(Inner {
                file,
                start: layout.start,
                sums: layout.sums,
                sum: layout.sum,
                reading: Mutex::default(),
            }),
        }
    }

    /// The checksum that stands for all of it.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.inner.sum
    }

    /// Up to `most` bytes of the content from `offset` on, never over the end of a chunk of 1 MiB; empty at the
    /// content's end only (and for `most` 0). A chunk read in parts stays in memory until its end is read.
    ///
    /// # Errors
    /// What the operating system says; `InvalidData` when the file is not what was written.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        if offset >= self.length || most == 0 {
            return Ok(Bytes::new());
        }
        let number = offset / CHUNK_BYTES;
        let known = match &*self.inner.reading() {
            Some((held, chunk)) if *held == number => Some(chunk.clone()),
            _ => None,
        };
        let chunk = match known {
            Some(chunk) => chunk,
            None => self.chunk(number)?,
        };
        let from = place(offset % CHUNK_BYTES);
        let to = from.saturating_add(most).min(chunk.len());
        *self.inner.reading() = (to < chunk.len()).then(|| (number, chunk.clone()));
        Ok(chunk.slice(from..to))
    }

    /// Reads all of it.
    pub(super) fn check(&self) -> Result<(), Unread> {
        for number in 0..self.inner.sums.len() as u64 {
            match self.chunk(number) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(Unread::Damaged(error.to_string()));
                }
                read => drop(read?),
            }
        }
        Ok(())
    }

    /// Chunk `number`, which there must be, whole and verified.
    fn chunk(&self, number: u64) -> io::Result<Bytes> {
        let at = number * CHUNK_BYTES;
        let mut bytes = vec![0; place(CHUNK_BYTES.min(self.length - at))];
        let read = self.inner.file.read_at(&mut bytes, self.inner.start + at);
        let damaged = match read {
            Ok(()) => crc32c::crc32c(&bytes) != self.inner.sums[place(number)],
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err(error),
        };
        if damaged {
            let told = format!("the snapshot's content at {at} is not what was written");
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        Ok(bytes.into())
    }
}

fn place(value: u64) -> usize {
    usize::try_from(value).expect("a place within a chunk fits")
}
