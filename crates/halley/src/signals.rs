//! What tells a process to end: SIGTERM, SIGINT, SIGHUP (its terminal is gone), or the end of the parent that holds the
//! other end of standard input.
//!
//! Invariant: a process that was started to outlive its terminal (`nohup`) does.

use std::{io, os::fd::AsFd as _};

use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// Listens for all of them from the moment it is made.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` once it came: shell and kernel both send it when a terminal goes, which is no second request.
    hangup: Option<Signal>,
    parent: Option<pipe::Receiver>,
}

impl Signals {
    /// Listens for SIGTERM, SIGINT and, unless this process was started to ignore it, SIGHUP.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn listen() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = (!ignores_hangup(&status)).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
            parent: None,
        })
    }

    /// Listens for the end of standard input too, which must be a pipe.
    ///
    /// # Errors
    /// What the operating system says, also when standard input is no pipe.
    pub(crate) fn and_parent(mut self) -> io::Result<Self> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        self.parent = Some(pipe::Receiver::from_owned_fd(stdin)?);
        Ok(self)
    }

    /// Waits for the next; gives its name. Cancel-safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(&mut self.hangup) => {
                self.hangup = None;
                "SIGHUP"
            }
            () = closed(&mut self.parent) => {
                self.parent = None;
                "the end of the parent"
            }
        }
    }
}

/// Completes once the signal came; never without one.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP is among the ignored signals, by the kernel's description of a process (Linux; elsewhere it is
/// empty, and every SIGHUP counts).
fn ignores_hangup(status: &str) -> bool {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// Completes once the pipe is closed; never without a pipe. What is written into it is thrown away.
async fn closed(pipe: &mut Option<pipe::Receiver>) {
    let Some(pipe) = pipe else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while pipe.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_found() {
        let status = |mask| format!("Name:\thalley\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup(""));
    }
}
