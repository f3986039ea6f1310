//! What survives a loss of power, what may not, and that the rest behaves like the machine's file system.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A generator that is its seed: splitmix64.
#[derive(Debug)]
struct Seeded(AtomicU64);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

fn write(disk: &MemoryDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(Path::new(path)).expect("opens");
    file.write_at(bytes, 0).expect("writes");
    file
}

fn read(disk: &MemoryDisk, path: &str) -> Option<Vec<u8>> {
    let path = Path::new(path);
    if !disk.files().iter().any(|(there, _)| there == path) {
        return None;
    }
    let file = disk.open(path).expect("opens");
    let length = usize::try_from(file.length().expect("a length")).expect("fits");
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0).expect("reads");
    Some(bytes)
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    let files = disk.files().into_iter();
    files.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn what_was_synced_survives_every_cut() {
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/a/b")).expect("creates");
        let file = write(&disk, "/a/b/c", &[7; 5_000]);
        file.sync_data().expect("syncs");
        disk.sync_dir(Path::new("/a/b")).expect("syncs");
        file.write_at(&[8; 5_000], 5_000).expect("writes");
        disk.power_cut(&Seeded::new(seed));
        let found = read(&disk, "/a/b/c").expect("its name was synced");
        assert_eq!(found[..5_000], [7; 5_000]);
        assert!(found[5_000..].iter().all(|byte| [0, 8].contains(byte)));
        let dead = file.write_at(&[1], 0).expect_err("opened before the cut");
        assert_eq!(dead.kind(), ErrorKind::Other);
    }
}

#[test]
fn unsynced_writes_are_kept_dropped_or_torn_in_sectors() {
    let mut lengths = BTreeSet::new();
    let mut holes = 0;
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        let file = write(&disk, "/a", b"");
        disk.sync_dir(Path::new("/")).expect("syncs");
        file.write_at(&[8; 2_048], 100).expect("writes");
        disk.power_cut(&Seeded::new(seed));
        let found = read(&disk, "/a").expect("its name was synced");
        lengths.insert(found.len());
        holes += u32::from(found.iter().skip(100).any(|byte| *byte == 0));
    }
    assert_eq!(
        lengths.into_iter().collect::<Vec<_>>(),
        [0, 512, 1_024, 1_536, 2_048, 2_148]
    );
    assert!(holes > 0);
}

#[test]
fn unsynced_names_survive_in_their_order() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        for name in ["/a", "/b"] {
            write(&disk, name, b"x").sync_data().expect("syncs");
        }
        disk.rename(Path::new("/a"), Path::new("/b"))
            .expect("renames");
        disk.remove(Path::new("/b")).expect("removes");
        disk.power_cut(&Seeded::new(seed));
        found.insert(names(&disk));
    }
    let expected: [&[&str]; 4] = [&[], &["/a"], &["/a", "/b"], &["/b"]];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_sync_reaches_its_directory_and_what_came_before() {
    let disk = MemoryDisk::new();
    for name in ["/a", "/b"] {
        disk.create_dir(Path::new(name)).expect("creates");
    }
    write(&disk, "/a/1", b"x");
    write(&disk, "/b/1", b"x");
    write(&disk, "/a/2", b"x");
    disk.sync_dir(Path::new("/b")).expect("syncs");
    // The journal's last change was in another directory.
    assert_eq!(disk.state().journal.len(), 1);
    disk.rename(Path::new("/a"), Path::new("/c"))
        .expect("renames");
    assert_eq!(disk.list(Path::new("/")).expect("lists").len(), 2);
    disk.sync_dir(Path::new("/c")).expect("syncs");
    assert_eq!(disk.state().journal.len(), 1, "only the rename is left");
    disk.sync_dir(Path::new("/")).expect("syncs");
    disk.power_cut(&Seeded::new(1));
    assert_eq!(names(&disk), ["/b/1", "/c/1", "/c/2"]);
}

#[test]
fn everything_fails_after_the_appointed_operation() {
    let disk = MemoryDisk::new();
    let file = write(&disk, "/a", b"x");
    assert_eq!(disk.operations(), 2);
    disk.fail_after(1);
    file.write_at(b"y", 0).expect("one is left");
    let mut back = [0];
    file.read_at(&mut back, 0).expect("it has not failed yet");
    file.sync_data().expect_err("it has failed");
    file.read_at(&mut back, 0).expect_err("it has failed");
    disk.open(Path::new("/a")).expect_err("it has failed");
    disk.power_cut(&Seeded::new(0));
    disk.open(Path::new("/b")).expect("it works again");
}

