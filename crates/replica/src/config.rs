//! What a replica is told when it starts.

use std::{path::PathBuf, time::Duration};

use halley_shard::{Settings, ShardCount};

/// Everything a replica is told.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Its name, unique within the cluster.
    pub name: String,
    /// Where others and people find it.
    pub addresses: Addresses,
    /// Its directory, used by no other process.
    pub data: PathBuf,
    /// Names of the founding members and what they found; the same on every one of them.
    pub bootstrap: Bootstrap,
    /// Peer addresses (`host:port`) at which members may be found; who answers says its name. Its own may be among them.
    pub peers: Vec<String>,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// A member whose disk was wiped is replaced by the node of its name once no group has heard of the old one for
    /// this long. 60 s.
    pub replace_after: Duration,
    /// When a disk is full.
    pub disk: DiskBounds,
    /// What is kept of the log in files and in memory.
    pub keeping: Keeping,
    /// Keeps a catalogue of snapshots and local statistics beside them. Only where the disk is the machine's own.
    pub catalogue: bool,
}

/// What is kept of the log in files and in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Bytes of a segment file of the log. 16 MiB.
    pub segment_bytes: u64,
    /// Applied commands of a shard kept for followers; who is further behind begins anew. 65,536.
    pub feed_entries: usize,
    /// Least bytes of a shard's own log since its last snapshot that make another one due. 64 MiB.
    pub snapshot_bytes: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            feed_entries: halley_log::limits::FEED_ENTRIES_MAX,
            snapshot_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Where a node listens, as others are told (`host:port`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For other nodes.
    pub peer: String,
    /// For back ends.
    pub grpc: String,
    /// For browsers.
    pub http: String,
}

/// How a cluster begins.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Names of the founding members. Empty: this node only joins.
    pub members: Vec<String>,
    /// Its shards, for good.
    pub shards: ShardCount,
    /// Its first settings.
    pub settings: Settings,
}

/// Heartbeats and elections. Failover takes `election_max` and a draw between the two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader is heard this often. 100 ms.
    pub heartbeat: Duration,
    /// Least time without a leader before a node stands. 250 ms.
    pub election_min: Duration,
    /// Most of it. 350 ms.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(350),
        }
    }
}

/// When a disk is full: proposals stop before the log fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskBounds {
    /// Bytes set aside in a file that is let go when everything else is full: the smaller of this and 2 % of the disk.
    /// 256 MiB.
    pub ballast_max: u64,
    /// Proposals stop below this many free bytes, or 10 % of the disk when that is less. 1 GiB.
    pub free_min: u64,
}

impl Default for DiskBounds {
    fn default() -> Self {
        Self {
            ballast_max: 256 * 1024 * 1024,
            free_min: 1024 * 1024 * 1024,
        }
    }
}
