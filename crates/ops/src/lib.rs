//! For the platform: liveness, readiness, metrics.
//!
//! Invariant: nothing here changes the node; every answer is given at once, from what the node says of
//! itself, and never waits for a disk, a peer or a lock held for long.

mod catalogue;
mod endpoints;
mod node;
mod process;
mod recorder;
mod server;

pub use recorder::{MetricsHandle, install_metrics};
pub use server::OpsServer;
