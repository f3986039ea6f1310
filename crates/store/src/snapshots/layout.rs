//! How a snapshot file is laid out: header, head, content, a checksum for each chunk of the content, footer.
//!
//! Invariant: every byte of the file is under a checksum, and every length in it is checked against the file's
//! own before it is believed.

use std::io;

use bytes::Bytes;
use halley_env::DiskFile;

use crate::GroupId;

/// Bytes of content under one checksum: what is verified to read any part of it. 1 MiB; in unit tests less, so that
/// they have many chunks in little time.
pub(super) const CHUNK_BYTES: u64 = if cfg!(test) { 4 * 1024 } else { 1024 * 1024 };
/// Largest head, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// First bytes of every snapshot.
const MAGIC: [u8; 8] = *b"HALLEYSN";
/// Last bytes of every snapshot.
const END: [u8; 8] = *b"NSYELLAH";
/// The layout described here.
const FORMAT: u32 = 1;
/// Magic, format, group, index, length of the head, checksum of these and the head.
const HEADER_BYTES: usize = 8 + 4 + 2 + 8 + 4 + 4;
/// Length of the content, checksum of checksums, checksum of these two, end.
const FOOTER_BYTES: usize = 8 + 4 + 4 + 8;

/// What a file is found to hold before its content is read.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) head: Bytes,
    /// Where the content begins.
    pub(super) start: u64,
    /// Bytes of the content.
    pub(super) length: u64,
    /// One for each chunk of the content.
    pub(super) sums: Vec<u32>,
    /// The checksum of them all, which stands for the snapshot.
    pub(super) sum: u32,
}

/// Why a file is not a snapshot, or was not found out.
pub(super) enum Unread {
    Damaged(String),
    Io(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".to_owned()),
            _ => Self::Io(error),
        }
    }
}

fn damaged<T>(reason: &str) -> Result<T, Unread> {
    Err(Unread::Damaged(reason.to_owned()))
}

/// What stands before the content.
pub(super) fn header(group: GroupId, index: u64, head: &[u8]) -> Vec<u8> {
    let length = u32::try_from(head.len()).expect("a head is at most 1 MiB");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + head.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&group.0.to_le_bytes());
    bytes.extend_from_slice(&index.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), head);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(head);
    bytes
}

/// What stands after the content, and the checksum of checksums in it. `header` is what stands before.
pub(super) fn footer(header: &[u8], length: u64, sums: &[u32]) -> (Vec<u8>, u32) {
    let mut bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    let sum = sum_of_sums(header, &bytes);
    let mut footer = Vec::with_capacity(FOOTER_BYTES);
    footer.extend_from_slice(&length.to_le_bytes());
    footer.extend_from_slice(&sum.to_le_bytes());
    footer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
    footer.extend_from_slice(&END);
    bytes.extend_from_slice(&footer);
    (bytes, sum)
}

/// Of the header too, so that no file passes for another one's.
fn sum_of_sums(header: &[u8], sums: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), sums)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let bytes = bytes[at..at + N].try_into();
    bytes.expect("the slice has the array's length")
}

/// Checks all but the content.
pub(super) fn read(file: &dyn DiskFile, group: GroupId, index: u64) -> Result<Layout, Unread> {
    let whole = file.length()?;
    let mut header = vec![0; HEADER_BYTES];
    file.read_at(&mut header, 0)?;
    if header[..8] != MAGIC {
        return damaged("it does not begin as a snapshot does");
    }
    let head_length = u32::from_le_bytes(number(&header, 22)) as usize;
    if head_length > HEAD_BYTES_MAX {
        return damaged("its head is too long");
    }
    header.resize(HEADER_BYTES + head_length, 0);
    file.read_at(&mut header[HEADER_BYTES..], HEADER_BYTES as u64)?;
    let (fields, head) = header.split_at(HEADER_BYTES);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&fields[..HEADER_BYTES - 4]), head);
    if u32::from_le_bytes(number(fields, HEADER_BYTES - 4)) != sum {
        return damaged("the checksum of its head does not fit");
    }
    if u32::from_le_bytes(number(fields, 8)) != FORMAT {
        return damaged("its format is not known");
    }
    let named = (number(fields, 12), number(fields, 14));
    if named != (group.0.to_le_bytes(), index.to_le_bytes()) {
        return damaged("it is another one than its name says");
    }
    let head = Bytes::copy_from_slice(head);
    read_end(file, whole, &header, head)
}

fn read_end(file: &dyn DiskFile, whole: u64, header: &[u8], head: Bytes) -> Result<Layout, Unread> {
    let start = header.len() as u64;
    let Some(footer_at) = whole.checked_sub(FOOTER_BYTES as u64) else {
        return damaged("it ends too early");
    };
    let mut footer = [0; FOOTER_BYTES];
    file.read_at(&mut footer, footer_at)?;
    let length = u64::from_le_bytes(number(&footer, 0));
    let fits = crc32c::crc32c(&footer[..12]) == u32::from_le_bytes(number(&footer, 12));
    if footer[16..] != END || !fits {
        return damaged("it does not end as a snapshot does");
    }
    let sums_length = length.div_ceil(CHUNK_BYTES).saturating_mul(4);
    let sums_at = start.saturating_add(length);
    if sums_at.saturating_add(sums_length) != footer_at {
        return damaged("its length does not fit");
    }
    let mut sums = vec![0; usize::try_from(sums_length).expect("a file's part fits")];
    file.read_at(&mut sums, sums_at)?;
    let sum = sum_of_sums(header, &sums);
    if sum != u32::from_le_bytes(number(&footer, 8)) {
        return damaged("the checksum of its checksums does not fit");
    }
    Ok(Layout {
        head,
        start,
        length,
        sums: sums
            .chunks_exact(4)
            .map(|sum| u32::from_le_bytes(number(sum, 0)))
            .collect(),
        sum,
    })
}
