//! What is kept, what a loss of power leaves of it, and that damage is found.

use halley_env::MemoryDisk;

use super::{layout::CHUNK_BYTES, *};
use crate::seeded::Seeded;

const GROUP: GroupId = GroupId(3);

fn place() -> PathBuf {
    PathBuf::from("/data/snapshots")
}

fn open(disk: &Arc<MemoryDisk>) -> io::Result<Snapshots> {
    Snapshots::open(Arc::clone(disk) as Arc<dyn Disk>, place())
}

/// Content that differs by index and place.
fn content(index: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|at| u8::try_from((at / 7 + at / 4_096 + index) % 251).expect("below 251"))
        .collect()
}

fn put(snapshots: &Snapshots, index: u64, length: usize) -> io::Result<SnapshotFile> {
    let head = Bytes::from(format!("head {index}"));
    let mut writer = snapshots.create(GROUP, index, head)?;
    for piece in content(index, length).chunks(3_000) {
        writer.write(piece)?;
    }
    writer.finish()
}

fn whole(file: &SnapshotFile) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    loop {
        let piece = file.read(found.len() as u64, 1_700)?;
        if piece.is_empty() {
            return Ok(found);
        }
        found.extend_from_slice(&piece);
    }
}

fn assert_whole(file: &SnapshotFile, length: usize) {
    assert_eq!(file.head, format!("head {}", file.index));
    assert_eq!(file.length, length as u64);
    assert!(whole(file).expect("reads") == content(file.index, length));
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(&place()).expect("lists");
    names
        .iter()
        .map(|name| name.display().to_string())
        .collect()
}

#[test]
fn the_newest_two_are_kept_and_any_held_is_readable() {
    let disk = MemoryDisk::new();
    let snapshots = open(&disk).expect("opens");
    assert!(snapshots.newest(GROUP).is_none());
    let lengths = [0, 1, 2 * CHUNK_BYTES as usize, 30_000];
    let mut held = Vec::new();
    for (index, length) in (10..).zip(lengths) {
        let file = put(&snapshots, index, length).expect("writes");
        assert_eq!(snapshots.newest(GROUP).expect("there").index, index);
        held.push((file, length));
    }
    for (file, length) in &held {
        assert_whole(file, *length);
    }
    let left = [
        "3-00000000000000000012.snapshot",
        "3-00000000000000000013.snapshot",
    ];
    assert_eq!(names(&disk), left);
    let again = open(&disk).expect("opens");
    assert_whole(&again.newest(GROUP).expect("there"), 30_000);
    put(&again, 11, 5).expect("a late one is written");
    assert_eq!(again.newest(GROUP).expect("there").index, 13);
    assert_eq!(names(&disk), left);
    again.remove(GROUP).expect("removes");
    assert!(again.newest(GROUP).is_none());
    assert_eq!(names(&disk), [] as [String; 0]);
}

#[test]
fn what_is_not_finished_is_removed_and_what_is_too_large_refused() {
    let disk = MemoryDisk::new();
    let snapshots = open(&disk).expect("opens");
    let mut writer = snapshots.create(GROUP, 1, Bytes::new()).expect("begins");
    writer.write(&content(1, 20_000)).expect("writes");
    assert_eq!(names(&disk).len(), 1);
    drop(writer);
    assert_eq!(names(&disk), [] as [String; 0]);
    let head = Bytes::from(vec![0; layout::HEAD_BYTES_MAX + 1]);
    let refused = snapshots.create(GROUP, 1, head).expect_err("too large");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let _forgotten = snapshots.create(GROUP, 1, Bytes::new()).expect("begins");
    disk.open(&place().join("not ours")).expect("creates");
    open(&disk).expect("opens");
    assert_eq!(names(&disk), ["not ours"]);
}

#[test]
fn a_cut_leaves_the_old_or_the_new() {
    const LENGTH: usize = 10_000;
    let prepared = MemoryDisk::new();
    let snapshots = open(&prepared).expect("opens");
    for index in [1, 2] {
        put(&snapshots, index, LENGTH).expect("writes");
    }
    let whole = prepared.copy();
    let snapshots = open(&whole).expect("opens");
    let before = whole.operations();
    put(&snapshots, 3, LENGTH).expect("writes");
    let operations = whole.operations() - before;
    for seed in 0..8 {
        for n in 0..=operations {
            let disk = prepared.copy();
            let snapshots = open(&disk).expect("opens");
            disk.fail_after(n);
            let written = put(&snapshots, 3, LENGTH);
            disk.power_cut(&Seeded::new(seed * 1_000 + n));
            let found = open(&disk).expect("opens");
            assert_eq!(found.damaged(), [] as [PathBuf; 0]);
            let newest = found.newest(GROUP).expect("at least the old one");
            assert!(newest.index == 3 || (newest.index == 2 && written.is_err()));
            assert_whole(&newest, LENGTH);
            assert_eq!(names(&disk).len(), 2, "after {n}: {:?}", names(&disk));
        }
    }
}

#[test]
fn every_flip_is_found_when_opened_and_the_older_one_taken() {
    let prepared = MemoryDisk::new();
    let snapshots = open(&prepared).expect("opens");
    for index in [1, 2] {
        put(&snapshots, index, 90).expect("writes");
    }
    let path = place().join("3-00000000000000000002.snapshot");
    let length = prepared.files().iter().map(|(_, length)| *length).max();
    for bit in 0..length.expect("two files") * 8 {
        let disk = prepared.copy();
        disk.flip_bit(&path, bit).expect("is there");
        let found = open(&disk).expect("opens");
        assert_whole(&found.newest(GROUP).expect("the older one"), 90);
        assert_eq!(found.newest(GROUP).expect("the older one").index, 1);
        assert_eq!(found.damaged(), [path.with_extension("snapshot.damaged")]);
    }
}

#[test]
fn every_cut_off_tail_is_found_and_nothing_damaged_is_ever_lost() {
    let disk = MemoryDisk::new();
    let path = place().join("3-00000000000000000002.snapshot");
    for left in 0..150 {
        let snapshots = open(&disk).expect("opens");
        put(&snapshots, 1, 90).expect("writes");
        put(&snapshots, 2, 90).expect("writes");
        disk.truncate_file(&path, left).expect("is there");
        let found = open(&disk).expect("opens");
        assert_eq!(found.newest(GROUP).expect("the older one").index, 1);
        assert_eq!(found.damaged().len() as u64, left + 1);
    }
    assert_eq!(open(&disk).expect("opens").damaged().len(), 150);
}

#[test]
fn damage_done_later_is_found_when_read() {
    let disk = MemoryDisk::new();
    let snapshots = open(&disk).expect("opens");
    let file = put(&snapshots, 1, 30_000).expect("writes");
    let path = place().join("3-00000000000000000001.snapshot");
    for bit in (400..30_000 * 8).step_by(1_993) {
        disk.flip_bit(&path, bit).expect("is there");
        let error = whole(&file).expect_err("damaged");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        disk.flip_bit(&path, bit).expect("is there");
        assert_whole(&file, 30_000);
    }
    disk.truncate_file(&path, 25_000).expect("is there");
    let error = whole(&file).expect_err("damaged");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
