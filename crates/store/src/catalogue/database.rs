//! The sled database behind the catalogue.
//!
//! Invariant: no panic of sled leaves this file, and a database that once ended a process while it was opened is
//! not opened again.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use halley_env::{Disk, DiskFile, DiskLock, SystemDisk};

use super::{Noted, Rebuilt};
use crate::{GroupId, record::directory};

/// What sled keeps of its pages in memory.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// How long what is noted may wait to be written.
const FLUSH_MS: u64 = 500;
/// The counter of how often it was opened.
const STARTS: &str = "starts";
/// First byte of the guard while the database is being opened.
const OPENING: u8 = 1;
/// First byte of the guard at all other times.
const AT_REST: u8 = 0;

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    /// Taken when dropped.
    open: Option<Open>,
    _guard: Box<dyn DiskLock>,
}

#[derive(Debug)]
struct Open {
    snapshots: sled::Tree,
    counters: sled::Tree,
    /// Last: it writes what the trees hold.
    database: sled::Db,
}

/// What a database held.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) snapshots: Vec<Noted>,
    pub(super) counters: BTreeMap<String, u64>,
}

thread_local! {
    /// Whether this thread is within [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught here.
pub(super) fn is_guarded() -> bool {
    GUARDED.get()
}

impl Found {
    /// How often it was opened, this time included.
    fn starts(&self) -> u64 {
        self.counters
            .get(STARTS)
            .map_or(1, |starts| starts.saturating_add(1))
    }
}

/// Runs a piece of sled, which panics on some damage where it should return an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    // Whatever sled left half done is dropped with it by our callers.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    match result {
        Ok(result) => result,
        Err(panic) => {
            let told = panic.downcast_ref::<&str>().map(|told| (*told).to_owned());
            let told = told.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(told.unwrap_or_else(|| "sled panicked".to_owned()))
        }
    }
}

/// Opens what is in `directory`, or an empty database in its place, or none.
pub(super) fn open(directory: &Path) -> (Option<(Database, Found)>, Rebuilt) {
    match try_open(directory) {
        Ok((database, found, rebuilt)) => (Some((database, found)), rebuilt),
        Err(error) => {
            tracing::warn!(error, "there is no database for the catalogue");
            (None, Rebuilt::InMemory)
        }
    }
}

fn try_open(directory: &Path) -> Result<(Database, Found, Rebuilt), String> {
    let told = |error: io::Error| error.to_string();
    SystemDisk
        .create_dir(self::directory(directory))
        .map_err(told)?;
    let guard_path = sibling(directory, "guard");
    // Two processes must not set each other's database aside.
    let guard = SystemDisk.lock(&guard_path).map_err(told)?;
    let mark = SystemDisk.open(&guard_path).map_err(told)?;
    let mut was = [AT_REST];
    if mark.length().map_err(told)? > 0 {
        mark.read_at(&mut was, 0).map_err(told)?;
    }
    let first = if was[0] == OPENING {
        Err("the process ended while opening it".to_owned())
    } else {
        open_marked(directory, &*mark)
    };
    let (open, found, rebuilt) = match first {
        Ok((open, found)) => (open, found, Rebuilt::No),
        Err(error) => {
            tracing::warn!(error, "the catalogue's database does not open");
            let aside = set_aside(directory).map_err(told)?;
            let (open, found) = open_marked(directory, &*mark)?;
            (open, found, Rebuilt::SetAside(aside))
        }
    };
    let database = Database {
        open: Some(open),
        _guard: guard,
    };
    Ok((database, found, rebuilt))
}

/// Opens it under a mark that is seen later if opening ends the process.
fn open_marked(directory: &Path, mark: &dyn DiskFile) -> Result<(Open, Found), String> {
    let told = |error: io::Error| error.to_string();
    mark.write_at(&[OPENING], 0).map_err(told)?;
    let opened = guarded(|| Open::new(directory).map_err(|error| error.to_string()));
    let read = opened.and_then(|open| match guarded(|| open.try_out()) {
        Ok(found) => Ok((open, found)),
        Err(error) => {
            close(open);
            Err(error)
        }
    });
    mark.write_at(&[AT_REST], 0).map_err(told)?;
    read
}

