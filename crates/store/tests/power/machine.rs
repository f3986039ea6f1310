//! The load, as a process beside this one; and a disk that does not sync.
//!
//! Invariant: a process started here has ended when its owner is gone.

use std::{
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use halley_env::{Disk, DiskFile, DiskLock, Space, SystemDisk};
use rustix::process::{Pid, Signal, kill_process};

use crate::{cutter::Owned, load::Load};

/// The load, running.
#[derive(Debug)]
pub(crate) struct Loader {
    process: Owned,
    /// What it tells; ends with it.
    lines: mpsc::Receiver<String>,
}

impl Loader {
    /// # Errors
    /// What the machine says.
    pub(crate) fn start(load: &Load) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(load.arguments()).stdin(Stdio::null());
        let mut process = Owned(command.stdout(Stdio::piped()).spawn()?);
        let output = process.0.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        // Ends when the load's output does, or nobody listens any more.
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                // A line cut off by the end of the process was not told.
                let Some(whole) = line.strip_suffix('\n') else {
                    return;
                };
                if sender.send(whole.to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self { process, lines })
    }

    /// The next line; `None` when there is none for so long or the load has ended.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Stops all its threads, and returns when none of them runs.
    ///
    /// # Errors
    /// What the machine says.
    pub(crate) fn stop(&self) -> io::Result<()> {
        let id = i32::try_from(self.id()).expect("a process id is positive");
        let id = Pid::from_raw(id).expect("a process id is not 0");
        kill_process(id, Signal::STOP)?;
        while !self.is_stopped()? {
            thread::yield_now();
        }
        Ok(())
    }

    /// Whether no thread is running or inside a call.
    fn is_stopped(&self) -> io::Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            // The name before it is in brackets and may hold anything.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
            if state != Some(b'T') {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Kills it; what it had told and nobody has heard.
    pub(crate) fn kill(self) -> Vec<String> {
        drop(self.process);
        self.lines.into_iter().collect()
    }
}

/// The machine's file system with a sync that does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Arc<dyn DiskFile>);

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

impl Disk for Unsynced {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UnsyncedFile(SystemDisk.open(path)?)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        SystemDisk.list(directory)
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        SystemDisk.create_dir(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        SystemDisk.space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        SystemDisk.lock(path)
    }
}
