//! What a node likes to know of itself and can do without: which snapshots it made when, and counters that
//! survive restarts. Kept in sled, and rebuilt when sled does not open.
//!
//! Invariant: nothing is decided by what stands here, and nothing that happens to it stops a node. All of it is
//! in memory too; the database is written behind it and read at the start only.

mod database;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use halley_env::Clock;

use self::database::Database;
use crate::{GroupId, SnapshotFile};

/// Snapshots and counters of this node, as far as they are remembered. Calls may block on the disk.
#[derive(Debug)]
pub struct Catalogue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    snapshots: BTreeMap<(GroupId, u64), Noted>,
    counters: BTreeMap<String, u64>,
    /// `None` once it failed.
    database: Option<Database>,
}

/// What is remembered of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whose state.
    pub group: GroupId,
    /// Where the state stands.
    pub index: u64,
    /// Bytes of the content.
    pub length: u64,
    /// [`SnapshotFile::checksum`]
    pub crc: u32,
    /// When it was made or first seen, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// What became of the database when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// It opened.
    No,
    /// It did not open and lies under this name now; an empty one has taken its place.
    SetAside(PathBuf),
    /// There is none: what is noted is forgotten at the end of the process.
    InMemory,
}

impl Catalogue {
    /// Opens the database in `directory`, whatever state it is in. Beside it stands a small file of the same name
    /// with `.guard` at its end, and what had to be set aside.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Rebuilt) {
        let (opened, rebuilt) = database::open(directory);
        match &rebuilt {
            Rebuilt::No => {}
            Rebuilt::SetAside(aside) => tracing::warn!(
                aside = %aside.display(),
                "the catalogue did not open, it is set aside and begun anew"
            ),
            Rebuilt::InMemory => tracing::warn!("the catalogue is kept in memory only"),
        }
        let mut state = State::default();
        if let Some((database, found)) = opened {
            state.database = Some(database);
            state.counters = found.counters;
            let noted = found.snapshots.into_iter();
            state.snapshots = noted
                .map(|noted| ((noted.group, noted.index), noted))
                .collect();
        }
        let state = Mutex::new(state);
        (Self { state }, rebuilt)
    }

    /// A catalogue that forgets all at its end.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    /// Whether this thread is inside sled just now, so that a panic of it is caught and ends nothing: for a panic hook
    /// that ends the process on all others.
    #[must_use]
    pub fn catches_panics() -> bool {
        database::is_guarded()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics holding the catalogue")
    }

    /// Adds `by` to the counter `name`. Meant for steps of a second or an event, not for each publish.
    pub fn count(&self, name: &str, by: u64) {
        let mut state = self.state();
        let counter = state.counters.entry(name.to_owned()).or_default();
        *counter = counter.saturating_add(by);
        let value = *counter;
        state.write(|database| database.set_counter(name, value));
    }

    /// The counter `name`; 0 when nothing was ever counted.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.state().counters.get(name).copied().unwrap_or_default()
    }

    /// All counters by name; `starts`, how often this was opened, is kept by itself.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.state().counters.clone()
    }

    /// Notes a snapshot. One that is known, with the same length and checksum, keeps its time.
    pub fn note(&self, noted: Noted) {
        let mut state = self.state();
        let key = (noted.group, noted.index);
        if let Some(known) = state.snapshots.get(&key)
            && (known.length, known.crc) == (noted.length, noted.crc)
        {
            return;
        }
        state.write(|database| database.set_snapshot(&noted));
        state.snapshots.insert(key, noted);
    }

    /// Forgets all snapshots of `group` but those that stand at one of `left`.
    pub fn keep_only(&self, group: GroupId, left: &[u64]) {
        let mut state = self.state();
        let of_group = state.snapshots.range((group, 0)..=(group, u64::MAX));
        let gone: Vec<u64> = of_group
            .map(|((_, index), _)| *index)
            .filter(|index| !left.contains(index))
            .collect();
        for index in gone {
            state.snapshots.remove(&(group, index));
            state.write(|database| database.remove_snapshot(group, index));
        }
    }

    /// The snapshots, by group and index.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Noted> {
        self.state().snapshots.values().cloned().collect()
    }
}

impl State {
    /// Writes to the database, if there is one; a failure is its end.
    fn write(&mut self, change: impl FnOnce(&Database) -> Result<(), String>) {
        let Some(database) = &self.database else {
            return;
        };
        if let Err(error) = database::guarded(|| change(database)) {
            tracing::warn!(error, "the catalogue is kept in memory only from here on");
            self.database = None;
        }
    }
}

/// A catalogue for [`Snapshots`](crate::Snapshots) to note in, and the clock to do it by.
#[derive(Clone, Debug)]
pub struct Noting {
    /// Where.
    pub catalogue: Arc<Catalogue>,
    /// When.
    pub clock: Arc<dyn Clock>,
}

impl Noting {
    pub(crate) fn kept(&self, group: GroupId, file: &SnapshotFile) {
        self.catalogue.note(Noted {
            group,
            index: file.index,
            length: file.length,
            crc: file.checksum(),
            created_ms: self.clock.wall_ms(),
        });
    }

    pub(crate) fn only(&self, group: GroupId, left: &[u64]) {
        self.catalogue.keep_only(group, left);
    }
}
