//! What a node keeps on its disk: a write-ahead log of numbered entries in groups, snapshot files, small
//! checksummed records, and a catalogue that can be rebuilt.
//!
//! Invariant: what was reported written survives the loss of power, and what did not survive whole is told
//! apart from what did. This room knows no Raft, no commands and no nodes: entries, values and snapshots are
//! bytes, groups are numbers.

mod catalogue;
mod record;
#[cfg(test)]
mod seeded;
mod snapshots;
mod wal;

pub use catalogue::{Catalogue, Noted, Noting, Rebuilt};
pub use record::{Record, RecordError};
pub use snapshots::{SnapshotFile, SnapshotWriter, Snapshots};
pub use wal::{Done, GroupId, GroupState, OpenError, Slot, Wal, WalConfig};
