//! What is remembered, and that no damage keeps a catalogue from opening.

use std::fs;

use halley_env::{MemoryDisk, Rng, SystemClock};

use super::*;
use crate::{Snapshots, seeded::Seeded};

/// A directory for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("halley-catalogue-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("catalogue")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("cleans up");
    }
}

fn noted(group: u16, index: u64) -> Noted {
    Noted {
        group: GroupId(group),
        index,
        length: index * 10,
        crc: 7,
        created_ms: 1_000 + index,
    }
}

fn fill(catalogue: &Catalogue) {
    for index in 0..20 {
        catalogue.note(noted(1, index));
        catalogue.note(noted(2, index));
    }
    catalogue.keep_only(GroupId(1), &[18, 19]);
    catalogue.count("publishes", 41);
    catalogue.count("publishes", 1);
}

#[test]
fn what_is_noted_survives_a_restart() {
    let scratch = Scratch::new("restart");
    let (catalogue, rebuilt) = Catalogue::open(&scratch.database());
    assert_eq!(rebuilt, Rebuilt::No);
    fill(&catalogue);
    let (snapshots, counters) = (catalogue.snapshots(), catalogue.counters());
    assert_eq!(snapshots[..3], [noted(1, 18), noted(1, 19), noted(2, 0)]);
    drop(catalogue);
    let (catalogue, rebuilt) = Catalogue::open(&scratch.database());
    assert_eq!(rebuilt, Rebuilt::No);
    assert_eq!(catalogue.snapshots(), snapshots);
    assert_eq!((counters["starts"], catalogue.counter("starts")), (1, 2));
    assert_eq!(catalogue.counter("publishes"), 42);
    assert_eq!(catalogue.counter("none"), 0);
    let (other, rebuilt) = Catalogue::open(&scratch.database());
    assert_eq!(rebuilt, Rebuilt::InMemory, "the first one has it");
    other.count("publishes", 1);
    assert_eq!(catalogue.counter("publishes"), 42);
}

#[test]
fn a_known_snapshot_keeps_its_time() {
    let catalogue = Catalogue::in_memory();
    catalogue.note(noted(1, 5));
    catalogue.note(Noted {
        created_ms: 9,
        ..noted(1, 5)
    });
    assert_eq!(catalogue.snapshots(), [noted(1, 5)]);
    let changed = Noted {
        crc: 8,
        created_ms: 9,
        ..noted(1, 5)
    };
    catalogue.note(changed.clone());
    assert_eq!(catalogue.snapshots(), [changed]);
}

#[test]
fn snapshots_are_noted_as_they_come_and_go() {
    let catalogue = Arc::new(Catalogue::in_memory());
    catalogue.note(noted(1, 99));
    let noting = Noting {
        catalogue: Arc::clone(&catalogue),
        clock: Arc::new(SystemClock::new()),
    };
    let disk = MemoryDisk::new();
    let snapshots = Snapshots::open(disk, PathBuf::from("/snapshots")).expect("opens");
    let put = |snapshots: &Snapshots, index| {
        let head = bytes::Bytes::new();
        let mut writer = snapshots.create(GroupId(1), index, head).expect("begins");
        writer.write(b"content").expect("writes");
        writer.finish().expect("finishes")
    };
    put(&snapshots, 1);
    let indexes = || -> Vec<u64> {
        let noted = catalogue.snapshots().into_iter();
        noted.map(|noted| noted.index).collect()
    };
    let snapshots = snapshots.noting(noting);
    assert_eq!(indexes(), [1], "the directory is right");
    put(&snapshots, 2);
    let last = put(&snapshots, 3);
    assert_eq!(indexes(), [2, 3]);
    assert_eq!(catalogue.snapshots()[1].crc, last.checksum());
    snapshots.remove(GroupId(1)).expect("removes");
    assert_eq!(indexes(), [] as [u64; 0]);
}

/// Damages each file of a filled database by `damage` and wants it to open and to work.
fn opens_after(name: &str, rounds: u64, damage: impl Fn(&mut Vec<u8>, &Seeded)) {
    let scratch = Scratch::new(name);
    let directory = scratch.database();
    for round in 0..rounds {
        drop(fs::remove_dir_all(&directory));
        fill(&Catalogue::open(&directory).0);
        let rng = Seeded::new(round);
        let files = fs::read_dir(&directory).expect("lists");
        let mut files: Vec<PathBuf> = files
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        let path = &files[usize::try_from(round).expect("small") % files.len()];
        let mut bytes = fs::read(path).expect("reads");
        damage(&mut bytes, &rng);
        fs::write(path, bytes).expect("writes");
        let (catalogue, rebuilt) = Catalogue::open(&directory);
        assert_ne!(rebuilt, Rebuilt::InMemory);
        catalogue.count("after", 1);
        drop(catalogue);
        // What sled wrote behind damage that it did not see may be gone again: it holds what can be done without.
        let (catalogue, rebuilt) = Catalogue::open(&directory);
        assert_ne!(rebuilt, Rebuilt::InMemory);
        catalogue.count("after", 1);
        assert_ne!(catalogue.counter("after"), 0, "round {round}");
    }
}

fn below(rng: &Seeded, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("small")
}

#[test]
fn a_panic_is_caught_where_it_was_announced() {
    let told = database::guarded(|| -> Result<(), String> {
        assert!(Catalogue::catches_panics());
        panic!("{} is damaged", "it");
    });
    assert_eq!(told, Err("it is damaged".to_owned()));
    assert!(!Catalogue::catches_panics());
}

#[test]
fn garbage_is_set_aside() {
    opens_after("garbage", 8, |bytes, rng| rng.fill(bytes));
}

#[test]
fn flipped_bits_do_not_keep_it_shut() {
    opens_after("flips", 20, |bytes, rng| {
        if !bytes.is_empty() {
            let at = below(rng, bytes.len().min(2_000));
            bytes[at] ^= 1 << below(rng, 8);
        }
    });
}

#[test]
fn cut_off_tails_do_not_keep_it_shut() {
    opens_after("tails", 12, |bytes, rng| {
        bytes.truncate(below(rng, bytes.len().max(1)));
    });
}

#[test]
fn one_that_ended_a_process_is_not_opened_again() {
    let scratch = Scratch::new("guard");
    let directory = scratch.database();
    fill(&Catalogue::open(&directory).0);
    fs::write(scratch.0.join("catalogue.guard"), [1]).expect("writes");
    let (catalogue, rebuilt) = Catalogue::open(&directory);
    let aside = scratch.0.join("catalogue.damaged-1");
    assert_eq!(rebuilt, Rebuilt::SetAside(aside));
    assert_eq!(catalogue.counter("publishes"), 0);
    drop(catalogue);
    assert_eq!(Catalogue::open(&directory).1, Rebuilt::No);
}

#[test]
fn where_nothing_can_be_written_it_is_kept_in_memory() {
    let scratch = Scratch::new("nowhere");
    let file = scratch.0.join("file");
    fs::write(&file, "not a directory").expect("writes");
    let (catalogue, rebuilt) = Catalogue::open(&file.join("catalogue"));
    assert_eq!(rebuilt, Rebuilt::InMemory);
    fill(&catalogue);
    assert_eq!(catalogue.counter("publishes"), 42);
}
