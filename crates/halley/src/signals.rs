//! What tells a process to end: SIGTERM, SIGINT, or the end of the parent that holds the other end of
//! standard input.

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
    parent: Option<pipe::Receiver>,
}

impl Signals {
    /// Listens for SIGTERM and SIGINT.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
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
            () = closed(&mut self.parent) => {
                self.parent = None;
                "the end of the parent"
            }
        }
    }
}

/// Completes once the pipe is closed; never without a pipe. What is written into it is thrown away.
async fn closed(pipe: &mut Option<pipe::Receiver>) {
    let Some(pipe) = pipe else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while pipe.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}
