//! `halley cluster form --reset`: what a formation cut short has left on a disk is set aside.
//!
//! Invariant: nothing is deleted, and nothing is touched while a node runs on the directory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use halley_env::{Disk, DiskLock, SystemDisk, TokioSpawn};
use halley_shard::limits;
use halley_store::{GroupId, OpenError, Wal, WalConfig};

use crate::exit::Failure;

/// Held by a running node, inside its data directory.
const LOCK: &str = "lock";
/// All that makes the disk that of a certain node.
const NODE: &str = "node";
/// The node's entries, inside [`NODE`].
const LOG: &str = "log";
/// Bytes of a segment that opening the log may make ready: as a node would.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Renames the node's directory inside `data` and returns its new name.
///
/// # Errors
/// `Usage` when this is no node's data directory, `Refused` while the node runs or when its log has had
/// entries (unless `even_with_data`), `Internal` when the disk fails.
pub(super) fn reset(data: &Path, even_with_data: bool) -> Result<PathBuf, Failure> {
    let disk = SystemDisk;
    let shown = data.display();
    let names = disk
        .list(data)
        .map_err(|error| Failure::Usage(format!("--data {shown}: {error}")))?;
    if !names.iter().any(|name| name == Path::new(NODE)) {
        return Err(Failure::Usage(format!(
            "--data {shown}: no node has ever started here, there is no `{NODE}` in it"
        )));
    }
    let _held = lock(&disk, data)?;
    let node = data.join(NODE);
    if !even_with_data && has_data(&disk, &node.join(LOG)).map_err(|error| failed(data, &error))? {
        return Err(Failure::Refused {
            code: "has_data".into(),
            detail: format!(
                "the log in {} has had entries, or cannot be read: this node may be a member of a cluster that \
                 needs it; --even-with-data sets it aside all the same",
                node.join(LOG).display()
            ),
        });
    }
    let aside = data.join(free_name(&names));
    disk.rename(&node, &aside)
        .and_then(|()| disk.sync_dir(data))
        .map_err(|error| failed(data, &error))?;
    Ok(aside)
}

fn lock(disk: &SystemDisk, data: &Path) -> Result<Box<dyn DiskLock>, Failure> {
    disk.lock(&data.join(LOCK)).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            let detail = format!("a node runs on {}; stop it first", data.display());
            let code = "in_use".into();
            return Failure::Refused { code, detail };
        }
        failed(data, &error)
    })
}

/// Whether the log has or had entries. A log that cannot be read counts as if it had. Like a start of the node, this
/// makes good what an unclean end has left in it.
fn has_data(disk: &SystemDisk, log: &Path) -> io::Result<bool> {
    let names = match disk.list(log) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if names.is_empty() {
        return Ok(false);
    }
    let config = WalConfig {
        directory: log.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        cache_bytes: 0,
    };
    let nobody_waits = Box::new(|_: &io::Error| ());
    let wal = match Wal::open(Arc::new(*disk), &TokioSpawn, config, nobody_waits) {
        Ok(wal) => wal,
        Err(OpenError::Corrupt { .. }) => return Ok(true),
        Err(OpenError::Io(error)) => return Err(error),
    };
    // The cluster's own group, then one for each shard that there may be.
    let has_entries = (0..=limits::SHARDS_MAX).any(|group| {
        let state = wal.state(GroupId(group));
        state.next > 0 || state.purged.is_some()
    });
    wal.close()?;
    Ok(has_entries)
}

/// The first of `node.reset-1`, `node.reset-2`, … that is not taken.
fn free_name(names: &[PathBuf]) -> PathBuf {
    let candidates = (1_u64..).map(|number| PathBuf::from(format!("{NODE}.reset-{number}")));
    candidates
        .into_iter()
        .find(|name| !names.contains(name))
        .expect("a directory has fewer entries than there are numbers")
}

