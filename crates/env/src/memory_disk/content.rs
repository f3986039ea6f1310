//! What a file of a [`super::MemoryDisk`] holds: as written, as durable, and what lies between.
//!
//! Invariant: the durable image with all that is pending applied in order is the written image.

use std::{collections::BTreeMap, sync::Arc};

use crate::Rng;

/// Bytes that are kept or absent as one; absent ones are zeros and take no space, as in a sparse file.
pub(super) const PAGE: u64 = 4096;
/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// Bytes of one file, sparse.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    length: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
}

/// The pages that `length` bytes at `offset` touch: number, start within the page, bytes of it.
fn pages(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (page, start) = (at / PAGE, at % PAGE);
        let taken = (PAGE - start).min(end - at);
        at += taken;
        Some((page, small(start), small(taken)))
    })
}

fn small(value: u64) -> usize {
    usize::try_from(value).expect("a place within a buffer fits")
}

impl Image {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of space that it takes.
    pub(super) fn allocated(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }

    /// Bytes of space that writing there takes in addition.
    pub(super) fn growth(&self, offset: u64, length: usize) -> u64 {
        pages(offset, length)
            .filter(|(page, ..)| !self.pages.contains_key(page))
            .map(|_| PAGE)
            .sum()
    }

    /// Fills `buffer`, unless the file ends before.
    #[must_use]
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return false;
        }
        let mut done = 0;
        for (page, start, taken) in pages(offset, buffer.len()) {
            let into = &mut buffer[done..done + taken];
            match self.pages.get(&page) {
                Some(held) => into.copy_from_slice(&held[start..start + taken]),
                None => into.fill(0),
            }
            done += taken;
        }
        true
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        for (page, start, taken) in pages(offset, bytes.len()) {
            let held = self.page(page);
            held[start..start + taken].copy_from_slice(&bytes[done..done + taken]);
            done += taken;
        }
        if !bytes.is_empty() {
            self.length = self.length.max(offset + bytes.len() as u64);
        }
    }

    pub(super) fn set_len(&mut self, length: u64) {
        if length < self.length {
            drop(self.pages.split_off(&length.div_ceil(PAGE)));
            let (page, start) = (length / PAGE, small(length % PAGE));
            if self.pages.contains_key(&page) {
                self.page(page)[start..].fill(0);
            }
        }
        self.length = length;
    }

    fn flip(&mut self, bit: u64) {
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        if byte < self.length {
            self.page(byte / PAGE)[small(byte % PAGE)] ^= mask;
        }
    }

    fn page(&mut self, page: u64) -> &mut [u8; PAGE as usize] {
        let absent = || Arc::new([0; PAGE as usize]);
        Arc::make_mut(self.pages.entry(page).or_insert_with(absent))
    }
}

/// One change of a file since its last sync.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, bytes } => image.write(bytes, *offset),
            Self::Length(length) => image.set_len(*length),
        }
    }

    /// What a loss of power makes of it: a fourth each is kept, dropped, cut after some sector, or written sector
    /// by sector in no order (a page cache writes back what it likes).
    fn apply_torn(&self, image: &mut Image, rng: &dyn Rng) {
        let outcome = rng.below(4);
        let (offset, bytes) = match self {
            Self::Length(_) if outcome.is_multiple_of(2) => return self.apply(image),
            Self::Length(_) => return,
            Self::Write { offset, bytes } => (*offset, bytes),
        };
        let end = offset + bytes.len() as u64;
        let first = offset / SECTOR;
        let sectors = end.div_ceil(SECTOR) - first;
        let reached = match outcome {
            0 => return self.apply(image),
            1 => return,
            2 => rng.below(sectors.max(1)),
            _ => sectors,
        };
        for sector in first..first + reached {
            let from = (sector * SECTOR).max(offset);
            let to = ((sector + 1) * SECTOR).min(end);
            if outcome == 2 || rng.below(2) == 0 {
                image.write(&bytes[small(from - offset)..small(to - offset)], from);
            }
        }
    }
}

/// A file's content.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    written: Image,
    durable: Image,
    pending: Vec<Change>,
}

impl Content {
    /// The file as a running program sees it.
    pub(super) fn written(&self) -> &Image {
        &self.written
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let bytes = bytes.to_vec();
        self.change(Change::Write { offset, bytes });
    }

    pub(super) fn set_len(&mut self, length: u64) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.written);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// What is found after a loss of power, which is then both written and durable.
    pub(super) fn power_cut(&mut self, rng: &dyn Rng) {
        for change in self.pending.drain(..) {
            change.apply_torn(&mut self.durable, rng);
        }
        self.written = self.durable.clone();
    }

    /// Damage, whether or not the byte was synced.
    pub(super) fn flip(&mut self, bit: u64) {
        self.written.flip(bit);
        self.durable.flip(bit);
        for change in &mut self.pending {
            if let Change::Write { offset, bytes } = change
                && let Some(at) = (bit / 8).checked_sub(*offset)
                && at < bytes.len() as u64
            {
                bytes[small(at)] ^= 1 << (bit % 8);
            }
        }
    }

    /// Damage: the file ends at `length` from now on, whether or not the rest was synced.
    pub(super) fn cut(&mut self, length: u64) {
        self.written.set_len(length.min(self.written.length()));
        self.durable = self.written.clone();
        self.pending.clear();
    }
}
