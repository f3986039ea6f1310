//! What the log costs beside the disk under it: the same bytes by the log, by a plain loop of writes and syncs, and by
//! sled with a sync of its file behind each flush (its own flush does not reach the disk).
//!
//! Prints figures and judges none: `cargo bench -p halley-store --bench append`, on a quiet machine. The directory
//! is `HALLEY_BENCH_DIR`, else the system's temporary one, which must not be in memory. Log and plain loop take
//! turns, one batch each, so that a disk whose speed changes with time is the same for both.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time, and prints it"
)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use halley_env::{Disk, DiskFile, SystemDisk, TokioSpawn};
use halley_store::{GroupId, Wal, WalConfig};

const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
const ENTRY_BYTES: usize = 256;

struct Log {
    wal: Wal,
    next: u64,
}

impl Log {
    fn open(directory: PathBuf) -> Self {
        let config = WalConfig {
            directory,
            segment_bytes: SEGMENT_BYTES,
            cache_bytes: 8 * 1024 * 1024,
        };
        let failed = Box::new(|error: &std::io::Error| panic!("{error}"));
        let wal = Wal::open(Arc::new(SystemDisk), &TokioSpawn, config, failed).unwrap();
        Self { wal, next: 1 }
    }

    /// Appends `batch` entries and waits for them.
    fn once(&mut self, batch: usize) -> Duration {
        let entries = vec![Bytes::from(vec![b'x'; ENTRY_BYTES]); batch];
        let (told, hear) = mpsc::channel();
        let done = Box::new(move |result| told.send(result).unwrap());
        let begin = Instant::now();
        self.wal
            .append(GroupId(0), self.next, entries, done)
            .unwrap();
        hear.recv().unwrap().unwrap();
        self.next += batch as u64;
        begin.elapsed()
    }

    fn purge(&self) {
        let (told, hear) = mpsc::channel();
        let done = Box::new(move |result| told.send(result).unwrap());
        self.wal
            .purge(GroupId(0), self.next - 1, Bytes::new(), done);
        hear.recv().unwrap().unwrap();
    }

    /// As many writers as `writers`, each waiting for its own entry before the next, all as one group commit. Entries
    /// a second.
    fn run_together(&self, writers: u64, count: u64) -> f64 {
        let entry = Bytes::from(vec![b'x'; ENTRY_BYTES]);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let (wal, entry) = (self.wal.clone(), entry.clone());
                scope.spawn(move || {
                    let group = GroupId(1 + writer as u16);
                    let (told, hear) = mpsc::channel();
                    let first = wal.state(group).next;
                    for index in first..first + count {
                        let told = told.clone();
                        let done = Box::new(move |result| told.send(result).unwrap());
                        wal.append(group, index, vec![entry.clone()], done).unwrap();
                        hear.recv().unwrap().unwrap();
                    }
                    let done = Box::new(|_| ());
                    wal.purge(group, first + count - 1, Bytes::new(), done);
                });
            }
        });
        (writers * count) as f64 / begin.elapsed().as_secs_f64()
    }
}

/// A file of zeros, written from its start over and over.
struct Plain {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl Plain {
    fn open(path: &Path) -> Self {
        let file = SystemDisk.open(path).unwrap();
        let zeros = vec![0; 1 << 20];
        for at in 0..SEGMENT_BYTES >> 20 {
            file.write_at(&zeros, at << 20).unwrap();
        }
        file.sync_data().unwrap();
        Self { file, offset: 0 }
    }

    fn once(&mut self, bytes: &[u8]) -> Duration {
        if self.offset + bytes.len() as u64 > SEGMENT_BYTES {
            self.offset = 0;
        }
        let begin = Instant::now();
        self.file.write_at(bytes, self.offset).unwrap();
        self.file.sync_data().unwrap();
        self.offset += bytes.len() as u64;
        begin.elapsed()
    }
}

/// sled made durable: its flush, then a sync of the file that it wrote.
struct Sled {
    database: sled::Db,
    file: Arc<dyn DiskFile>,
    next: u64,
}

impl Sled {
    fn open(directory: &Path) -> Self {
        let database = sled::Config::new()
            .path(directory)
            .flush_every_ms(None)
            .open()
            .unwrap();
        let file = SystemDisk.open(&directory.join("db")).unwrap();
        Self {
            database,
            file,
            next: 0,
        }
    }

    fn once(&mut self, batch: usize) -> Duration {
        let entry = [b'x'; ENTRY_BYTES];
        let begin = Instant::now();
        let mut changes = sled::Batch::default();
        for _ in 0..batch {
            changes.insert(&self.next.to_be_bytes(), &entry[..]);
            self.next += 1;
        }
        self.database.apply_batch(changes).unwrap();
        self.database.flush().unwrap();
        self.file.sync_data().unwrap();
        begin.elapsed()
    }
}

/// Median, 90th of a hundred, mean.
fn figures(times: &mut [Duration]) -> (Duration, Duration, Duration) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100];
    let sum: Duration = times.iter().sum();
    (at(50), at(90), sum / times.len() as u32)
}

fn compare((log, plain, sled): (&mut Log, &mut Plain, &mut Sled), count: usize, batch: usize) {
    let bytes = vec![b'x'; batch * ENTRY_BYTES];
    let (mut by_log, mut by_plain, mut by_sled) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..count {
        by_plain.push(plain.once(&bytes));
        by_log.push(log.once(batch));
        by_sled.push(sled.once(batch));
        if round % 500 == 499 {
            log.purge();
        }
    }
    let (log, plain) = (figures(&mut by_log), figures(&mut by_plain));
    let sled = figures(&mut by_sled);
    let ratio = |log: Duration, plain: Duration| log.as_secs_f64() / plain.as_secs_f64();
    println!("{batch} x {ENTRY_BYTES} B and sync, {count} times, log beside plain loop and sled:");
    for (what, log, plain, sled) in [
        ("median", log.0, plain.0, sled.0),
        ("p90", log.1, plain.1, sled.1),
        ("mean", log.2, plain.2, sled.2),
    ] {
        println!(
            "  {what}: {log:?} beside {plain:?}, ratio {:.2}; sled {sled:?}, ratio {:.2}",
            ratio(log, plain),
            ratio(sled, plain)
        );
    }
}

fn main() {
    let root = std::env::var_os("HALLEY_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("halley-store-bench-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let mut log = Log::open(root.join("log"));
    let mut plain = Plain::open(&root.join("plain"));
    let mut sled = Sled::open(&root.join("sled"));
    compare((&mut log, &mut plain, &mut sled), 5_000, 1);
    compare((&mut log, &mut plain, &mut sled), 3_000, 100);
    let alone = log.run_together(1, 2_000);
    let together = log.run_together(64, 500);
    println!(
        "entries a second: 1 writer {alone:.0}, 64 writers {together:.0}, ratio {:.1}",
        together / alone
    );
    log.wal.close().unwrap();
    std::fs::remove_dir_all(root).unwrap();
}
