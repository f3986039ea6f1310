//! Entries read back: from memory, else from where the index says they lie.
//!
//! Invariant: bytes from the disk are given out only when their checksum is that of what was written.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use halley_env::DiskFile;

use super::{
    GroupId,
    index::Place,
    shared::{Shared, State},
};

/// Entries that lie near each other are read together, up to this many bytes.
const TOGETHER_MAX: u32 = 1024 * 1024;
/// Entries with more than this many bytes between them are not read together.
const APART_MAX: u32 = 4096;

/// Where one entry can be had.
enum Source {
    Memory(Bytes),
    Disk(Arc<dyn DiskFile>, Place),
}

/// The entries of `group` in `range`, up to `most` bytes but at least one.
///
/// # Errors
/// What the operating system says, or `InvalidData`.
pub(super) fn read(
    shared: &Shared,
    group: GroupId,
    range: &Range<u64>,
    most: usize,
) -> io::Result<Vec<Bytes>> {
    loop {
        let (first, sources) = sources(&shared.state(), group, range, most);
        match fetch(&sources) {
            Ok(entries) => return Ok(entries),
            Err(error) => {
                // An entry may have been purged or copied meanwhile, and its segment removed.
                if !moved(&shared.state(), group, first, &sources) {
                    return Err(error);
                }
            }
        }
    }
}

/// Where the entries are, and the index of the first.
fn sources(state: &State, group: GroupId, range: &Range<u64>, most: usize) -> (u64, Vec<Source>) {
    let mut sources = Vec::new();
    let Some(live) = state.live.get(&group) else {
        return (0, sources);
    };
    let first = range.start.max(live.head.first);
    let mut bytes = 0;
    for index in first..range.end.min(live.head.next) {
        bytes += live.length(index);
        if bytes > most && !sources.is_empty() {
            break;
        }
        sources.push(match live.cached(index) {
            Some(entry) => Source::Memory(entry.clone()),
            None => {
                let held = state.index.group(group);
                let place = held.and_then(|held| held.place(index));
                let place = place.expect("an entry that is not in memory is in the index");
                let file = state.file_of(place);
                Source::Disk(file.expect("a segment in use is open"), place)
            }
        });
    }
    (first, sources)
}

/// Whether one of `sources`, the first of which is of the entry `first`, is gone or lies elsewhere by now.
fn moved(state: &State, group: GroupId, first: u64, sources: &[Source]) -> bool {
    let held = state.index.group(group);
    let live_first = state.live.get(&group).map_or(0, |live| live.head.first);
    live_first > first
        || (first..).zip(sources).any(|(index, source)| match source {
            Source::Memory(_) => false,
            Source::Disk(_, place) => held.and_then(|held| held.place(index)) != Some(*place),
        })
}

fn fetch(sources: &[Source]) -> io::Result<Vec<Bytes>> {
    let mut entries = Vec::with_capacity(sources.len());
    let mut at = 0;
    while let Some(source) = sources.get(at) {
        match source {
            Source::Memory(entry) => {
                entries.push(entry.clone());
                at += 1;
            }
            Source::Disk(file, first) => {
                let mut run = vec![*first];
                for source in &sources[at + 1..] {
                    match source {
                        Source::Disk(_, next) if follows(&run, *next) => run.push(*next),
                        Source::Disk(..) | Source::Memory(_) => break,
                    }
                }
                entries.extend(read_places(&**file, &run)?);
                at += run.len();
            }
        }
    }
    Ok(entries)
}

/// Whether `next` is to be read together with `run`.
fn follows(run: &[Place], next: Place) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return false;
    };
    let end = last.offset + last.length;
    next.segment == first.segment
        && next.offset >= end
        && next.offset - end <= APART_MAX
        && next.offset + next.length - first.offset <= TOGETHER_MAX
}

/// Reads entries that lie in `file` one behind the other.
///
/// # Errors
/// What the operating system says, or `InvalidData`.
pub(super) fn read_places(file: &dyn DiskFile, places: &[Place]) -> io::Result<Vec<Bytes>> {
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return Ok(Vec::new());
    };
    let mut buffer = vec![0; (last.offset + last.length - first.offset) as usize];
    file.read_at(&mut buffer, u64::from(first.offset))?;
    let buffer = Bytes::from(buffer);
    let entry = |place: &Place| {
        let start = (place.offset - first.offset) as usize;
        let entry = buffer.slice(start..start + place.length as usize);
        if crc32c::crc32c(&entry) == place.crc {
            return Ok(entry);
        }
        let reason = format!(
            "the entry at {} of segment {} is not what was written",
            place.offset, place.segment
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    };
    places.iter().map(entry).collect()
}
