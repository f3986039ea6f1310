//! What the disk holds: for every group its bounds, note and values, and where each entry's bytes lie.
//!
//! Invariant: a group's places cover exactly its entries `[first, next)`. The index changes only by changes that
//! are durable: the same ones, in the same order, as opening the log finds.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use bytes::Bytes;

use super::{GroupId, Slot, change::Change};

/// Where an entry's bytes lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the segment; 0 = in none that is still there.
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) crc: u32,
}

/// A group without its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Whether it has ever had an entry or a purge: only then it knows which index comes next.
    pub(super) started: bool,
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) purged: Option<Bytes>,
    pub(super) slots: BTreeMap<Slot, Bytes>,
}

impl Head {
    /// The indices held.
    pub(super) fn held(&self) -> Range<u64> {
        self.first..self.next
    }

    /// Takes one entry more; false when `index` is not the next one.
    pub(super) fn append(&mut self, index: u64) -> bool {
        if !self.started {
            (self.started, self.first, self.next) = (true, index, index);
        }
        let fits = index == self.next && index < u64::MAX;
        self.next += u64::from(fits);
        fits
    }

    /// Drops the entries from `from` on. Never goes below what was purged.
    pub(super) fn truncate(&mut self, from: u64) {
        if from >= self.next {
            return;
        }
        if self.purged.is_none() {
            self.first = self.first.min(from);
        }
        self.next = from.max(self.first);
    }

    /// Drops the entries through `through`; one that is older than what was purged changes nothing.
    pub(super) fn purge(&mut self, through: u64, note: Bytes) {
        let first = through.saturating_add(1);
        if self.purged.is_some() && first < self.first {
            return;
        }
        self.purged = Some(note);
        if !self.started {
            (self.started, self.first, self.next) = (true, first, first);
        }
        self.first = self.first.max(first);
        self.next = self.next.max(self.first);
    }
}

/// Makes `items`, one for each index of `before`, one for each of those that are in `after` too.
pub(super) fn fit<T>(items: &mut VecDeque<T>, before: &Range<u64>, after: &Range<u64>) {
    let back = before.end.saturating_sub(after.end.max(before.start));
    items.truncate(items.len().saturating_sub(back as usize));
    let front = after.start.saturating_sub(before.start);
    items.drain(
        ..items
            .len()
            .min(usize::try_from(front).unwrap_or(usize::MAX)),
    );
}

/// A group on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) head: Head,
    places: VecDeque<Place>,
    /// How many of the entries lie in each segment. A copy that was cut short leaves them out of order.
    in_segment: BTreeMap<u32, u64>,
}

impl Group {
    /// Where the entry `index` lies.
    pub(super) fn place(&self, index: u64) -> Option<Place> {
        let at = index.checked_sub(self.head.first)?;
        self.places.get(usize::try_from(at).ok()?).copied()
    }

    /// Lengths of the entries held, in order.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u32> + '_ {
        self.places.iter().map(|place| place.length)
    }

    fn change(&mut self, change: Change) -> Result<(), String> {
        let before = self.head.held();
        match change {
            Change::Entry {
                index,
                place,
                copy: false,
            } => {
                if !self.head.append(index) {
                    return Err(format!("entry {index} follows {}", before.end));
                }
                self.places.push_back(place);
                *self.in_segment.entry(place.segment).or_default() += 1;
                return Ok(());
            }
            Change::Entry {
                index,
                place,
                copy: true,
            } => {
                let held = index
                    .checked_sub(before.start)
                    .and_then(|at| self.places.get_mut(at as usize));
                let held = held.ok_or_else(|| format!("a copy of {index}, which is not held"))?;
                let from = std::mem::replace(held, place).segment;
                *self.in_segment.entry(place.segment).or_default() += 1;
                self.leave(from);
                return Ok(());
            }
            Change::Truncate { from } => self.head.truncate(from),
            Change::Purge { through, note } => self.head.purge(through, note),
            Change::Set { slot, value } => {
                self.head.slots.insert(slot, value);
                return Ok(());
            }
            Change::Head { .. } => return Err("a head of a group outside a checkpoint".into()),
        }
        fit(&mut self.places, &before, &self.head.held());
        self.count();
        Ok(())
    }

    /// Counts one entry less in `segment`.
    fn leave(&mut self, segment: u32) {
        if let Some(count) = self.in_segment.get_mut(&segment) {
            *count -= 1;
            if *count == 0 {
                self.in_segment.remove(&segment);
            }
        }
    }

    fn count(&mut self) {
        self.in_segment.clear();
        for place in &self.places {
            *self.in_segment.entry(place.segment).or_default() += 1;
        }
    }

    /// The oldest segment that an entry lies in.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.in_segment.keys().next().map(|&segment| segment.into())
    }
}

/// All groups on the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    groups: BTreeMap<GroupId, Group>,
}

impl Index {
    /// The group, if the disk knows it.
    pub(super) fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// All groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(&id, group)| (id, group))
    }

    /// Takes one durable change.
    ///
    /// # Errors
    /// What does not fit: the log has a hole.
    pub(super) fn change(&mut self, group: GroupId, change: Change) -> Result<(), String> {
        let changed = self.groups.entry(group).or_default().change(change);
        changed.map_err(|reason| format!("group {}: {reason}", group.0))
    }

    /// The changes that say all of this but the entries: what a segment begins with.
    pub(super) fn checkpoint(&self) -> Vec<(GroupId, Change)> {
        let mut changes = Vec::new();
        for (&id, group) in &self.groups {
            let head = Change::Head {
                started: group.head.started,
                first: group.head.first,
                next: group.head.next,
                note: group.head.purged.clone(),
            };
            changes.push((id, head));
            for (&slot, value) in &group.head.slots {
                let value = value.clone();
                changes.push((id, Change::Set { slot, value }));
            }
        }
        changes
    }

    /// What a log holds whose oldest segment begins with `checkpoint`; its older entries have no place yet.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn from_checkpoint(checkpoint: Vec<(GroupId, Change)>) -> Result<Self, String> {
        let mut index = Self::default();
        for (id, change) in checkpoint {
            let group = index.groups.entry(id).or_default();
            match change {
                Change::Head {
                    started,
                    first,
                    next,
                    note,
                } => {
                    let count = next
                        .checked_sub(first)
                        .ok_or("a group ends before it begins")?;
                    let count = usize::try_from(count).map_err(|_| "a group is too long")?;
                    group.places = std::iter::repeat_n(Place::default(), count).collect();
                    group.count();
                    let head = &mut group.head;
                    (head.started, head.first, head.next) = (started, first, next);
                    head.purged = note;
                }
                Change::Set { slot, value } => {
                    group.head.slots.insert(slot, value);
                }
                Change::Entry { .. } | Change::Truncate { .. } | Change::Purge { .. } => {
                    return Err("a checkpoint with more than heads and values".into());
                }
            }
        }
        Ok(index)
    }

    /// The oldest segment that some group's entries need, if any does.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.groups.values().filter_map(Group::oldest_segment).min()
    }

    /// Whether every entry has a place.
    ///
    /// # Errors
    /// The first one that has none.
    pub(super) fn whole(&self) -> Result<(), String> {
        for (id, group) in &self.groups {
            if let Some(at) = group.places.iter().position(|place| place.segment == 0) {
                let index = group.head.first + at as u64;
                return Err(format!("group {}: entry {index} is missing", id.0));
            }
        }
        Ok(())
    }
}
