//! What was promised, from what the load told.
//!
//! Invariant: it asks for nothing that the load had begun to take back, and for everything else.

use std::collections::BTreeMap;

/// Of one group.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    /// Serial numbers by index: these must be there.
    pub(crate) entries: BTreeMap<u64, u64>,
    /// Begun truncations: from where, with which serial number.
    begun: Vec<(u64, u64)>,
    /// Durable ones: nothing from there on may be older.
    truncated: Vec<(u64, u64)>,
    /// The largest index whose purge was begun.
    pub(crate) purging: u64,
    /// The largest index whose purge is durable.
    pub(crate) purged: u64,
    /// The serial number of its vote, 0 before the first.
    pub(crate) vote: u64,
}

impl Promised {
    /// Whether an entry there may be so old: not if it was cut off for ever.
    pub(crate) fn may_hold(&self, index: u64, serial: u64) -> bool {
        let mut cuts = self.truncated.iter();
        !cuts.any(|(from, cut)| *from <= index && serial < *cut)
    }
}

/// All that was promised.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    /// By group.
    pub(crate) groups: BTreeMap<u16, Promised>,
    /// The serial number of the record, 0 before the first.
    pub(crate) record: u64,
    /// The index of the newest snapshot, 0 before the first.
    pub(crate) snapshot: u64,
    /// Promises so far.
    pub(crate) acknowledged: u64,
}

impl Promises {
    /// How many things must be there.
    pub(crate) fn count(&self) -> u64 {
        let entries = self.groups.values().map(|group| group.entries.len() as u64);
        entries.sum()
    }

    fn group(&mut self, number: u64) -> &mut Promised {
        let number = u16::try_from(number).expect("a group is a u16");
        self.groups.entry(number).or_default()
    }

    /// Takes in a line. One that comes when it no longer counts (`counts` is false) still takes promises back.
    pub(crate) fn hear(&mut self, line: &str, counts: bool) {
        let mut words = line.split(' ');
        let what = words.next().unwrap_or_default();
        if !counts && !matches!(what, "T" | "P") {
            return;
        }
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        match (what, &numbers[..]) {
            ("T", [of, from, serial]) => {
                let group = self.group(*of);
                group.begun.push((*from, *serial));
                group.entries.split_off(from);
                return;
            }
            ("P", [of, through]) => {
                let group = self.group(*of);
                group.purging = group.purging.max(*through);
                group.entries = group.entries.split_off(&(through + 1));
                return;
            }
            ("t", [of, from, serial]) => self.group(*of).truncated.push((*from, *serial)),
            ("p", [of, through]) => {
                let group = self.group(*of);
                group.purged = group.purged.max(*through);
            }
            ("e", [of, first, serial, count]) => {
                let group = self.group(*of);
                for n in 0..*count {
                    let (index, serial) = (first + n, serial + n);
                    let mut begun = group.begun.iter();
                    let cut = begun.any(|(from, cut)| *from <= index && serial < *cut);
                    if !cut && index > group.purging {
                        group.entries.insert(index, serial);
                    }
                }
                self.acknowledged += count - 1;
            }
            ("v", [of, serial]) => self.group(*of).vote = *serial,
            ("r", [serial]) => self.record = *serial,
            ("s", [index]) => self.snapshot = *index,
            _ => panic!("the load said {line:?}"),
        }
        self.acknowledged += 1;
    }
}

impl Promised {
    /// What is found once must stay: from now on that is the promise.
    pub(crate) fn becomes(&mut self, entries: BTreeMap<u64, u64>, first: u64, vote: u64) {
        self.entries = entries;
        self.begun.clear();
        self.purged = first.saturating_sub(1);
        self.purging = self.purged;
        self.vote = vote;
    }
}
