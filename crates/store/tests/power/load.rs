//! The process that writes: entries of several groups, votes, a record and snapshots, as fast as it can.
//!
//! Invariant: a line on standard output that begins with a small letter tells of what is durable by promise; one with
//! a capital letter is written before what it tells of is begun, and takes earlier promises back.

use std::{
    fmt::Arguments,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use bytes::Bytes;
use halley_env::{Disk, SystemDisk, TokioSpawn};
use halley_store::{Done, GroupId, Record, Slot, Snapshots, Wal, WalConfig};

use crate::{
    Places,
    machine::Unsynced,
    value::{self, Random},
};

/// The argument that makes this program the load.
pub(crate) const LOAD: &str = "--load";
/// Groups that are written to.
pub(crate) const GROUPS: u16 = 3;
/// The group of which snapshots are made.
pub(crate) const SNAPSHOTS_OF: GroupId = GroupId(7);
/// The value that stands for a vote.
pub(crate) const VOTE: Slot = Slot(1);
/// A value that nobody waits for.
pub(crate) const NOTE: Slot = Slot(2);
/// Appends of a group that wait at once.
const WAITING_MAX: u32 = 8;

/// What to write where.
#[derive(Debug)]
pub(crate) struct Load {
    mount: PathBuf,
    /// Serial numbers begin here, above all of earlier rounds.
    serial: u64,
    synced: bool,
}

/// Where the log lies and how: small segments, so that many end during a cut.
pub(crate) fn config(mount: &Path) -> WalConfig {
    WalConfig {
        directory: Places::beneath(mount).log,
        segment_bytes: 2 * 1024 * 1024,
        cache_bytes: 256 * 1024,
    }
}

impl Load {
    pub(crate) fn new(mount: &Path, serial: u64, synced: bool) -> Self {
        Self {
            mount: mount.to_path_buf(),
            serial,
            synced,
        }
    }

    /// As another process is told of it.
    pub(crate) fn arguments(&self) -> [String; 4] {
        [
            LOAD.to_owned(),
            self.mount.display().to_string(),
            self.serial.to_string(),
            self.synced.to_string(),
        ]
    }

    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [mount, serial, synced] = arguments else {
            return None;
        };
        let serial = serial.parse().ok()?;
        Some(Self::new(Path::new(mount), serial, synced.parse().ok()?))
    }

    /// Writes until something fails.
    pub(crate) fn run(self) -> ExitCode {
        let disk: Arc<dyn Disk> = match self.synced {
            true => Arc::new(SystemDisk),
            false => Arc::new(Unsynced),
        };
        let config = config(&self.mount);
        let wal = Wal::open(Arc::clone(&disk), &TokioSpawn, config, Box::new(|_| ()));
        let wal = wal.expect("the log opens");
        let serials = AtomicU64::new(self.serial);
        thread::scope(|threads| {
            for group in 0..GROUPS {
                let (wal, serials) = (&wal, &serials);
                threads.spawn(move || append(wal, group, serials));
            }
            // Ends at the first error, which the end of the power is.
            drop(keep(&wal, &disk, &Places::beneath(&self.mount), &serials));
        });
        ExitCode::SUCCESS
    }
}

/// One line, at once. Nobody to read it: the end.
fn tell(line: Arguments<'_>) {
    let line = format!("{line}\n");
    let mut out = std::io::stdout().lock();
    if out
        .write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(1);
    }
}

/// How many appends of a group wait, and whether one failed.
#[derive(Default)]
struct Window {
    state: Mutex<(u32, bool)>,
    changed: Condvar,
}

impl Window {
    /// Waits until another may be begun; false once one failed.
    fn enter(&self) -> bool {
        let state = self.state.lock().expect("nobody panics");
        let mut state = self
            .changed
            .wait_while(state, |(waiting, failed)| {
                *waiting >= WAITING_MAX && !*failed
            })
            .expect("nobody panics");
        state.0 += 1;
        !state.1
    }

    fn leave(&self, failed: bool) {
        let mut state = self.state.lock().expect("nobody panics");
        state.0 -= 1;
        state.1 |= failed;
        self.changed.notify_all();
    }
}

/// What tells `line` once it is so.
fn telling(window: &Arc<Window>, line: String) -> Done {
    let window = Arc::clone(window);
    Box::new(move |result| {
        if result.is_ok() {
            tell(format_args!("{line}"));
        }
        window.leave(result.is_err());
    })
}

fn append(wal: &Wal, group: u16, serials: &AtomicU64) {
    let random = Random::new(serials.load(Ordering::Relaxed) + u64::from(group));
    let window = Arc::new(Window::default());
    let id = GroupId(group);
    while window.enter() {
        let state = wal.state(id);
        let held = state.next - state.first;
        match random.below(60) {
            0 if held > 1 => {
                let from = state.next - 1 - random.below(held.min(8));
                let serial = serials.fetch_add(1, Ordering::Relaxed);
                tell(format_args!("T {group} {from} {serial}"));
                let line = format!("t {group} {from} {serial}");
                wal.truncate(id, from, telling(&window, line));
            }
            1 | 2 if held > 60 => {
                let through = state.next - 1 - 20 - random.below(40);
                tell(format_args!("P {group} {through}"));
                let line = format!("p {group} {through}");
                let note = Bytes::from(through.to_string());
                wal.purge(id, through, note, telling(&window, line));
            }
            3 => {
                wal.copy_forward(id);
                window.leave(false);
            }
            _ => {
                // Entry numbers begin at 1.
                let first = state.next.max(1);
                let count = 1 + random.below(6);
                let serial = serials.fetch_add(count, Ordering::Relaxed);
                let entries =
                    (0..count).map(|n| value::make(serial + n, group, first + n, random.length()));
                let line = format!("e {group} {first} {serial} {count}");
                let taken = wal.append(id, first, entries.collect(), telling(&window, line));
                if taken.is_err() {
                    return;
                }
            }
        }
    }
}

/// Votes, the record and snapshots in turn.
fn keep(
    wal: &Wal,
    disk: &Arc<dyn Disk>,
    places: &Places,
    serials: &AtomicU64,
) -> std::io::Result<()> {
    let random = Random::new(serials.load(Ordering::Relaxed) + 99);
    let snapshots = Snapshots::open(Arc::clone(disk), places.snapshots.clone())?;
    loop {
        for group in 0..GROUPS {
            let serial = serials.fetch_add(2, Ordering::Relaxed);
            let note = value::make(serial + 1, group, 0, 300);
            wal.set(GroupId(group), NOTE, note, None);
            let (done, told) = mpsc::channel();
            let heard: Done = Box::new(move |result| drop(done.send(result)));
            let vote = value::make(serial, group, 0, 50);
            wal.set(GroupId(group), VOTE, vote, Some(heard));
            told.recv().map_err(std::io::Error::other)??;
            tell(format_args!("v {group} {serial}"));
        }
        let serial = serials.fetch_add(1, Ordering::Relaxed);
        let content = value::make(serial, 0, 0, random.length());
        Record::write(&**disk, &places.record, &content)?;
        tell(format_args!("r {serial}"));
        if random.below(4) == 0 {
            let index = serials.fetch_add(1, Ordering::Relaxed);
            let mut writer = snapshots.create(SNAPSHOTS_OF, index, Bytes::from("head"))?;
            for at in 0..random.below(12) {
                writer.write(&value::make(index, SNAPSHOTS_OF.0, at, 256 * 1024))?;
            }
            writer.finish()?;
            tell(format_args!("s {index}"));
        }
    }
}
