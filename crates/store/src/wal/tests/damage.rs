//! Logs with a flipped bit or a cut file: damage is found, except where nothing can tell it from a torn write.

use std::collections::BTreeMap;

use halley_env::Rng;

use super::*;
use crate::{
    Slot,
    seeded::Seeded,
    wal::frame::{self, FRAME_HEAD, Found, SEGMENT_HEAD},
};

const SEGMENT_BYTES: u64 = 8 * 1024;

/// What callers see of both groups.
type Seen = Vec<(crate::GroupState, Vec<Bytes>, Option<Bytes>)>;

fn seen(wal: &Wal) -> Seen {
    let one = |group| (wal.state(group), all(wal, group), wal.get(group, Slot(0)));
    let mut seen: Seen = [A, B].map(one).into();
    for (state, ..) in &mut seen {
        // Where entries lie is no content.
        state.segments = 0;
    }
    seen
}

/// A log of some segments, nothing of it in memory only.
async fn log(disk: &Arc<MemoryDisk>, seed: u64) -> (Wal, Seen) {
    let wal = Place::on(Arc::clone(disk), SEGMENT_BYTES).open();
    let rng = Seeded::new(seed);
    let (mut a, mut b) = (1, 1);
    for round in 0..40 {
        let count = rng.below(4) + 1;
        put(&wal, A, a..a + count, rng.below(400) as usize).await;
        a += count;
        put(&wal, B, b..b + 1, 50).await;
        b += 1;
        if round % 7 == 0 {
            let (done, ticket) = Ticket::new();
            wal.set(A, Slot(0), entry(A, round, 20), Some(done));
            ticket.wait().await.unwrap();
        }
        if round % 9 == 8 {
            purge(&wal, A, a - 3, "note").await;
            purge(&wal, B, b.saturating_sub(20), "note").await;
        }
    }
    truncate(&wal, A, a - 1).await;
    put(&wal, A, a - 1..a, 700).await;
    let seen = seen(&wal);
    (wal, seen)
}

/// A log whose owner was killed: all of it is synced, there is no mark of a clean end.
async fn crashed(seed: u64) -> (Arc<MemoryDisk>, Seen) {
    let disk = MemoryDisk::new();
    let (wal, seen) = log(&disk, seed).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    disk.fail_after(0);
    drop(wal);
    disk.power_cut(&Seeded::new(seed));
    (disk, seen)
}

async fn closed(seed: u64) -> (Arc<MemoryDisk>, Seen) {
    let disk = MemoryDisk::new();
    let (wal, seen) = log(&disk, seed).await;
    wal.close().unwrap();
    (disk, seen)
}

/// Where things are in the files of a log.
struct Map {
    files: Vec<(PathBuf, u64)>,
    /// The newest segment in use: its place in `files`, and its frames.
    newest: usize,
    frames: Vec<std::ops::Range<u64>>,
}

impl Map {
    fn of(disk: &MemoryDisk) -> Self {
        let files = disk.files();
        let mut found = None;
        for (at, (path, _)) in files.iter().enumerate() {
            let bytes = content(disk, path);
            let Ok((number, _)) = frame::read_segment_head(&bytes) else {
                continue;
            };
            let (mut frames, mut offset) = (Vec::new(), SEGMENT_HEAD);
            while let Found::Whole(frame, _) = frame::find(&bytes, number, offset) {
                let end = offset + FRAME_HEAD + frame.body as usize;
                frames.push(offset as u64..end as u64);
                offset = end;
            }
            found = Some((at, frames));
        }
        let (newest, frames) = found.expect("a log");
        assert!(newest >= 2, "{newest} segments are too few");
        Self {
            files,
            newest,
            frames,
        }
    }

    /// What lies at `offset` of the file number `at`.
    fn kind(&self, at: usize, offset: u64) -> &'static str {
        let last = self.frames.last().expect("a checkpoint at least");
        let unused = at > self.newest || at == self.newest && offset >= last.end;
        match () {
            () if unused => "unused zeros",
            () if at == self.newest && last.contains(&offset) => "newest frame",
            () if at == self.newest => "newest segment",
            () => "older segment",
        }
    }
}

/// How many damages of each kind were found, and how many did no harm.
#[derive(Debug, Default)]
struct Tally(BTreeMap<(&'static str, &'static str), u64>);

impl Tally {
    fn add(&mut self, kind: &'static str, outcome: &'static str) {
        *self.0.entry((kind, outcome)).or_default() += 1;
    }
}

/// Opens the damaged log; what was found. A log that opens must not have lost anything, but for `torn`.
fn outcome(disk: &Arc<MemoryDisk>, expected: &Seen, torn: bool) -> &'static str {
    let before: Vec<_> = disk.files();
    let bytes = |disk: &MemoryDisk| -> Vec<Vec<u8>> {
        let files = disk.files();
        files.iter().map(|(path, _)| content(disk, path)).collect()
    };
    let was = bytes(disk);
    match Place::on(Arc::clone(disk), SEGMENT_BYTES).try_open() {
        Err(OpenError::Corrupt { .. }) => {
            assert_eq!(disk.files(), before);
            assert!(bytes(disk) == was, "a log that does not open was changed");
            "found"
        }
        Err(OpenError::Io(error)) => panic!("{error}"),
        Ok(wal) => {
            let same = seen(&wal) == *expected;
            assert!(same || torn, "something was lost and nobody was told");
            if same { "harmless" } else { "cut" }
        }
    }
}

