//! Reads what a cut left and compares it with what was promised.
//!
//! Invariant: everything found is looked at, not only what was promised; what is found is the promise from then on.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use halley_env::{Disk, SystemDisk, TokioSpawn};
use halley_store::{GroupId, Record, Slot, Snapshots, Wal};

use crate::{
    Places,
    load::{GROUPS, NOTE, SNAPSHOTS_OF, VOTE, config},
    promises::{Promised, Promises},
    value,
};

/// What is there of what was promised.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Entries that had to be there.
    pub(crate) promised: u64,
    /// Entries that are not.
    pub(crate) lost: u64,
    /// Everything else that is not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    /// # Panics
    /// When anything is lost or wrong.
    pub(crate) fn assert_kept(&self, told: &str) {
        assert!(
            self.lost == 0 && self.wrong.is_empty(),
            "{told}: of {} entries {} are lost; {:#?}",
            self.promised,
            self.lost,
            self.wrong
        );
    }
}

/// Opens everything and compares; ends the log cleanly if told to.
pub(crate) fn check(mount: &Path, promises: &mut Promises, close: bool) -> Verdict {
    let mut verdict = Verdict {
        promised: promises.count(),
        ..Verdict::default()
    };
    let opened = Wal::open(
        Arc::new(SystemDisk),
        &TokioSpawn,
        config(mount),
        Box::new(|_| ()),
    );
    match opened {
        Ok(wal) => {
            for group in 0..GROUPS {
                let promised = promises.groups.entry(group).or_default();
                check_group(&wal, group, promised, &mut verdict);
            }
            if close && let Err(error) = wal.close() {
                verdict.wrong.push(format!("closing: {error}"));
            }
        }
        Err(error) => {
            verdict.lost = verdict.promised;
            verdict.wrong.push(format!("the log: {error}"));
        }
    }
    let places = Places::beneath(mount);
    check_record(&places, promises, &mut verdict);
    check_snapshots(&places, promises, &mut verdict);
    verdict
}

fn check_group(wal: &Wal, group: u16, promised: &mut Promised, verdict: &mut Verdict) {
    let id = GroupId(group);
    let state = wal.state(id);
    let mut wrong = |told: String| verdict.wrong.push(format!("group {group}: {told}"));
    let mut found = BTreeMap::new();
    let mut at = state.first;
    while at < state.next {
        let entries = wal.read(id, at..state.next, 1024 * 1024);
        let entries = entries.unwrap_or_else(|error| {
            wrong(format!("entry {at}: {error}"));
            Vec::new()
        });
        if entries.is_empty() {
            wrong(format!("nothing to read at {at} of {state:?}"));
            break;
        }
        for entry in entries {
            match value::serial(&entry, group, at) {
                Some(serial) if promised.may_hold(at, serial) => {
                    found.insert(at, serial);
                }
                Some(serial) => wrong(format!("entry {at} came back with number {serial}")),
                None => wrong(format!("entry {at} is foreign or damaged")),
            }
            at += 1;
        }
    }
    if state.first > 1 {
        let note = state
            .purged
            .and_then(|note| str::from_utf8(&note).ok()?.parse().ok());
        if note != Some(state.first - 1) {
            wrong(format!("begins at {} with note {note:?}", state.first));
        }
    }
    if state.first <= promised.purged || state.first > promised.purging + 1 {
        let (purged, purging) = (promised.purged, promised.purging);
        let fresh = promised.purging == 0 && state.first <= 1;
        if !fresh {
            wrong(format!(
                "begins at {}, purged {purged} to {purging}",
                state.first
            ));
        }
    }
    let mut serial = |which| {
        slot(wal, group, which).unwrap_or_else(|told| {
            wrong(told);
            0
        })
    };
    serial(NOTE);
    let vote = serial(VOTE);
    if vote < promised.vote {
        wrong(format!("vote {vote} instead of {}", promised.vote));
    }
    let missing = promised.entries.iter();
    verdict.lost += missing
        .filter(|(index, serial)| found.get(*index) != Some(*serial))
        .count() as u64;
    promised.becomes(found, state.first, vote);
}

/// The serial number of a value, 0 when there is none.
fn slot(wal: &Wal, group: u16, slot: Slot) -> Result<u64, String> {
    match wal.get(GroupId(group), slot) {
        None => Ok(0),
        Some(found) => {
            value::serial(&found, group, 0).ok_or_else(|| format!("{slot:?} is foreign or damaged"))
        }
    }
}

fn check_record(places: &Places, promises: &mut Promises, verdict: &mut Verdict) {
    let found = match Record::read(&SystemDisk, &places.record) {
        Ok(None) => 0,
        Ok(Some(content)) => value::serial(&content, 0, 0).unwrap_or_else(|| {
            verdict.wrong.push("the record is foreign".to_owned());
            0
        }),
        Err(error) => {
            verdict.wrong.push(error.to_string());
            0
        }
    };
    if found < promises.record {
        let told = format!("record {found} instead of {}", promises.record);
        verdict.wrong.push(told);
    }
    promises.record = found;
}

fn check_snapshots(places: &Places, promises: &mut Promises, verdict: &mut Verdict) {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let snapshots = match Snapshots::open(disk, places.snapshots.clone()) {
        Ok(snapshots) => snapshots,
        Err(error) => return verdict.wrong.push(format!("the snapshots: {error}")),
    };
    for damaged in snapshots.damaged() {
        verdict
            .wrong
            .push(format!("{} is there", damaged.display()));
    }
    let newest = snapshots.newest(SNAPSHOTS_OF);
    let index = newest.as_ref().map_or(0, |newest| newest.index);
    if index < promises.snapshot {
        let told = format!("snapshot {index} instead of {}", promises.snapshot);
        verdict.wrong.push(told);
    }
    promises.snapshot = index;
    let Some(newest) = newest else {
        return;
    };
    for at in 0..newest.length / (256 * 1024) {
        let piece = newest.read(at * 256 * 1024, 256 * 1024);
        let serial = piece.map(|piece| value::serial(&piece, SNAPSHOTS_OF.0, at));
        if !matches!(serial, Ok(Some(serial)) if serial == index) {
            verdict
                .wrong
                .push(format!("snapshot {index}, piece {at}: {serial:?}"));
        }
    }
}
