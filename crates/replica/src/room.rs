//! A node's directory and the space on its disk: proposals stop before the log fails, and a file set aside
//! lets what is under way end.
//!
//! Invariant: nothing of another node is ever deleted: what cannot be used is put aside under another name.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use halley_env::{Disk, DiskLock, Space};

use crate::{DiskBounds, StartError};

const NODE: &str = "node";
const LOCK: &str = "lock";
const BALLAST: &str = "ballast";
const DAMAGED: &str = "damaged";
/// Names tried for what is put aside.
const ASIDE_MAX: u32 = 1_000;
const CHUNK: usize = 1024 * 1024;

/// The directory of a node, locked: `<data>/{lock, ballast, node/}`.
#[derive(Debug)]
pub(crate) struct DataRoom {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    bounds: DiskBounds,
    /// Bytes of the ballast that lie there.
    ballast: u64,
}

/// What the free space asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Proposals may go on.
    Free,
    /// Proposals stop.
    Full,
    /// Proposals stop, and the ballast is let go so that what is under way can end.
    Brim,
}

/// Below how many free bytes proposals stop.
pub(crate) fn threshold(bounds: DiskBounds, total: u64) -> u64 {
    bounds.free_min.min(total / 10)
}

/// What `space` asks for, `was_full` before. To be free again there must be room for the ballast and a bit more:
/// a disk at the brim does not flutter.
pub(crate) fn fill(bounds: DiskBounds, space: Space, ballast: u64, was_full: bool) -> Fill {
    let least = threshold(bounds, space.total);
    let missing = ballast_size(bounds, space.total).saturating_sub(ballast);
    let again = least + least / 4 + missing;
    if space.available < least / 4 {
        Fill::Brim
    } else if space.available < least || (was_full && space.available < again) {
        Fill::Full
    } else {
        Fill::Free
    }
}

fn ballast_size(bounds: DiskBounds, total: u64) -> u64 {
    bounds.ballast_max.min(total / 50)
}

/// Creates `directory` and what is missing above it, so that a loss of power does not take it away again.
fn create_durably(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| {
        let listed = disk.list(path);
        listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let missing: Vec<_> = directory.ancestors().take_while(is_missing).collect();
    disk.create_dir(directory)?;
    for created in missing {
        match created.parent() {
            Some(parent) if parent.as_os_str().is_empty() => disk.sync_dir(Path::new("."))?,
            Some(parent) => disk.sync_dir(parent)?,
            None => {}
        }
    }
    Ok(())
}

impl DataRoom {
    /// Creates what is missing of `data` and takes it for this process.
    ///
    /// # Errors
    /// [`StartError`]
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        bounds: DiskBounds,
    ) -> Result<(Self, Box<dyn DiskLock>), StartError> {
        create_durably(disk.as_ref(), data)?;
        let lock = disk
            .lock(&data.join(LOCK))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => StartError::InUse(data.display().to_string()),
                _ => StartError::Io(error),
            })?;
        let mut room = Self {
            disk,
            data: data.to_owned(),
            bounds,
            ballast: 0,
        };
        room.create_node()?;
        if room
            .disk
            .list(data)?
            .iter()
            .any(|name| name == Path::new(BALLAST))
        {
            room.ballast = room.disk.open(&room.data.join(BALLAST))?.length()?;
        }
        Ok((room, lock))
    }

    /// Where identity, log and snapshots lie.
    pub(crate) fn node(&self) -> PathBuf {
        self.data.join(NODE)
    }

    fn create_node(&self) -> io::Result<()> {
        self.disk.create_dir(&self.node())?;
        self.disk.sync_dir(&self.data)
    }

    /// Whether a directory of this node was ever put aside here because of damage.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn was_set_aside(&self) -> io::Result<bool> {
        let aside = format!("{NODE}.{DAMAGED}-");
        let names = self.disk.list(&self.data)?;
        Ok(names
            .iter()
            .any(|name| name.to_string_lossy().starts_with(&aside)))
    }

    /// Puts the node's directory aside under another name and begins an empty one.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let taken = self.disk.list(&self.data)?;
        let name = (1..=ASIDE_MAX)
            .map(|number| PathBuf::from(format!("{NODE}.{DAMAGED}-{number}")))
            .find(|name| !taken.contains(name))
            .ok_or_else(|| io::Error::other("too many directories were put aside"))?;
        let aside = self.data.join(name);
        self.disk.rename(&self.node(), &aside)?;
        self.create_node()?;
        Ok(aside)
    }

    /// Looks at the disk, lets the ballast go or puts it back, and says what the space asks for.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn look(&mut self, was_full: bool) -> io::Result<(Fill, Space)> {
        let space = self.disk.space(&self.data)?;
        let fill = fill(self.bounds, space, self.ballast, was_full);
        let path = self.data.join(BALLAST);
        let wanted = ballast_size(self.bounds, space.total);
        match fill {
            Fill::Brim if self.ballast > 0 => {
                self.disk.remove(&path)?;
                self.disk.sync_dir(&self.data)?;
                self.ballast = 0;
            }
            Fill::Free if self.ballast < wanted => self.put_ballast(&path, wanted)?,
            Fill::Free | Fill::Full | Fill::Brim => {}
        }
        Ok((fill, space))
    }

    /// A little at a time, so that nobody waits long for the disk.
    fn put_ballast(&mut self, path: &Path, wanted: u64) -> io::Result<()> {
        let file = self.disk.open(path)?;
        let step = wanted.min(self.ballast + 16 * CHUNK as u64);
        let zeros = vec![0; CHUNK];
        while self.ballast < step {
            let length = usize::try_from(step - self.ballast)
                .unwrap_or(CHUNK)
                .min(CHUNK);
            file.write_at(&zeros[..length], self.ballast)?;
            self.ballast += length as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1024 * 1024 * 1024;

    fn space(available: u64) -> Space {
        Space {
            total: 100 * GB,
            available,
        }
    }

    #[test]
    fn a_small_disk_has_a_small_threshold() {
        let bounds = DiskBounds::default();
        assert_eq!(threshold(bounds, 100 * GB), GB);
        assert_eq!(threshold(bounds, GB), GB / 10);
    }

    #[test]
    fn it_stops_below_the_threshold_and_goes_on_well_above_it() {
        let bounds = DiskBounds::default();
        let ballast = bounds.ballast_max;
        let asks = |available, was_full| fill(bounds, space(available), ballast, was_full);
        assert_eq!(asks(GB, false), Fill::Free);
        assert_eq!(asks(GB - 1, false), Fill::Full);
        assert_eq!(asks(GB, true), Fill::Full);
        assert_eq!(asks(GB + GB / 4, true), Fill::Free);
        assert_eq!(asks(GB / 4 - 1, false), Fill::Brim);
        // The ballast must fit again, too.
        let without = |available| fill(bounds, space(available), 0, true);
        assert_eq!(without(GB + GB / 4), Fill::Full);
        assert_eq!(without(GB + GB / 4 + ballast), Fill::Free);
    }
}
