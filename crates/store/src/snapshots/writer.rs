//! A snapshot being written, beside those that there are.
//!
//! Invariant: it takes its name after all of it was synced.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use halley_env::DiskFile;

use super::{
    Snapshots,
    file::SnapshotFile,
    layout::{self, CHUNK_BYTES, Layout},
};
use crate::GroupId;

/// A snapshot being written. Dropping it removes what was written.
#[derive(Debug)]
pub struct SnapshotWriter {
    snapshots: Snapshots,
    group: GroupId,
    index: u64,
    head: Bytes,
    /// What stands in the file before the content.
    header: Vec<u8>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// The end of the content, less than a chunk, not in the file yet.
    waiting: Vec<u8>,
    /// Bytes of the content in the file.
    written: u64,
    sums: Vec<u32>,
    finished: bool,
}

impl SnapshotWriter {
    pub(super) fn begin(
        snapshots: Snapshots,
        (group, index): (GroupId, u64),
        head: Bytes,
        path: PathBuf,
    ) -> io::Result<Self> {
        if head.len() > layout::HEAD_BYTES_MAX {
            let told = format!("a head of {} bytes is too large", head.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let header = layout::header(group, index, &head);
        let file = snapshots.disk.open(&path)?;
        let writer = Self {
            snapshots,
            group,
            index,
            head,
            header,
            file,
            path,
            waiting: Vec::new(),
            written: 0,
            sums: Vec::new(),
            finished: false,
        };
        writer.file.set_len(0)?;
        writer.file.write_at(&writer.header, 0)?;
        Ok(writer)
    }

    /// Appends to the content.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        let whole = usize::try_from(CHUNK_BYTES).expect("1 MiB fits");
        let mut rest = chunk;
        while !rest.is_empty() {
            let (taken, left) = rest.split_at(rest.len().min(whole - self.waiting.len()));
            self.waiting.extend_from_slice(taken);
            rest = left;
            if self.waiting.len() == whole {
                self.put()?;
            }
        }
        Ok(())
    }

    /// Writes what waits as one chunk.
    fn put(&mut self) -> io::Result<()> {
        let at = self.header.len() as u64 + self.written;
        self.file.write_at(&self.waiting, at)?;
        self.sums.push(crc32c::crc32c(&self.waiting));
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Makes it durable and the newest of its group, unless a later one was finished in the meantime; all but the
    /// newest two are then removed.
    ///
    /// # Errors
    /// What the operating system says; nothing has changed then.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        if !self.waiting.is_empty() {
            self.put()?;
        }
        let (footer, sum) = layout::footer(&self.header, self.written, &self.sums);
        let start = self.header.len() as u64;
        self.file.write_at(&footer, start + self.written)?;
        self.file.sync_data()?;
        let layout = Layout {
            head: std::mem::take(&mut self.head),
            start,
            length: self.written,
            sums: std::mem::take(&mut self.sums),
            sum,
        };
        let file = SnapshotFile::new(Arc::clone(&self.file), self.index, layout);
        self.snapshots.keep(self.group, &file, &self.path)?;
        self.finished = true;
        Ok(file)
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Err(error) = self.snapshots.disk.remove(&self.path) {
            // The next start removes it.
            tracing::debug!(%error, path = %self.path.display(), "an unfinished snapshot stays");
        }
    }
}
