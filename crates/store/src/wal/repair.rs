//! How a log is made ready to be written: a new one begun, a found one made good.
//!
//! Invariant: what a reader has accepted is durable, and what it has given up is gone, before anything is added.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use halley_env::{Disk, DiskFile};

use super::{
    committer::{self, Tail},
    frame::{self, End, SEGMENT_HEAD},
    recover::{Recovered, Repairs},
    segment,
};

/// Files of the segments in use, by number.
pub(super) type Files = BTreeMap<u64, Arc<dyn DiskFile>>;

/// Begins a log. Its first segment gets its name only once it is complete: a first segment without a readable
/// start is never a log that was only begun.
///
/// # Errors
/// What the operating system says.
pub(super) fn begin(disk: &dyn Disk, directory: &Path, length: u64) -> io::Result<(Files, Tail)> {
    disk.create_dir(directory)?;
    if let Some(parent) = directory.parent()
        && !parent.as_os_str().is_empty()
    {
        disk.sync_dir(parent)?;
    }
    let unfinished = segment::unfinished(directory);
    segment::remove(disk, directory, &unfinished)?;
    let before = End {
        segment: 0,
        offset: 0,
    };
    let mut start = committer::checkpoint(&[], 1, 1, before);
    start[..SEGMENT_HEAD].copy_from_slice(&frame::segment_head(1, length));
    let file = disk.open(&unfinished)?;
    segment::fill(&*file, 0, length)?;
    file.write_at(&start, 0)?;
    file.sync_data()?;
    disk.rename(&unfinished, &segment::path(directory, 1))?;
    disk.sync_dir(directory)?;
    let end = End {
        segment: 1,
        offset: start.len() as u64,
    };
    let tail = Tail {
        file: Arc::clone(&file),
        length,
        end,
        number: 2,
    };
    Ok((BTreeMap::from([(1, file)]), tail))
}

/// Makes good what `found` says, and opens its files.
///
/// # Errors
/// What the operating system says.
pub(super) fn make_good(
    disk: &dyn Disk,
    directory: &Path,
    found: &Recovered,
) -> io::Result<(Files, Tail)> {
    let mut files = Files::new();
    for &number in &found.segments {
        files.insert(number, disk.open(&segment::path(directory, number))?);
    }
    let file = |number: u64| files.get(&number).expect("a segment in use is open");
    let Repairs {
        unused,
        roll,
        torn,
        last,
    } = &found.repairs;
    let newest = file(found.end.segment);
    if let Some(torn) = torn {
        tracing::warn!(
            segment = found.end.segment,
            ?torn,
            "the newest frame of the log was torn"
        );
        segment::fill(&**newest, torn.start, torn.end)?;
    }
    if let Some((at, bytes)) = last {
        // Nothing says that it was synced. What a failed sync has left may look clean: write it again.
        newest.write_at(bytes, at.offset)?;
        newest.sync_data()?;
    }
    if let Some((at, mark)) = roll {
        let old = file(at.segment);
        old.write_at(mark, at.offset)?;
        old.sync_data()?;
    }
    if let Some(unused) = unused {
        disk.remove(&segment::path(directory, *unused))?;
    }
    disk.sync_dir(directory)?;
    let tail = Tail {
        file: Arc::clone(newest),
        length: found.length,
        end: found.end,
        number: found.number,
    };
    Ok((files, tail))
}