fn sibling(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn set_aside(directory: &Path) -> io::Result<PathBuf> {
    let names = SystemDisk.list(self::directory(directory))?;
    let mut number = 1;
    loop {
        let aside = sibling(directory, &format!("damaged-{number}"));
        if !names
            .iter()
            .any(|name| Some(name.as_os_str()) == aside.file_name())
        {
            SystemDisk.rename(directory, &aside)?;
            return Ok(aside);
        }
        number += 1;
    }
}

impl Open {
    fn new(directory: &Path) -> sled::Result<Self> {
        let database = sled::Config::new()
            .path(directory)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_MS))
            .open()?;
        Ok(Self {
            snapshots: database.open_tree("snapshots")?,
            counters: database.open_tree("counters")?,
            database,
        })
    }

    /// Reads everything and writes something, so that damage shows now and not later.
    fn try_out(&self) -> Result<Found, String> {
        let tried = self.read().and_then(|mut found| {
            let starts = found.starts();
            self.counters.insert(STARTS, &starts.to_le_bytes())?;
            self.database.flush()?;
            found.counters.insert(STARTS.to_owned(), starts);
            Ok(found)
        });
        tried.map_err(|error| error.to_string())
    }

    /// Everything; an entry that is not one of ours is passed over.
    fn read(&self) -> sled::Result<Found> {
        let mut found = Found::default();
        for entry in &self.snapshots {
            let (key, value) = entry?;
            found.snapshots.extend(snapshot(&key, &value));
        }
        for entry in &self.counters {
            let (name, value) = entry?;
            if let (Ok(name), Ok(value)) = (str::from_utf8(&name), (*value).try_into()) {
                let value = u64::from_le_bytes(value);
                found.counters.insert(name.to_owned(), value);
            }
        }
        Ok(found)
    }
}

fn close(open: Open) {
    let closed = guarded(|| {
        let flushed = open.database.flush();
        drop(open);
        flushed.map(drop).map_err(|error| error.to_string())
    });
    if let Err(error) = closed {
        tracing::warn!(error, "the catalogue's database does not close");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            close(open);
        }
    }
}

fn key(group: GroupId, index: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&group.0.to_be_bytes());
    key[2..].copy_from_slice(&index.to_be_bytes());
    key
}

fn snapshot(key: &[u8], value: &[u8]) -> Option<Noted> {
    let (group, index) = key.split_first_chunk()?;
    let (length, rest) = value.split_first_chunk()?;
    let (crc, created_ms) = rest.split_first_chunk()?;
    Some(Noted {
        group: GroupId(u16::from_be_bytes(*group)),
        index: u64::from_be_bytes(index.try_into().ok()?),
        length: u64::from_le_bytes(*length),
        crc: u32::from_le_bytes(*crc),
        created_ms: u64::from_le_bytes(created_ms.try_into().ok()?),
    })
}

impl Database {
    fn open(&self) -> &Open {
        self.open.as_ref().expect("taken only when dropped")
    }

    pub(super) fn set_counter(&self, name: &str, value: u64) -> Result<(), String> {
        let set = self.open().counters.insert(name, &value.to_le_bytes());
        set.map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn set_snapshot(&self, noted: &Noted) -> Result<(), String> {
        let mut value = Vec::with_capacity(20);
        value.extend_from_slice(&noted.length.to_le_bytes());
        value.extend_from_slice(&noted.crc.to_le_bytes());
        value.extend_from_slice(&noted.created_ms.to_le_bytes());
        let key = key(noted.group, noted.index);
        let set = self.open().snapshots.insert(key, value);
        set.map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn remove_snapshot(&self, group: GroupId, index: u64) -> Result<(), String> {
        let removed = self.open().snapshots.remove(key(group, index));
        removed.map(drop).map_err(|error| error.to_string())
    }
}
