//! Segment files: their names, how they are made, and how they are removed.
//!
//! Invariant: a segment is filled with zeros and durable, name and all, before anything is written to it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use halley_env::{Disk, DiskFile};

/// Zeros are written in pieces of this many bytes.
const PIECE: usize = 1024 * 1024;
/// The first segment of a log while it is being made.
const UNFINISHED: &str = "first.tmp";

/// The file of segment `number`.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.wal"))
}

/// The file that becomes the first segment of a new log.
pub(super) fn unfinished(directory: &Path) -> PathBuf {
    directory.join(UNFINISHED)
}

/// The number of the segment called `name`, if it is one.
pub(super) fn number(name: &Path) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".wal")?;
    let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Fills `file` with zeros in `from..to` and makes them durable.
///
/// # Errors
/// What the operating system says.
pub(super) fn fill(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; PIECE.min((to - from) as usize)];
    let mut at = from;
    while at < to {
        let count = zeros.len().min((to - at) as usize);
        file.write_at(&zeros[..count], at)?;
        at += count as u64;
    }
    file.sync_data()
}

/// Makes the segment `number`, `length` zeros, durably.
///
/// # Errors
/// What the operating system says; part of a file may be there.
pub(super) fn create(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    length: u64,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(&path(directory, number))?;
    fill(&*file, 0, length)?;
    disk.sync_dir(directory)?;
    Ok(file)
}

/// Removes a file durably; one that is not there is no error.
///
/// # Errors
/// What the operating system says.
pub(super) fn remove(disk: &dyn Disk, directory: &Path, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.sync_dir(directory),
    }
}
