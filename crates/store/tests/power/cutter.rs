//! The process that cuts the power of a file system, as `FS_IOC_SHUTDOWN` does.
//!
//! Invariant: a process started here has ended when its owner is gone.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

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
pub(crate) struct Owned(pub(crate) Child);

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
