//! Values that say what they are, so that a foreign or damaged one is known without remembering any.
//!
//! Invariant: a value is a pure function of its serial number, its group, its place and its length.

use std::{cell::Cell, sync::LazyLock};

use bytes::Bytes;

/// Serial number, group, index and length.
const HEADER_BYTES: usize = 8 + 2 + 8 + 4;
/// Longest value, in bytes.
const BYTES_MAX: usize = 256 * 1024;
/// Random bytes that values are cut from.
static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let random = Random::new(7);
    let words = (0..BYTES_MAX / 4).map(|_| random.next().to_le_bytes());
    words.flatten().collect()
});

/// splitmix64
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = self.0.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A place in something that has `length` of them.
    pub(crate) fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    /// The length of a value: 100 bytes to 256 KiB, small ones as often as large ones.
    pub(crate) fn length(&self) -> usize {
        let least = 100 << self.below(12);
        least + self.index(least / 4)
    }
}

/// The value with this serial number.
pub(crate) fn make(serial: u64, group: u16, index: u64, length: usize) -> Bytes {
    let length = length.clamp(HEADER_BYTES, BYTES_MAX);
    let mut value = Vec::with_capacity(length);
    value.extend_from_slice(&serial.to_le_bytes());
    value.extend_from_slice(&group.to_le_bytes());
    value.extend_from_slice(&index.to_le_bytes());
    let told = u32::try_from(length).expect("at most 256 KiB");
    value.extend_from_slice(&told.to_le_bytes());
    value.extend_from_slice(rest(serial, length - HEADER_BYTES));
    value.into()
}

fn rest(serial: u64, length: usize) -> &'static [u8] {
    let start = usize::try_from(serial.wrapping_mul(31) % BYTES_MAX as u64).expect("below it");
    &POOL[start..start + length]
}

/// The serial number of `value`, if it is whole and belongs there.
pub(crate) fn serial(value: &[u8], group: u16, index: u64) -> Option<u64> {
    let serial = u64::from_le_bytes(*value.first_chunk()?);
    (make(serial, group, index, value.len()) == value).then_some(serial)
}
