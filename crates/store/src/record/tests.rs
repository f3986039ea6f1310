//! Cuts and flips: old content or new, never anything else unnoticed.

use std::sync::Arc;

use halley_env::MemoryDisk;

use super::*;
use crate::seeded::Seeded;

const PATH: &str = "/data/identity";

fn disk() -> Arc<MemoryDisk> {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("/data")).expect("creates");
    disk.sync_dir(Path::new("/")).expect("syncs");
    disk
}

fn write(disk: &MemoryDisk, content: &[u8]) -> io::Result<()> {
    Record::write(disk, Path::new(PATH), content)
}

fn read(disk: &MemoryDisk) -> Result<Option<Bytes>, RecordError> {
    Record::read(disk, Path::new(PATH))
}

#[test]
fn what_is_written_is_read_back() {
    let disk = disk();
    assert_eq!(read(&disk).expect("reads"), None);
    for content in [&b"long enough"[..], b"", &[7; Record::BYTES_MAX]] {
        write(&disk, content).expect("writes");
        assert_eq!(read(&disk).expect("reads").expect("there"), content);
    }
    let refused = write(&disk, &[7; Record::BYTES_MAX + 1]).expect_err("too large");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let elsewhere = Record::read(&*disk, Path::new("/none/record"));
    assert_eq!(elsewhere.expect("reads"), None);
}

#[test]
fn a_cut_leaves_the_old_or_the_new() {
    let (old, new) = ([1; 1_500], [2; 3_000]);
    let whole = disk();
    write(&whole, &old).expect("writes");
    let before = whole.operations();
    write(&whole, &new).expect("writes");
    let operations = whole.operations() - before;
    for seed in 0..50 {
        for n in 0..=operations {
            let disk = disk();
            write(&disk, &old).expect("writes");
            disk.fail_after(n);
            let written = write(&disk, &new);
            assert_eq!(written.is_ok(), n == operations);
            disk.power_cut(&Seeded::new(seed * 1_000 + n));
            let found = read(&disk).expect("is not damaged").expect("is there");
            assert!(found == new[..] || (found == old[..] && written.is_err()));
            write(&disk, b"next").expect("writes whatever was left beside");
            assert_eq!(read(&disk).expect("reads").expect("there"), "next");
        }
    }
}

#[test]
fn every_flip_and_every_cut_off_tail_is_found() {
    let disk = disk();
    write(&disk, b"incarnation 12").expect("writes");
    let length = (HEADER_BYTES + 14) as u64;
    let path = Path::new(PATH);
    for bit in 0..length * 8 {
        disk.flip_bit(path, bit).expect("is there");
        let found = read(&disk).expect_err("is damaged");
        assert!(matches!(found, RecordError::Damaged { .. }), "{found}");
        disk.flip_bit(path, bit).expect("is there");
    }
    assert_eq!(
        read(&disk).expect("mended").expect("there"),
        "incarnation 12"
    );
    for left in (0..length).rev() {
        disk.truncate_file(path, left).expect("is there");
        let found = read(&disk).expect_err("is damaged");
        assert!(matches!(found, RecordError::Damaged { .. }), "{found}");
    }
}
