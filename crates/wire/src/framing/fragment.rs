//! The part of a frame that all subscribers share, and the places that differ.
//!
//! Invariant: the holes ascend and lie within the bytes.

use bytes::Bytes;

/// An event's bytes with holes for the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    bytes: Bytes,
    /// Where the cursor goes, ascending; at most 2.
    holes: [Option<u32>; 2],
}

impl Fragment {
    /// The whole frame with `cursor` in its places.
    #[must_use]
    pub fn fill(&self, cursor: &str) -> Bytes {
        let mut out = Vec::with_capacity(self.filled_bytes(cursor));
        self.append(cursor, &mut out);
        Bytes::from(out)
    }

    /// Appends the same to `out`.
    pub fn fill_into(&self, cursor: &str, out: &mut Vec<u8>) {
        out.reserve(self.filled_bytes(cursor));
        self.append(cursor, out);
    }

    /// Bytes of the whole frame with `cursor` in its places.
    #[must_use]
    pub fn filled_bytes(&self, cursor: &str) -> usize {
        self.bytes.len() + self.holes.iter().flatten().count() * cursor.len()
    }

    fn append(&self, cursor: &str, out: &mut Vec<u8>) {
        let mut start = 0;
        for hole in self.holes.iter().flatten() {
            let hole = *hole as usize;
            out.extend_from_slice(&self.bytes[start..hole]);
            out.extend_from_slice(cursor.as_bytes());
            start = hole;
        }
        out.extend_from_slice(&self.bytes[start..]);
    }
}

/// A fragment in the making.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) bytes: Vec<u8>,
    holes: [Option<u32>; 2],
}

impl Builder {
    /// Room for `capacity` bytes without growing.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            holes: [None; 2],
        }
    }

    /// The cursor goes here.
    pub(super) fn hole(&mut self) {
        let at = u32::try_from(self.bytes.len()).expect("an event is far below 4 GiB");
        let free = self.holes.iter_mut().find(|hole| hole.is_none());
        *free.expect("no framing has more than 2 places for the cursor") = Some(at);
    }

    pub(super) fn finish(mut self) -> Fragment {
        self.bytes.shrink_to_fit();
        Fragment {
            bytes: Bytes::from(self.bytes),
            holes: self.holes,
        }
    }
}
