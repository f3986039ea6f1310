//! Names of a [`super::MemoryDisk`]: which files and directories there are, and the journal of their changes.
//!
//! Invariant: the durable names with the journal applied in order are the names that a running program sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::content::Content;

/// A file apart from its name, which may change or go while it is open.
#[derive(Debug)]
pub(super) struct Inode {
    /// Unlike that of every other file of this disk.
    pub(super) number: u64,
    content: Mutex<Content>,
}

impl Inode {
    pub(super) fn new(number: u64, content: Content) -> Arc<Self> {
        let content = Mutex::new(content);
        Arc::new(Self { number, content })
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content
            .lock()
            .expect("nobody panics holding a file's content")
    }
}

/// One change of the names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(PathBuf, Arc<Inode>),
    CreateDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    /// Whether it changes an entry of `directory`.
    fn touches(&self, directory: &Path) -> bool {
        let within = |path: &Path| parent(path) == directory;
        match self {
            Self::Create(path, _) | Self::CreateDir(path) | Self::Remove(path) => within(path),
            Self::Rename(from, to) => within(from) || within(to),
        }
    }
}

/// `path` in the one form in which it is kept.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect()
}

/// Where the entry of `path` is; a root is its own.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// `path` under `to` instead of `from`, if it is `from` or beneath it.
fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(tidy(&to.join(rest)))
}

/// Files and directories by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// By path.
    pub(super) files: BTreeMap<PathBuf, Arc<Inode>>,
    directories: BTreeSet<PathBuf>,
}

impl Tree {
    pub(super) fn has_dir(&self, path: &Path) -> bool {
        path.parent().is_none() || self.directories.contains(path)
    }

    /// Names in `directory`, sorted.
    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.has_dir(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let paths = self.files.keys().chain(&self.directories);
        let mut names: Vec<PathBuf> = paths
            .filter(|path| path.parent() == Some(directory))
            .filter_map(|path| path.file_name().map(PathBuf::from))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Whether `from` may be renamed to `to`; `false` when that changes nothing.
    pub(super) fn may_rename(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let is_dir = self.directories.contains(from);
        let refused = if !(is_dir || self.files.contains_key(from)) || !self.has_dir(parent(to)) {
            ErrorKind::NotFound
        } else if from == to {
            return Ok(false);
        } else if is_dir && to.starts_with(from) {
            ErrorKind::InvalidInput
        } else if is_dir && self.files.contains_key(to) {
            ErrorKind::NotADirectory
        } else if !is_dir && self.has_dir(to) {
            ErrorKind::IsADirectory
        } else if is_dir && self.has_dir(to) && !self.list(to)?.is_empty() {
            ErrorKind::DirectoryNotEmpty
        } else {
            return Ok(true);
        };
        Err(refused.into())
    }

    /// Applies a change that was found possible.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path, inode) => {
                self.files.insert(path.clone(), Arc::clone(inode));
            }
            Change::CreateDir(path) => {
                self.directories.insert(path.clone());
            }
            Change::Remove(path) => {
                self.files.remove(path);
            }
            Change::Rename(from, to) => {
                let files = std::mem::take(&mut self.files);
                // What is moved comes last, so that it replaces what it is moved onto.
                let (moving, staying): (Vec<_>, Vec<_>) = files
                    .into_iter()
                    .partition(|(path, _)| path.starts_with(from));
                self.files.extend(staying);
                self.files.extend(
                    moving
                        .into_iter()
                        .map(|(path, inode)| (moved(&path, from, to).unwrap_or(path), inode)),
                );
                let directories = std::mem::take(&mut self.directories);
                self.directories = directories
                    .into_iter()
                    .map(|path| moved(&path, from, to).unwrap_or(path))
                    .collect();
            }
        }
    }
}

/// How many changes of `journal` a sync of `directory` makes durable: all up to the last one in it, because a
/// journal keeps their order.
pub(super) fn reached_by_sync(journal: &[Change], directory: &Path) -> usize {
    let mut was = directory.to_path_buf();
    for (place, change) in journal.iter().enumerate().rev() {
        if change.touches(&was) {
            return place + 1;
        }
        if let Change::Rename(from, to) = change
            && let Some(before) = moved(&was, to, from)
        {
            was = before;
        }
    }
    0
}
