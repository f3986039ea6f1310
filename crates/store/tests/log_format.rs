//! The bytes of the log on the disk, held by files: a change of any of them must be meant.
//!
//! `UPDATE_GOLDEN=1 cargo test -p halley-store --test log_format` writes them anew. A file's name carries the
//! version of its form: a new version gets new files, the old ones stay as long as old logs are opened.
#![allow(
    clippy::disallowed_methods,
    reason = "golden files are read, and on demand written"
)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use halley_env::{Disk, InlineSpawn, MemoryDisk};
use halley_store::{Done, GroupId, Slot, Wal, WalConfig};

const SEGMENT_BYTES: u64 = 4096;

/// Sixteen bytes a line, in hexadecimal; lines of zeros at the end are left out.
fn hex(bytes: &[u8]) -> String {
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let mut text = String::new();
    for line in bytes[..used].chunks(16) {
        let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", line.join(" ")).unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |byte| u8::from_str_radix(byte, 16).unwrap();
    text.split_whitespace().map(byte).collect()
}

fn golden(name: &str) -> PathBuf {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    path.with_extension("hex")
}

fn open(disk: Arc<MemoryDisk>) -> Wal {
    let config = WalConfig {
        directory: PathBuf::from("/log"),
        segment_bytes: SEGMENT_BYTES,
        cache_bytes: 0,
    };
    let failed = Box::new(|error: &io::Error| panic!("{error}"));
    Wal::open(disk, &InlineSpawn, config, failed).unwrap()
}

fn done() -> Done {
    Box::new(|result| result.unwrap())
}

/// Steps the committer.
async fn written() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// A log with everything in it that a log can hold, in two segments.
async fn everything(disk: &Arc<MemoryDisk>) {
    let (a, b) = (GroupId(1), GroupId(0x0203));
    let wal = open(Arc::clone(disk));
    let some = ["one", "two", "three", "four"].map(Bytes::from);
    wal.append(a, 7, some.to_vec(), done()).unwrap();
    wal.set(a, Slot(1), "rides along".into(), None);
    written().await;
    wal.truncate(a, 10, done());
    wal.purge(b, 41, "note".into(), done());
    wal.set(b, Slot(2), "vote".into(), Some(done()));
    written().await;
    wal.append(b, 42, vec![Bytes::from(vec![0xee; 3600])], done())
        .unwrap();
    written().await;
    assert!(wal.copy_forward(a));
    written().await;
    wal.close().unwrap();
}

fn check(wal: &Wal) {
    let (a, b) = (GroupId(1), GroupId(0x0203));
    let held = wal.read(a, 0..99, 9_999).unwrap();
    assert_eq!(held, ["one", "two", "three"].map(Bytes::from));
    assert_eq!((wal.state(a).first, wal.state(a).next), (7, 10));
    assert_eq!(wal.get(a, Slot(1)).as_deref(), Some(&b"rides along"[..]));
    assert_eq!(wal.read(b, 0..99, 9_999).unwrap(), [vec![0xee; 3600]]);
    assert_eq!(wal.state(b).purged.as_deref(), Some(&b"note"[..]));
    assert_eq!(wal.get(b, Slot(2)).as_deref(), Some(&b"vote"[..]));
}

fn content(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[tokio::test]
async fn the_log_is_written_as_it_was() {
    let disk = MemoryDisk::new();
    everything(&disk).await;
    let names: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
    assert!(names.len() >= 2, "{names:?}");
    for (path, at) in names[..2].iter().zip(1..) {
        let form = golden(&format!("log-v1-segment-{at}"));
        let now = hex(&content(&disk, path));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&form, &now).unwrap();
        }
        let held = fs::read_to_string(&form).unwrap();
        assert_eq!(now, held, "{}: the bytes have changed", form.display());
    }
    check(&open(disk));
}

#[tokio::test]
async fn old_logs_are_read() {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("/log")).unwrap();
    for number in 1..3_u64 {
        let held = fs::read_to_string(golden(&format!("log-v1-segment-{number}"))).unwrap();
        let mut bytes = unhex(&held);
        bytes.resize(SEGMENT_BYTES as usize, 0);
        let path = format!("/log/{number:016}.wal");
        let file = disk.open(Path::new(&path)).unwrap();
        file.write_at(&bytes, 0).unwrap();
    }
    let wal = open(disk);
    assert!(wal.was_clean());
    check(&wal);
    wal.close().unwrap();
}