/// Flips bits and cuts files of a log; a cut may take away nothing but zeros, but it shows in the length.
async fn damage(disk: &MemoryDisk, expected: &Seen, seed: u64, clean: bool, tally: &mut Tally) {
    let rng = Seeded::new(seed);
    let map = Map::of(disk);
    for round in 0..400 {
        let copy = disk.copy();
        let at = rng.below(map.files.len() as u64) as usize;
        let (path, length) = &map.files[at];
        let cut = round % 4 == 0;
        let used = map.frames.last().map_or(0, |frame| frame.end);
        let most = if at == map.newest && !cut {
            used + 100
        } else {
            *length
        };
        let offset = rng.below(most);
        let kind = if cut {
            copy.truncate_file(path, offset).unwrap();
            if at > map.newest {
                "cut, unused"
            } else {
                "cut"
            }
        } else {
            copy.flip_bit(path, offset * 8 + rng.below(8)).unwrap();
            map.kind(at, offset)
        };
        let outcome = outcome(&copy, expected, kind == "newest frame" && !clean);
        tally.add(kind, outcome);
        let allowed = match kind {
            "unused zeros" | "cut, unused" => outcome != "cut",
            // The newest frame of a clean log is the mark of its end: without it, it is a log that was not closed.
            "newest frame" => outcome == if clean { "harmless" } else { "cut" },
            _ => outcome == "found",
        };
        assert!(
            allowed,
            "{kind} {outcome}: {} at {offset}, of {length}",
            path.display()
        );
    }
}

#[tokio::test]
async fn damage_of_a_closed_log_is_found() {
    let mut tally = Tally::default();
    for seed in 0..6 {
        let (disk, expected) = closed(seed).await;
        damage(&disk, &expected, seed, true, &mut tally).await;
    }
    println!("closed logs: {tally:?}");
}

#[tokio::test]
async fn damage_of_a_crashed_log_is_found_before_its_newest_frame() {
    let mut tally = Tally::default();
    for seed in 0..6 {
        let (disk, expected) = crashed(seed).await;
        damage(&disk, &expected, seed, false, &mut tally).await;
    }
    println!("crashed logs: {tally:?}");
}

#[tokio::test]
async fn every_bit_of_the_ends_of_segments_counts() {
    let (disk, expected) = crashed(1).await;
    let map = Map::of(&disk);
    let (newest, _) = &map.files[map.newest];
    let (older, _) = &map.files[map.newest - 1];
    let bytes = content(&*disk, older);
    let end = frame::last_nonzero(&bytes, 0).unwrap() as u64;
    let mark = end.next_multiple_of(8) - FRAME_HEAD as u64;
    let start = map.frames[0].end;
    let mut ranges = vec![(older, mark..mark + FRAME_HEAD as u64), (newest, 0..start)];
    if map.frames.len() > 2 {
        ranges.push((newest, map.frames[map.frames.len() - 2].clone()));
    }
    for (path, range) in ranges {
        for bit in range.start * 8..range.end * 8 {
            let copy = disk.copy();
            copy.flip_bit(path, bit).unwrap();
            assert_eq!(
                outcome(&copy, &expected, false),
                "found",
                "{} {bit}",
                path.display()
            );
        }
    }
}

/// The newest frame torn and the one before damaged as well: as long as its head is there, it is known to have been
/// whole, because something follows it.
#[tokio::test]
async fn a_damaged_frame_before_a_torn_one_is_found() {
    for seed in 0..20 {
        let (disk, _) = crashed(seed).await;
        let map = Map::of(&disk);
        let [.., second, last] = &map.frames[..] else {
            continue;
        };
        let (path, _) = &map.files[map.newest];
        for offset in second.start + FRAME_HEAD as u64..second.end {
            let copy = disk.copy();
            copy.flip_bit(path, offset * 8).unwrap();
            copy.flip_bit(path, last.start * 8 + 200).unwrap();
            corrupt(Place::on(copy, SEGMENT_BYTES).try_open());
        }
    }
}

/// What a torn frame leaves behind is gone before anything new is written.
#[tokio::test]
async fn torn_bytes_are_gone_for_good() {
    let (disk, expected) = crashed(3).await;
    let map = Map::of(&disk);
    let (path, _) = &map.files[map.newest];
    let last = map.frames.last().unwrap();
    let before = content(&*disk, path);
    disk.flip_bit(path, (last.start + 20) * 8).unwrap();
    let wal = Place::on(Arc::clone(&disk), SEGMENT_BYTES).open();
    assert!(!wal.was_clean());
    assert_ne!(seen(&wal), expected);
    let after = content(&*disk, path);
    let kept = last.start as usize;
    assert_eq!(after[..kept], before[..kept]);
    assert!(frame::last_nonzero(&after, kept).is_none());
    disk.fail_after(0);
    drop(wal);
    disk.power_cut(&Seeded::new(0));
    assert_eq!(content(&*disk, path), after);
}