fn failed(data: &Path, error: &io::Error) -> Failure {
    Failure::Internal(format!("{}: {error}", data.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use bytes::Bytes;

    use super::*;

    /// A data directory whose node has stopped, removed with its value.
    struct Data(PathBuf);

    impl Data {
        fn new(name: &str) -> Self {
            let name = format!("halley-reset-{}-{name}", std::process::id());
            let data = Self(std::env::temp_dir().join(name));
            data.start_node();
            data
        }

        /// What the first start of a node leaves behind.
        fn start_node(&self) {
            fs::create_dir_all(self.0.join(NODE)).expect("creates");
            fs::write(self.0.join(NODE).join("identity"), "n1").expect("writes");
            self.open_log().close().expect("closes");
        }

        fn open_log(&self) -> Wal {
            let config = WalConfig {
                directory: self.0.join(NODE).join(LOG),
                segment_bytes: 65_536,
                cache_bytes: 0,
            };
            let failed = Box::new(|error: &io::Error| panic!("{error}"));
            Wal::open(Arc::new(SystemDisk), &TokioSpawn, config, failed).expect("opens")
        }

        fn append(&self) {
            let (said, durable) = mpsc::channel();
            let done = Box::new(move |done| said.send(done).expect("is waited for"));
            let wal = self.open_log();
            wal.append(GroupId(1), 0, vec![Bytes::from_static(b"entry")], done)
                .expect("takes it");
            durable.recv().expect("an answer").expect("is durable");
            wal.close().expect("closes");
        }
    }

    impl Drop for Data {
        fn drop(&mut self) {
            let _gone_already = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_formation_cut_short_is_set_aside_and_nothing_is_deleted() {
        let data = Data::new("aside");
        for number in 1..=2 {
            let aside = reset(&data.0, false).expect("no entries");
            assert_eq!(aside, data.0.join(format!("node.reset-{number}")));
            assert_eq!(fs::read(aside.join("identity")).expect("reads"), b"n1");
            assert!(!data.0.join(NODE).exists());
            data.start_node();
        }
        fs::remove_dir_all(data.0.join(NODE).join(LOG)).expect("removes");
        reset(&data.0, false).expect("no log yet");
    }

    #[tokio::test]
    async fn a_log_with_entries_is_kept_unless_that_is_said() {
        let data = Data::new("entries");
        data.append();
        let refused = reset(&data.0, false).expect_err("it has an entry");
        assert_eq!(refused.code(), 1, "{refused}");
        assert!(
            refused.to_string().contains("--even-with-data"),
            "{refused}"
        );
        assert!(data.0.join(NODE).exists());
        reset(&data.0, true).expect("it was said");
        assert!(!data.0.join(NODE).exists());
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_read_is_kept_too() {
        let data = Data::new("damaged");
        data.append();
        let log = data.0.join(NODE).join(LOG);
        let first = &SystemDisk.list(&log).expect("lists")[0];
        fs::write(log.join(first), "no segment").expect("writes");
        assert_eq!(reset(&data.0, false).expect_err("damaged").code(), 1);
    }

    #[tokio::test]
    async fn a_running_node_is_left_alone() {
        let data = Data::new("running");
        let held = SystemDisk
            .lock(&data.0.join(LOCK))
            .expect("nobody holds it");
        let refused = reset(&data.0, true).expect_err("it runs");
        assert_eq!(refused.code(), 1, "{refused}");
        assert!(refused.to_string().contains("stop it first"), "{refused}");
        drop(held);
        reset(&data.0, false).expect("it was stopped");
    }

    #[tokio::test]
    async fn what_is_no_data_directory_is_left_as_it_is() {
        let data = Data::new("stranger");
        let stranger = data.0.join(NODE);
        let missing = data.0.join("missing");
        for directory in [&stranger, &missing] {
            let refused = reset(directory, false).expect_err("no node's");
            assert_eq!(refused.code(), 2, "{refused}");
            assert!(!directory.join(LOCK).exists());
        }
    }
}
