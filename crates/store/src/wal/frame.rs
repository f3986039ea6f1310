//! The form of a segment on the disk: a head, then frames. Encoding and decoding only, no files.
//!
//! Invariant: every byte from the start of a segment to the end of its last frame is under a checksum, and a
//! frame's checksum also covers where it lies, so that bytes found elsewhere are never taken for it.
//!
//! All numbers are little-endian. Segment head (32 bytes): magic (8), version (u32), crc32c of what follows
//! (u32), segment number (u64), length of the file (u64). Frame head (48 bytes): magic (u32), crc32c of what
//! follows and of segment and offset (u32), kind (u8, then three zeros), length of the body (u32), crc32c of
//! the body (u32), count of its changes (u32), number (u64), segment (u64) and offset (u64) of the end of the
//! last frame known to be synced. The body is padded with zeros to a multiple of eight, within its checksum.

/// Bytes of a segment's head.
pub(super) const SEGMENT_HEAD: usize = 32;
/// Bytes of a frame's head.
pub(super) const FRAME_HEAD: usize = 48;
/// Frames begin at multiples of this many bytes.
pub(super) const ALIGN: usize = 8;
/// The form described above.
const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"HALLEYwl";
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"HWfr");

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes that were handed in.
    Batch,
    /// The state of all groups; the first frame of every segment and never elsewhere.
    Checkpoint,
    /// The log goes on in the next segment, whose checkpoint has the same number.
    Roll,
    /// A clean end, as long as nothing follows.
    Close,
}

/// The end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Rises by one from frame to frame for the life of the log.
    pub(super) number: u64,
    /// Where the last frame ended that is known to be synced.
    pub(super) synced: End,
    /// Changes in the body.
    pub(super) count: u32,
    /// Bytes of the body.
    pub(super) body: u32,
    body_crc: u32,
}

/// What lies at some place of a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A whole frame and its body.
    Whole(Frame, &'a [u8]),
    /// A frame's head, and a body that is not what was written or not there.
    Broken(Frame),
    /// No frame.
    Nothing,
}

/// Why a segment's head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// Its bytes are not what was written.
    Damaged,
    /// It is of another version.
    Version(u32),
}

/// The head of the segment `number` in a file of `length` bytes.
pub(super) fn segment_head(number: u64, length: u64) -> [u8; SEGMENT_HEAD] {
    let mut head = [0; SEGMENT_HEAD];
    head[..8].copy_from_slice(&SEGMENT_MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[16..24].copy_from_slice(&number.to_le_bytes());
    head[24..].copy_from_slice(&length.to_le_bytes());
    let crc = head_crc(&head);
    head[12..16].copy_from_slice(&crc.to_le_bytes());
    head
}

fn head_crc(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[8..12]), &head[16..SEGMENT_HEAD])
}

/// Number and length that the head at the start of `bytes` names.
pub(super) fn read_segment_head(bytes: &[u8]) -> Result<(u64, u64), BadHead> {
    if bytes.len() < SEGMENT_HEAD
        || bytes[..8] != SEGMENT_MAGIC
        || u32_at(bytes, 12) != head_crc(bytes)
    {
        return Err(BadHead::Damaged);
    }
    match u32_at(bytes, 8) {
        VERSION => Ok((u64_at(bytes, 16), u64_at(bytes, 24))),
        other => Err(BadHead::Version(other)),
    }
}

/// Completes `buffer`, which holds room for a head and then the changes, to a frame at `at`.
///
/// # Panics
/// When the body is 4 GiB long.
pub(super) fn seal(
    buffer: &mut Vec<u8>,
    kind: Kind,
    number: u64,
    count: u32,
    at: End,
    synced: End,
) {
    buffer.resize(buffer.len().next_multiple_of(ALIGN), 0);
    let body = u32::try_from(buffer.len() - FRAME_HEAD).expect("a body is under 4 GiB");
    let body_crc = crc32c::crc32c(&buffer[FRAME_HEAD..]);
    buffer[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    buffer[8..12].copy_from_slice(&[kind as u8 + 1, 0, 0, 0]);
    buffer[12..16].copy_from_slice(&body.to_le_bytes());
    buffer[16..20].copy_from_slice(&body_crc.to_le_bytes());
    buffer[20..24].copy_from_slice(&count.to_le_bytes());
    buffer[24..32].copy_from_slice(&number.to_le_bytes());
    buffer[32..40].copy_from_slice(&synced.segment.to_le_bytes());
    buffer[40..48].copy_from_slice(&synced.offset.to_le_bytes());
    let crc = frame_crc(buffer, at);
    buffer[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// A frame without a body.
pub(super) fn mark(kind: Kind, number: u64, at: End, synced: End) -> Vec<u8> {
    let mut buffer = vec![0; FRAME_HEAD];
    seal(&mut buffer, kind, number, 0, at, synced);
    buffer
}

fn frame_crc(head: &[u8], at: End) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&at.segment.to_le_bytes());
    place[8..].copy_from_slice(&at.offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), &head[8..FRAME_HEAD])
}

/// What lies at `offset` of segment `segment`, whose bytes are `bytes`.
pub(super) fn find(bytes: &[u8], segment: u64, offset: usize) -> Found<'_> {
    let Some(frame) = head_at(bytes, segment, offset) else {
        return Found::Nothing;
    };
    let start = offset + FRAME_HEAD;
    match bytes.get(start..start + frame.body as usize) {
        Some(body) if crc32c::crc32c(body) == frame.body_crc => Found::Whole(frame, body),
        _ => Found::Broken(frame),
    }
}

fn head_at(bytes: &[u8], segment: u64, offset: usize) -> Option<Frame> {
    let head = bytes.get(offset..offset + FRAME_HEAD)?;
    let at = End {
        segment,
        offset: offset as u64,
    };
    if u32_at(head, 0) != FRAME_MAGIC || u32_at(head, 4) != frame_crc(head, at) {
        return None;
    }
    let kind = match head[8..12] {
        [1, 0, 0, 0] => Kind::Batch,
        [2, 0, 0, 0] => Kind::Checkpoint,
        [3, 0, 0, 0] => Kind::Roll,
        [4, 0, 0, 0] => Kind::Close,
        _ => return None,
    };
    Some(Frame {
        kind,
        number: u64_at(head, 24),
        synced: End {
            segment: u64_at(head, 32),
            offset: u64_at(head, 40),
        },
        count: u32_at(head, 20),
        body: u32_at(head, 12),
        body_crc: u32_at(head, 16),
    })
}

/// The offset of the first frame head that lies behind `offset`, whatever is around it.
pub(super) fn next_head(bytes: &[u8], segment: u64, offset: usize) -> Option<usize> {
    let from = (offset + 1).next_multiple_of(ALIGN);
    (from..bytes.len())
        .step_by(ALIGN)
        .find(|&at| head_at(bytes, segment, at).is_some())
}

/// The end of what is not zero in `bytes` from `offset` on; `None` when all of it is zero.
pub(super) fn last_nonzero(bytes: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    let last = rest.iter().rposition(|&byte| byte != 0)?;
    Some(offset + last + 1)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
