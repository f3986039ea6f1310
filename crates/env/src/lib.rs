//! All that a room may ask of the machine: time, randomness, disks, tasks.
//!
//! Rooms take these traits, the binary gives them the real ones, the simulation its own. Invariant: no
//! other room reads a clock, draws a random number or opens a file by itself; clippy holds them to it.

mod clock;
mod disk;
mod memory_disk;
mod rng;
mod spawn;
mod worker;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, DiskLock, Space, SystemDisk};
pub use memory_disk::MemoryDisk;
pub use rng::{Rng, SystemRng};
pub use spawn::{BoxFuture, InlineSpawn, Spawn, Task, TokioSpawn};
pub use worker::{Step, Worker};

use std::sync::Arc;

/// The four seams together, as rooms receive them.
#[derive(Clone, Debug)]
pub struct Env {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub rng: Arc<dyn Rng>,
    /// Who runs tasks.
    pub spawn: Arc<dyn Spawn>,
}

impl Env {
    /// The real machine, on the tokio runtime that calls this.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            spawn: Arc::new(TokioSpawn),
        }
    }
}