#[test]
fn locks_go_with_their_owner_or_the_power() {
    let disk = MemoryDisk::new();
    let path = Path::new("/lock");
    let held = disk.lock(path).expect("nobody holds it");
    let refused = disk.lock(path).expect_err("it is held");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    drop(held);
    let dead = disk.lock(path).expect("it was let go");
    disk.sync_dir(Path::new("/")).expect("syncs");
    disk.power_cut(&Seeded::new(0));
    let held = disk.lock(path).expect("its owner is dead");
    drop(dead);
    disk.lock(path).expect_err("the dead let go of nothing");
    drop(held);
}

#[test]
fn space_is_taken_by_pages_and_has_an_end() {
    let disk = MemoryDisk::with_capacity(10 * content::PAGE);
    let root = Path::new("/");
    let file = disk.open(Path::new("/a")).expect("opens");
    file.set_len(1 << 30).expect("holes take nothing");
    file.write_at(&[1; 4_096 * 9], 0).expect("fits");
    assert_eq!(disk.space(root).expect("told").available, content::PAGE);
    let full = file.write_at(&[1; 4_097], 4_096 * 9).expect_err("too much");
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    file.write_at(&[2; 4_096], 0).expect("no more than before");
    disk.set_capacity(11 * content::PAGE);
    file.write_at(&[1; 4_097], 4_096 * 9).expect("fits now");
    disk.remove(Path::new("/a")).expect("removes");
    let space = disk.space(root).expect("told");
    assert_eq!(space.available, space.total);
    let mut back = [0; 2];
    file.read_at(&mut back, 4_095)
        .expect("readable while it is open");
    assert_eq!(back, [2, 1]);
}

#[test]
fn damage_is_there_before_and_after_a_cut() {
    let disk = MemoryDisk::new();
    let path = Path::new("/a");
    let file = write(&disk, "/a", &[0; 100]);
    disk.sync_dir(Path::new("/")).expect("syncs");
    disk.flip_bit(path, 8 * 50 + 3).expect("is there");
    assert_eq!(read(&disk, "/a").expect("there")[50], 8);
    file.sync_data().expect("syncs");
    disk.power_cut(&Seeded::new(0));
    assert_eq!(read(&disk, "/a").expect("there")[50], 8);
    disk.truncate_file(path, 50).expect("is there");
    disk.power_cut(&Seeded::new(0));
    assert_eq!(read(&disk, "/a").expect("there"), [0; 50]);
    disk.flip_bit(Path::new("/b"), 0).expect_err("is not there");
}

#[test]
fn copies_are_equal_and_apart() {
    for seed in 0..50 {
        let disk = MemoryDisk::new();
        let file = write(&disk, "/a", &[1; 2_000]);
        write(&disk, "/b", &[2; 2_000]);
        let copy = disk.copy();
        for one in [&disk, &copy] {
            one.power_cut(&Seeded::new(seed));
        }
        assert_eq!(disk.files(), copy.files());
        assert_eq!(read(&disk, "/a"), read(&copy, "/a"));
        disk.wipe();
        assert_eq!(disk.files(), []);
        file.length().expect_err("wiped");
        write(&copy, "/a", b"x");
    }
}

#[test]
fn names_are_refused_as_a_file_system_does() {
    let disk = MemoryDisk::new();
    let kind = |result: io::Result<()>| result.expect_err("refused").kind();
    let rename = |from: &str, to: &str| disk.rename(Path::new(from), Path::new(to));
    disk.create_dir(Path::new("/d/e")).expect("creates");
    disk.create_dir(Path::new("/d/e")).expect("is there");
    write(&disk, "/d/f", b"1");
    write(&disk, "/g", b"2");
    let open = |path: &str| disk.open(Path::new(path)).map(drop);
    assert_eq!(kind(open("/none/f")), ErrorKind::NotFound);
    assert_eq!(kind(open("/d")), ErrorKind::IsADirectory);
    assert_eq!(
        kind(disk.create_dir(Path::new("/g/h"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(kind(disk.remove(Path::new("/none"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(Path::new("/d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(rename("/none", "/x")), ErrorKind::NotFound);
    assert_eq!(kind(rename("/g", "/none/x")), ErrorKind::NotFound);
    assert_eq!(kind(rename("/g", "/d")), ErrorKind::IsADirectory);
    assert_eq!(kind(rename("/d", "/g")), ErrorKind::NotADirectory);
    assert_eq!(kind(rename("/d", "/d/e/x")), ErrorKind::InvalidInput);
    disk.create_dir(Path::new("/full/er")).expect("creates");
    assert_eq!(kind(rename("/d", "/full")), ErrorKind::DirectoryNotEmpty);
    rename("/g", "/d/f").expect("replaces");
    assert_eq!(read(&disk, "/d/f").expect("there"), b"2");
    rename("/d", "/aside").expect("renames");
    let found = disk.list(Path::new("/aside/")).expect("lists");
    assert_eq!(found, [PathBuf::from("e"), PathBuf::from("f")]);
    assert_eq!(
        kind(disk.list(Path::new("/d")).map(drop)),
        ErrorKind::NotFound
    );
}
