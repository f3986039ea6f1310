//! The processes beside this one: the load, and the one that cuts; and a disk that does not sync.
//!
//! Invariant: a process started here has ended when its owner is gone.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use halley_env::{Disk, DiskFile, DiskLock, Space, SystemDisk};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;

/// What a shutdown does with what is not on the disk yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shutdown {
    /// Loses it, the journal too: a cut.
    Lose,
    /// Writes all of it first.
    Flush,
}

/// A child process; ended and waited for when dropped.
#[derive(Debug)]
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `FS_IOC_SHUTDOWN` needs an ioctl, which safe Rust does not offer.
const PERL: &str = r#"$| = 1; open(my $m, "<", $ARGV[0]) or die "$!\n"; print "armed\n"; defined(<STDIN>) or exit;
my $how = pack("L", $ARGV[1]); ioctl($m, 0x8004587d, $how) or die "$!\n"; print "cut\n";"#;
const PYTHON: &str = "
import fcntl, os, struct, sys
m = os.open(sys.argv[1], os.O_RDONLY); print('armed', flush=True); sys.stdin.readline() or sys.exit()
fcntl.ioctl(m, 0x8004587d, struct.pack('I', int(sys.argv[2]))); print('cut', flush=True)";

/// A process that shuts a file system down when told to, with no delay but the call.
#[derive(Debug)]
pub(crate) struct Cutter {
    process: Owned,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Cutter {
    /// # Errors
    /// What this machine lacks.
    pub(crate) fn arm(mount: &Path, shutdown: Shutdown) -> Result<Self, String> {
        let how = match shutdown {
            Shutdown::Lose => "2",
            Shutdown::Flush => "0",
        };
        let perl = Self::start("perl", ["-e", PERL], mount, how);
        perl.or_else(|perl| {
            let python = Self::start("python3", ["-c", PYTHON], mount, how);
            python.map_err(|python| format!("{perl}; {python}"))
        })
    }

    fn start(program: &str, script: [&str; 2], mount: &Path, how: &str) -> Result<Self, String> {
        let told = |error: io::Error| format!("{program}: {error}");
        let mut command = Command::new(program);
        command.args(script).arg(mount).arg(how);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned(command.spawn().map_err(told)?);
        let input = process.0.stdin.take().expect("it is piped");
        let output = process.0.stdout.take().expect("it is piped");
        let output = BufReader::new(output);
        let mut armed = Self {
            process,
            input,
            output,
        };
        armed.wait_for("armed").map_err(told)?;
        Ok(armed)
    }

    fn wait_for(&mut self, word: &str) -> io::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim() != word {
            return Err(io::Error::other(format!("it said {line:?}, not {word:?}")));
        }
        Ok(())
    }

    /// Shuts the file system down. Nothing of this process is left there afterwards.
    ///
    /// # Errors
    /// What the machine says.
    pub(crate) fn cut(mut self) -> Result<(), String> {
        let told = |error: io::Error| format!("FS_IOC_SHUTDOWN: {error}");
        self.input.write_all(b"cut\n").map_err(told)?;
        self.wait_for("cut").map_err(told)?;
        self.process.0.wait().map(drop).map_err(told)
    }
}

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
