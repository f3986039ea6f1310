//! Random work with power cuts in between: what was told durable is there, and nothing that was never handed in.

use std::collections::BTreeMap;

use halley_env::Rng;

use super::*;
use crate::{Slot, seeded::Seeded};

const GROUPS: [GroupId; 3] = [GroupId(0), GroupId(1), GroupId(7)];

/// A group as it must be: bounds, note, entries, values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    started: bool,
    first: u64,
    next: u64,
    purged: Option<Bytes>,
    entries: BTreeMap<u64, Bytes>,
    values: BTreeMap<u8, Bytes>,
}

#[derive(Clone, Debug)]
enum Work {
    Append(u64, Bytes),
    Truncate(u64),
    Purge(u64, Bytes),
    Set(u8, Bytes),
}

impl Model {
    fn work(&mut self, work: &Work) {
        match work {
            Work::Append(index, entry) => {
                if !self.started {
                    (self.started, self.first, self.next) = (true, *index, *index);
                }
                assert_eq!(self.next, *index);
                self.entries.insert(*index, entry.clone());
                self.next += 1;
            }
            Work::Truncate(from) => {
                self.entries.split_off(from);
                self.next = self.next.min((*from).max(self.first));
            }
            Work::Purge(through, note) => {
                self.entries = self.entries.split_off(&(through + 1));
                self.first = self.first.max(through + 1);
                self.next = self.next.max(self.first);
                self.started = true;
                self.purged = Some(note.clone());
            }
            Work::Set(slot, value) => {
                self.values.insert(*slot, value.clone());
            }
        }
    }

    /// What can be read; nothing can on a disk that has failed.
    fn found(wal: &Wal, group: GroupId) -> io::Result<Self> {
        let state = wal.state(group);
        let held = wal.read(group, 0..u64::MAX, usize::MAX)?;
        assert_eq!(held.len() as u64, state.next - state.first);
        let values = (0..3).filter_map(|slot| Some((slot, wal.get(group, Slot(slot))?)));
        Ok(Self {
            started: state.next > 0 || state.purged.is_some(),
            first: state.first,
            next: state.next,
            purged: state.purged,
            entries: (state.first..).zip(held).collect(),
            values: values.collect(),
        })
    }
}

/// What one run has done, for a look at what it covers.
#[derive(Debug, Default)]
struct Tally {
    works: u64,
    durable: u64,
    cuts: u64,
    kills: u64,
    in_repair: u64,
    clean: u64,
    segments: u64,
    copies: u64,
}

struct Run {
    rng: Seeded,
    disk: Arc<MemoryDisk>,
    place: Place,
    /// What is surely durable.
    base: BTreeMap<GroupId, Model>,
    /// What was handed in since, in order, and whether it was told durable.
    since: Vec<(GroupId, Work, Ticket)>,
    serial: u64,
    tally: Tally,
}

impl Run {
    fn new(seed: u64) -> Self {
        let segment_bytes = [4, 8, 16, 64][seed as usize % 4] * 1024;
        let (disk, mut place) = Place::memory(segment_bytes);
        place.config.cache_bytes = [0, 2_000, 100_000][seed as usize % 3];
        Self {
            rng: Seeded::new(seed),
            disk,
            place,
            base: GROUPS.map(|group| (group, Model::default())).into(),
            since: Vec::new(),
            serial: 0,
            tally: Tally::default(),
        }
    }

    fn bytes(&mut self, most: u64) -> Bytes {
        self.serial += 1;
        let length = self.rng.below(most) as usize;
        entry(GroupId(9), self.serial, length)
    }

    /// What callers must see: everything handed in.
    fn seen(&self, group: GroupId) -> Model {
        let mut model = self.base[&group].clone();
        let mine = self.since.iter().filter(|(of, ..)| *of == group);
        mine.for_each(|(_, work, _)| model.work(work));
        model
    }

    fn hand_in(&mut self, wal: &Wal) {
        let group = GROUPS[self.rng.below(3) as usize];
        let model = self.seen(group);
        self.tally.works += 1;
        let (done, ticket) = Ticket::new();
        match self.rng.below(20) {
            0..=11 => {
                let count = self.rng.below(6);
                let first = if model.started { model.next } else { 3 };
                let most = if self.rng.below(12) == 0 { 6_000 } else { 300 };
                let given: Vec<Bytes> = (0..count).map(|_| self.bytes(most)).collect();
                wal.append(group, first, given.clone(), done).unwrap();
                for (index, entry) in (first..).zip(given) {
                    let work = Work::Append(index, entry);
                    self.since.push((group, work, ticket.clone()));
                }
            }
            12 | 13 => {
                let back = self.rng.below(5);
                let from = model.next.saturating_sub(back).max(model.first);
                wal.truncate(group, from, done);
                self.since.push((group, Work::Truncate(from), ticket));
            }
            14 | 15 => {
                let ahead = if self.rng.below(10) == 0 { 20 } else { 0 };
                let span = model.next - model.first;
                let through = model.first + self.rng.below(span + 1) + ahead;
                let note = self.bytes(40);
                wal.purge(group, through, note.clone(), done);
                self.since.push((group, Work::Purge(through, note), ticket));
            }
            16 | 17 => {
                let (slot, value) = (self.rng.below(3) as u8, self.bytes(60));
                wal.set(group, Slot(slot), value.clone(), Some(done));
                self.since.push((group, Work::Set(slot, value), ticket));
            }
            18 => self.tally.copies += u64::from(wal.copy_forward(group)),
            _ => match Model::found(wal, group) {
                Ok(found) => assert_eq!(found, model),
                Err(error) => assert_ne!(error.kind(), io::ErrorKind::InvalidData),
            },
        }
    }

