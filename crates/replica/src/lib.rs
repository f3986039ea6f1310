//! The replicated log: Raft over the store, one group a shard and one for the cluster's own state.
//!
//! The only room that knows openraft. Towards the rooms above it is a [`halley_log::ShardLog`]; towards the
//! other nodes it speaks bytes over [`Peers`]; towards the disk it is `halley-store`. Invariant: nothing is
//! answered as done before a quorum has it on its disks.

mod admission;
mod asker;
mod clock_rule;
mod config;
mod formation;
mod group;
mod identity;
mod limits;
mod malformed;
mod meta;
mod meta_machine;
mod node;
mod packer;
mod peers;
mod question;
mod raft;
mod rejoin;
mod replica;
mod room;
mod shard;
mod shard_machine;
mod submit;

pub use config::{Addresses, Bootstrap, DiskBounds, Keeping, ReplicaConfig, Timing};
pub use peers::{Answering, Lane, PeerError, Peers, Stream};
pub use replica::{Fatal, Replica, StartError, Starting};
