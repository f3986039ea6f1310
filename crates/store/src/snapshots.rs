//! Snapshot files: one frozen state of one group each, the newest two of a group kept.
//!
//! Invariant: a snapshot exists under its name only once all of it is on the disk, under a checksum.

mod file;
mod layout;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use halley_env::Disk;

use self::layout::Unread;
pub use self::{file::SnapshotFile, writer::SnapshotWriter};
use crate::{GroupId, catalogue::Noting, record::directory};

/// How many of a group are kept: one, and one to fall back to.
const KEPT: usize = 2;

/// The snapshot files of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    state: Arc<Mutex<State>>,
    /// Held by whoever changes files and list together; the list itself is never held over a sync.
    changing: Arc<Mutex<()>>,
    noting: Option<Noting>,
}

#[derive(Debug, Default)]
struct State {
    /// Whole ones by group and index.
    kept: BTreeMap<GroupId, BTreeMap<u64, SnapshotFile>>,
    /// Those set aside.
    damaged: Vec<PathBuf>,
    /// How many were begun, so that each is written under a name of its own.
    begun: u64,
}

/// A snapshot's file name, without what follows the last dot.
struct Name(GroupId, u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:020}", (self.0).0, self.1)
    }
}

impl Name {
    /// Only a name that is written exactly so.
    fn parse(name: &str) -> Option<Self> {
        let (group, index) = name.strip_suffix(".snapshot")?.split_once('-')?;
        let parsed = Self(GroupId(group.parse().ok()?), index.parse().ok()?);
        (format!("{parsed}.snapshot") == name).then_some(parsed)
    }
}

impl Snapshots {
    /// Opens (and creates) `directory`: removes what was left half written, checks every snapshot whole, and
    /// sets damaged ones aside under another name, never deleting them.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(disk: Arc<dyn Disk>, directory: PathBuf) -> io::Result<Self> {
        disk.create_dir(&directory)?;
        disk.sync_dir(self::directory(&directory))?;
        let opened = Self {
            disk,
            directory,
            state: Arc::default(),
            changing: Arc::default(),
            noting: None,
        };
        let names: BTreeSet<PathBuf> = opened.disk.list(&opened.directory)?.into_iter().collect();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let path = opened.directory.join(name);
            if name.ends_with(".tmp") {
                opened.disk.remove(&path)?;
            } else if name.ends_with(".damaged") {
                opened.state().damaged.push(path);
            } else if let Some(Name(group, index)) = Name::parse(name) {
                match opened.check(&path, group, index) {
                    Ok(file) => {
                        let kept = &mut opened.state().kept;
                        kept.entry(group).or_default().insert(index, file);
                    }
                    Err(Unread::Damaged(reason)) => opened.set_aside(&names, name, &reason)?,
                    Err(Unread::Io(error)) => return Err(error),
                }
            }
        }
        opened.disk.sync_dir(&opened.directory)?;
        let groups: Vec<GroupId> = opened.state().kept.keys().copied().collect();
        for group in groups {
            opened.prune(group);
        }
        Ok(opened)
    }

    /// Notes what is kept, and what will be, for `halley cluster`.
    #[must_use]
    pub fn noting(mut self, noting: Noting) -> Self {
        for (group, files) in &self.state().kept {
            for file in files.values() {
                noting.kept(*group, file);
            }
            let left: Vec<u64> = files.keys().copied().collect();
            noting.only(*group, &left);
        }
        self.noting = Some(noting);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics holding the list of snapshots")
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing
            .lock()
            .expect("nobody panics changing the snapshots")
    }

    fn check(&self, path: &Path, group: GroupId, index: u64) -> Result<SnapshotFile, Unread> {
        let file = self.disk.open(path)?;
        let layout = layout::read(&*file, group, index)?;
        let file = SnapshotFile::new(file, index, layout);
        file.check()?;
        Ok(file)
    }

    fn set_aside(&self, names: &BTreeSet<PathBuf>, name: &str, reason: &str) -> io::Result<()> {
        // The same index may have been damaged before.
        let mut aside = format!("{name}.damaged");
        let mut number = 1;
        while names.contains(Path::new(&aside)) {
            number += 1;
            aside = format!("{name}.{number}.damaged");
        }
        let path = self.directory.join(aside);
        self.disk.rename(&self.directory.join(name), &path)?;
        metrics::counter!("halley_store_snapshots_damaged_total").increment(1);
        tracing::error!(reason, aside = %path.display(), "a snapshot is damaged and set aside");
        self.state().damaged.push(path);
        Ok(())
    }

    /// The newest whole snapshot of `group`.
    #[must_use]
    pub fn newest(&self, group: GroupId) -> Option<SnapshotFile> {
        let state = self.state();
        let (_, file) = state.kept.get(&group)?.last_key_value()?;
        Some(file.clone())
    }

    /// The damaged ones that were ever set aside and are still there, by path.
    #[must_use]
    pub fn damaged(&self) -> Vec<PathBuf> {
        let mut damaged = self.state().damaged.clone();
        damaged.sort();
        damaged
    }

    /// Begins a snapshot of `group` that stands at `index`, with `head`: what its owner wants to know before
    /// reading the content, at most 1 MiB. One that stands lower than the newest when it is finished does not
    /// become the newest.
    ///
    /// # Errors
    /// What the operating system says; `InvalidInput` for a head that is too large.
    pub fn create(&self, group: GroupId, index: u64, head: Bytes) -> io::Result<SnapshotWriter> {
        let begun = {
            let mut state = self.state();
            state.begun += 1;
            state.begun
        };
        let name = format!("{}.{begun}.tmp", Name(group, index));
        let path = self.directory.join(name);
        SnapshotWriter::begin(self.clone(), (group, index), head, path)
    }

    /// Gives a finished and synced file its name and its place in the list.
    fn keep(&self, group: GroupId, file: &SnapshotFile, beside: &Path) -> io::Result<()> {
        let _changing = self.changing();
        self.disk.rename(beside, &self.path(group, file.index))?;
        self.disk.sync_dir(&self.directory)?;
        let mut state = self.state();
        let files = state.kept.entry(group).or_default();
        files.insert(file.index, file.clone());
        drop(state);
        if let Some(noting) = &self.noting {
            noting.kept(group, file);
        }
        self.prune(group);
        Ok(())
    }

    /// Removes all whole snapshots of `group`; damaged ones stay.
    ///
    /// # Errors
    /// What the operating system says; some may be removed then.
    pub fn remove(&self, group: GroupId) -> io::Result<()> {
        let _changing = self.changing();
        let files = self.state().kept.remove(&group).unwrap_or_default();
        for index in files.into_keys() {
            self.disk.remove(&self.path(group, index))?;
        }
        self.disk.sync_dir(&self.directory)?;
        if let Some(noting) = &self.noting {
            noting.only(group, &[]);
        }
        Ok(())
    }

    /// Removes all but the newest ones. What cannot be removed is left for the next start.
    fn prune(&self, group: GroupId) {
        let mut old = Vec::new();
        let mut state = self.state();
        let files = state.kept.entry(group).or_default();
        while files.len() > KEPT
            && let Some((index, _)) = files.pop_first()
        {
            old.push(index);
        }
        let left: Vec<u64> = files.keys().copied().collect();
        drop(state);
        for index in old {
            let path = self.path(group, index);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(%error, path = %path.display(), "an old snapshot stays");
            }
        }
        if let Some(noting) = &self.noting {
            noting.only(group, &left);
        }
    }

    fn path(&self, group: GroupId, index: u64) -> PathBuf {
        let name = format!("{}.snapshot", Name(group, index));
        self.directory.join(name)
    }
}
