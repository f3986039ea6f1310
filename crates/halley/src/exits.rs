//! Ends for an error inside, noted on the disk: after three within a minute the node that starts is not ready.
//!
//! Invariant: only an end that this program chose is noted, a kill from outside never; and a note that cannot
//! be written or read stands in the way of neither an end nor a start.

use std::{
    fmt::{self, Debug},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use halley_env::{Clock, Disk};
use halley_log::Check;
use halley_store::Record;

use crate::{exit, view::Checked};

/// So many within [`WITHIN_MS`] are too many.
const TOO_MANY: usize = 3;
const WITHIN_MS: u64 = 60_000;
/// Longest that a note may take on a disk that hangs: the process must be gone within a second.
const NOTE_WITHIN: Duration = Duration::from_millis(500);
/// First byte of the file's content.
const FORMAT: u8 = 1;

/// The notes of one data directory, and how to add one.
pub(crate) struct Exits {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    /// `None` where there is nothing on disk.
    path: Option<PathBuf>,
    /// Milliseconds since the Unix epoch, oldest first, at most [`TOO_MANY`].
    past: Vec<u64>,
    too_many: bool,
    /// Held by whoever ends the process.
    ending: Mutex<()>,
}

impl Exits {
    /// Reads the notes in `data`, which need not exist yet; a node without a directory notes nothing.
    pub(crate) fn open(
        data: Option<&Path>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let path = data.map(|data| data.join("exits"));
        let past = path.as_deref().map(|path| read(disk.as_ref(), path));
        let past = past.unwrap_or_default();
        let too_many = too_many(&past, clock.wall_ms());
        Arc::new(Self {
            disk,
            clock,
            path,
            past,
            too_many,
            ending: Mutex::new(()),
        })
    }

    /// Whether this program keeps ending for errors inside: then somebody must look, and nobody should be sent here.
    pub(crate) fn check(&self) -> Check {
        let detail = if self.too_many {
            format!(
                "ended {TOO_MANY} times within a minute for an error inside: see the log lines before each end, \
                 then start it again"
            )
        } else {
            "no repeated ends".into()
        };
        Check {
            name: "exits",
            ok: !self.too_many,
            detail,
        }
    }

    /// Says why, notes it, and ends the process with code 70, within a second.
    pub(crate) fn end(&self, reason: &str) -> ! {
        // Whoever comes second waits here for the end.
        let _ending = self.ending.lock();
        tracing::error!(reason, "this node cannot go on: ending");
        self.note();
        std::process::exit(i32::from(exit::INTERNAL))
    }

    /// Notes that the process ends now.
    pub(crate) fn note(&self) {
        let Some(path) = self.path.clone() else {
            return;
        };
        let mut ends = self.past.clone();
        ends.push(self.clock.wall_ms());
        let ends = encode(&ends[ends.len().saturating_sub(TOO_MANY)..]);
        let disk = Arc::clone(&self.disk);
        let (done, written) = mpsc::channel();
        let write = move || {
            if let Err(error) = Record::write(disk.as_ref(), &path, &ends) {
                tracing::warn!(%error, "this end cannot be noted");
            }
            let _nobody_waits = done.send(());
        };
        let writer = std::thread::Builder::new().spawn(write);
        if writer.is_ok() {
            let _late = written.recv_timeout(NOTE_WITHIN);
        }
    }
}

impl Checked for Exits {
    fn checks(&self) -> Vec<Check> {
        self.path.iter().map(|_| self.check()).collect()
    }
}

impl Debug for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exits").field(&self.past).finish()
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u64> {
    match Record::read(disk, path) {
        Ok(content) => content
            .and_then(|content| decode(&content))
            .unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "the notes of earlier ends are unreadable");
            Vec::new()
        }
    }
}

/// Whether the last [`TOO_MANY`] lie within a minute that is not over at `now`.
fn too_many(past: &[u64], now: u64) -> bool {
    let (Some(first), Some(last)) = (past.first(), past.last()) else {
        return false;
    };
    past.len() >= TOO_MANY
        && last.saturating_sub(*first) <= WITHIN_MS
        && now.saturating_sub(*last) <= WITHIN_MS
}

fn encode(ends: &[u64]) -> Vec<u8> {
    let numbers = ends.iter().flat_map(|end| end.to_le_bytes());
    std::iter::once(FORMAT).chain(numbers).collect()
}

fn decode(content: &[u8]) -> Option<Vec<u64>> {
    let (numbers, rest) = content.strip_prefix(&[FORMAT])?.as_chunks::<8>();
    (rest.is_empty() && numbers.len() <= TOO_MANY)
        .then(|| numbers.iter().map(|end| u64::from_le_bytes(*end)).collect())
}

#[cfg(test)]
mod tests {
    use halley_env::{SystemClock, SystemDisk};

    use super::*;

    #[test]
    fn three_within_a_minute_are_too_many() {
        assert!(too_many(&[1_000, 2_000, 61_000], 121_000));
        assert!(!too_many(&[1_000, 2_000, 61_001], 61_001));
        assert!(!too_many(&[1_000, 2_000, 3_000], 63_001));
        assert!(!too_many(&[1_000, 2_000], 2_000) && !too_many(&[], 0));
        assert!(
            too_many(&[5_000, 6_000, 7_000], 1_000),
            "a clock that went back"
        );
    }

    #[test]
    fn notes_read_back_and_others_are_none() {
        assert_eq!(decode(&encode(&[1, 2, 3])), Some(vec![1, 2, 3]));
        for wrong in [&[][..], &[2], &[FORMAT, 0], &[FORMAT; 33]] {
            assert_eq!(decode(wrong), None);
        }
    }

    #[test]
    fn ends_are_noted_until_they_are_too_many() {
        let name = format!("halley-exits-{}", std::process::id());
        let data = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&data).expect("creates");
        let open = || {
            Exits::open(
                Some(&data),
                Arc::new(SystemDisk),
                Arc::new(SystemClock::default()),
            )
        };
        for _ in 0..=TOO_MANY {
            open().note();
        }
        let exits = open();
        assert_eq!(exits.past.len(), TOO_MANY);
        assert!(!exits.check().ok);
        std::fs::remove_file(data.join("exits")).expect("cleans up");
        assert!(open().check().ok);
        std::fs::remove_dir_all(&data).expect("cleans up");
    }
}
