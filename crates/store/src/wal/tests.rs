//! Tests of the log, and what they share.

mod conformance;
mod crashes;
mod damage;
mod failures;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use halley_env::{Disk, InlineSpawn, MemoryDisk, Spawn};

use super::{Done, GroupId, OpenError, Wal, WalConfig};

const A: GroupId = GroupId(1);
const B: GroupId = GroupId(2);

/// What a [`Done`] was told.
#[derive(Clone, Default)]
struct Ticket(Arc<Mutex<Option<io::Result<()>>>>);

impl Ticket {
    fn new() -> (Done, Self) {
        let ticket = Self::default();
        let told = ticket.clone();
        let done = move |result| {
            let before = told.0.lock().unwrap().replace(result);
            assert!(before.is_none(), "told twice");
        };
        (Box::new(done), ticket)
    }

    fn is_told(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    fn is_ok(&self) -> bool {
        matches!(&*self.0.lock().unwrap(), Some(Ok(())))
    }

    async fn wait(self) -> io::Result<()> {
        loop {
            if let Some(result) = self.0.lock().unwrap().take() {
                return result;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A place for logs.
struct Place {
    disk: Arc<dyn Disk>,
    spawn: &'static dyn Spawn,
    config: WalConfig,
}

impl Place {
    /// In memory, stepped between tasks.
    fn memory(segment_bytes: u64) -> (Arc<MemoryDisk>, Self) {
        let disk = MemoryDisk::new();
        let place = Self::on(disk.clone(), segment_bytes);
        (disk, place)
    }

    fn on(disk: Arc<MemoryDisk>, segment_bytes: u64) -> Self {
        Self {
            disk,
            spawn: &InlineSpawn,
            config: WalConfig {
                directory: PathBuf::from("/log"),
                segment_bytes,
                cache_bytes: 8 * 1024,
            },
        }
    }

    fn open(&self) -> Wal {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Wal, OpenError> {
        let failed = Box::new(|error: &io::Error| panic!("the log failed: {error}"));
        self.open_with(failed)
    }

    fn open_with(&self, failed: Box<dyn Fn(&io::Error) + Send + Sync>) -> Result<Wal, OpenError> {
        let disk = Arc::clone(&self.disk);
        Wal::open(disk, self.spawn, self.config.clone(), failed)
    }

    /// Names of the segments.
    fn segments(&self) -> Vec<PathBuf> {
        self.disk.list(&self.config.directory).unwrap()
    }
}

/// An entry that says where it belongs, of `length` bytes.
fn entry(group: GroupId, index: u64, length: usize) -> Bytes {
    let mut bytes = format!("{}/{index}/", group.0).into_bytes();
    bytes.resize(length.max(bytes.len()), b'.');
    bytes.into()
}

fn entries(group: GroupId, indices: std::ops::Range<u64>, length: usize) -> Vec<Bytes> {
    indices.map(|index| entry(group, index, length)).collect()
}

/// Appends and waits.
async fn put(wal: &Wal, group: GroupId, indices: std::ops::Range<u64>, length: usize) {
    let (done, ticket) = Ticket::new();
    let first = indices.start;
    wal.append(group, first, entries(group, indices, length), done)
        .unwrap();
    ticket.wait().await.unwrap();
}

async fn truncate(wal: &Wal, group: GroupId, from: u64) {
    let (done, ticket) = Ticket::new();
    wal.truncate(group, from, done);
    ticket.wait().await.unwrap();
}

async fn purge(wal: &Wal, group: GroupId, through: u64, note: &'static str) {
    let (done, ticket) = Ticket::new();
    wal.purge(group, through, note.into(), done);
    ticket.wait().await.unwrap();
}

fn all(wal: &Wal, group: GroupId) -> Vec<Bytes> {
    wal.read(group, 0..u64::MAX, usize::MAX).unwrap()
}

fn corrupt(opened: Result<Wal, OpenError>) -> String {
    match opened.expect_err("the log is damaged") {
        OpenError::Corrupt { reason, .. } => reason,
        OpenError::Io(error) => panic!("{error}"),
    }
}

/// All bytes of a file.
fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}
