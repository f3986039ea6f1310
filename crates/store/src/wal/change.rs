//! What a frame's body says: changes of groups, one after the other.
//!
//! Invariant: [`decode`] gives back what [`Change::encode`] was given, with the place of every entry's bytes.
//!
//! A change is its kind (u8) and group (u16), then: entry (1) and copy (5): index (u64), length (u32), crc32c
//! (u32), bytes; truncate (2): from (u64); purge (3): through (u64), length (u32), note; set (4): slot (u8),
//! length (u32), value; head (6): flags (u8: 1 started, 2 has a note), first (u64), next (u64), length (u32), note.

use bytes::Bytes;

use super::{GroupId, Slot, index::Place};

const ENTRY: u8 = 1;
const TRUNCATE: u8 = 2;
const PURGE: u8 = 3;
const SET: u8 = 4;
const COPY: u8 = 5;
const HEAD: u8 = 6;
const STARTED: u8 = 1;
const HAS_NOTE: u8 = 2;
/// Most bytes that the encoded form of an entry has beside the entry's own.
pub(super) const OVERHEAD: usize = 19;

/// One change of a group, as it is written and as it is found; entries stand for themselves by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The entry `index` lies at `place`. A copy takes the place of one that is held already.
    Entry {
        index: u64,
        place: Place,
        copy: bool,
    },
    /// Entries from `from` on are dropped.
    Truncate { from: u64 },
    /// Entries through `through` are dropped.
    Purge { through: u64, note: Bytes },
    /// A small value.
    Set { slot: Slot, value: Bytes },
    /// What a group is known to hold where a segment begins.
    Head {
        started: bool,
        first: u64,
        next: u64,
        note: Option<Bytes>,
    },
}

/// Appends an entry to `out`, which lies at `base` of `segment`, and says where its bytes went.
///
/// # Panics
/// When a place does not fit in 32 bits: segments and entries are far smaller.
pub(super) fn encode_entry(
    out: &mut Vec<u8>,
    group: GroupId,
    index: u64,
    bytes: &[u8],
    copy: bool,
    (segment, base): (u64, u64),
) -> Change {
    out.push(if copy { COPY } else { ENTRY });
    out.extend_from_slice(&group.0.to_le_bytes());
    out.extend_from_slice(&index.to_le_bytes());
    let length = u32::try_from(bytes.len()).expect("an entry is far under 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(bytes);
    out.extend_from_slice(&crc.to_le_bytes());
    let offset = u32::try_from(base + out.len() as u64).expect("a segment is under 4 GiB");
    out.extend_from_slice(bytes);
    let segment = u32::try_from(segment).expect("a disk lives for fewer segments");
    Change::Entry {
        index,
        place: Place {
            segment,
            offset,
            length,
            crc,
        },
        copy,
    }
}

impl Change {
    /// Appends this, which is no entry, to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>, group: GroupId) {
        let mut head = |kind: u8| {
            out.push(kind);
            out.extend_from_slice(&group.0.to_le_bytes());
        };
        match self {
            Self::Entry { .. } => unreachable!("entries are encoded with their bytes"),
            Self::Truncate { from } => {
                head(TRUNCATE);
                out.extend_from_slice(&from.to_le_bytes());
            }
            Self::Purge { through, note } => {
                head(PURGE);
                out.extend_from_slice(&through.to_le_bytes());
                put_bytes(out, note);
            }
            Self::Set { slot, value } => {
                head(SET);
                out.push(slot.0);
                put_bytes(out, value);
            }
            Self::Head {
                started,
                first,
                next,
                note,
            } => {
                head(HEAD);
                let started = if *started { STARTED } else { 0 };
                let noted = if note.is_some() { HAS_NOTE } else { 0 };
                out.push(started | noted);
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&next.to_le_bytes());
                put_bytes(out, note.as_deref().unwrap_or_default());
            }
        }
    }

    /// An upper bound of the bytes that [`Change::encode`] appends.
    pub(super) fn encoded_len(&self) -> usize {
        let bytes = match self {
            Self::Entry { place, .. } => place.length as usize,
            Self::Purge { note, .. } => note.len(),
            Self::Set { value, .. } => value.len(),
            Self::Head { note, .. } => note.as_ref().map_or(0, Bytes::len),
            Self::Truncate { .. } => 0,
        };
        // A head has the longest fixed part: 24 bytes.
        bytes + 24
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("notes and values are far under 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The `count` changes of `body`, which lies at `base` of `segment`; `None` when it is not `count` whole changes and
/// padding.
pub(super) fn decode(
    body: &[u8],
    count: u32,
    segment: u64,
    base: u64,
) -> Option<Vec<(GroupId, Change)>> {
    let mut rest = Rest { body, at: 0 };
    let segment = u32::try_from(segment).ok()?;
    let mut changes = Vec::with_capacity(rest.body.len().min(count as usize));
    for _ in 0..count {
        let kind = rest.u8()?;
        let group = GroupId(u16::from_le_bytes(rest.take(2)?.try_into().ok()?));
        let change = match kind {
            ENTRY | COPY => {
                let (index, length, crc) = (rest.u64()?, rest.u32()?, rest.u32()?);
                let offset = u32::try_from(base + rest.at as u64).ok()?;
                if crc32c::crc32c(rest.take(length as usize)?) != crc {
                    return None;
                }
                let place = Place {
                    segment,
                    offset,
                    length,
                    crc,
                };
                let copy = kind == COPY;
                Change::Entry { index, place, copy }
            }
            TRUNCATE => Change::Truncate { from: rest.u64()? },
            PURGE => Change::Purge {
                through: rest.u64()?,
                note: rest.bytes()?,
            },
            SET => Change::Set {
                slot: Slot(rest.u8()?),
                value: rest.bytes()?,
            },
            HEAD => {
                let flags = rest.u8()?;
                let (first, next, note) = (rest.u64()?, rest.u64()?, rest.bytes()?);
                Change::Head {
                    started: flags & STARTED != 0,
                    first,
                    next,
                    note: (flags & HAS_NOTE != 0).then_some(note),
                }
            }
            _ => return None,
        };
        changes.push((group, change));
    }
    let padding = &body[rest.at..];
    let padded = padding.len() < super::frame::ALIGN && padding.iter().all(|&byte| byte == 0);
    padded.then_some(changes)
}

struct Rest<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.body.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.u32()?;
        Some(Bytes::copy_from_slice(self.take(length as usize)?))
    }
}