    /// Whatever was found must be the durable part of what was handed in, and at most the rest of it.
    fn check(&mut self, wal: &Wal) {
        let told = self.since.iter().rposition(|(.., ticket)| ticket.is_ok());
        let sure = told.map_or(0, |at| at + 1);
        let earlier = self.since[..sure].iter();
        let in_order = earlier.clone().all(|(.., ticket)| ticket.is_ok());
        assert!(in_order, "told out of order");
        self.tally.durable += sure as u64;
        let found: BTreeMap<_, _> = GROUPS
            .map(|group| (group, Model::found(wal, group).unwrap()))
            .into();
        let mut model = self.base.clone();
        let mut work = self.since.iter();
        let mut apply = |model: &mut BTreeMap<GroupId, Model>| {
            work.next().is_some_and(|(group, work, _)| {
                model.get_mut(group).unwrap().work(work);
                true
            })
        };
        for _ in 0..sure {
            apply(&mut model);
        }
        while model != found {
            assert!(apply(&mut model), "found {found:?}, which never was");
        }
        self.base = found;
        self.since.clear();
    }

    /// Opens the log, with the power cut now and then while it is being made good.
    fn open(&mut self) -> Wal {
        for _ in 0..self.rng.below(4) {
            self.disk.fail_after(self.rng.below(12));
            match self.place.open_with(Box::new(|_| ())) {
                Ok(wal) => {
                    drop(wal);
                }
                Err(OpenError::Io(_)) => self.tally.in_repair += 1,
                Err(OpenError::Corrupt { reason, .. }) => panic!("{reason}"),
            }
            self.disk.fail_after(0);
            self.disk.power_cut(&self.rng);
        }
        self.place.open_with(Box::new(|_| ())).unwrap()
    }

    async fn life(&mut self) {
        let wal = self.open();
        self.check(&wal);
        let clean = self.rng.below(4) == 0;
        if !clean {
            self.disk.fail_after(self.rng.below(60));
        }
        // Now and then nothing is done, so that only opening has made durable what was found.
        let works = self.rng.below(80) * self.rng.below(4).min(1);
        for _ in 0..works {
            self.hand_in(&wal);
            if self.rng.below(3) == 0 {
                tokio::task::yield_now().await;
            }
        }
        let newest = self.place.disk.list(&self.place.config.directory);
        self.tally.segments = self.tally.segments.max(
            newest
                .ok()
                .and_then(|names| super::super::segment::number(names.last()?))
                .unwrap_or(0),
        );
        if clean {
            wal.close().unwrap();
            assert!(self.since.iter().all(|(.., ticket)| ticket.is_ok()));
            drop(wal);
            let wal = self.place.open();
            assert!(wal.was_clean());
            self.tally.clean += 1;
        } else {
            self.disk.fail_after(0);
            drop(wal);
        }
        if self.rng.below(4) == 0 {
            // Killed, and the power stays on: what was not synced is still there to be read.
            self.disk = self.disk.copy();
            self.place.disk = self.disk.clone();
            self.tally.kills += 1;
            return;
        }
        self.disk.fail_after(0);
        self.disk.power_cut(&self.rng);
        self.tally.cuts += 1;
    }
}

#[tokio::test]
async fn what_was_told_durable_survives_any_loss_of_power() {
    let runs = std::env::var("HALLEY_WAL_RUNS").map_or(12, |runs| runs.parse().unwrap());
    let mut total = Tally::default();
    for seed in 0..runs {
        let mut run = Run::new(seed);
        // The directory's own name is its owner's care.
        run.disk.create_dir(Path::new("/log")).unwrap();
        run.disk.sync_dir(Path::new("/")).unwrap();
        for _ in 0..30 {
            run.life().await;
        }
        let tally = run.tally;
        total.works += tally.works;
        total.durable += tally.durable;
        total.cuts += tally.cuts;
        total.kills += tally.kills;
        total.in_repair += tally.in_repair;
        total.clean += tally.clean;
        total.copies += tally.copies;
        total.segments = total.segments.max(tally.segments);
    }
    println!("{runs} runs: {total:?}");
    assert!(total.durable > 0 && total.in_repair > 0 && total.clean > 0 && total.segments > 10);
}
