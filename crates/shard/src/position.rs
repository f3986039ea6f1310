//! Where things are: offsets within a channel, revisions within a shard, shards within a cluster.

use std::fmt;

use crate::limits;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The one numbered `value`.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this. Saturates at `u64::MAX`, which no history reaches.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before this, or zero.
            #[must_use]
            pub const fn before(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// Position of an event within its channel; public, rises by one, the first is at least 1.
    Offset
}
counter! {
    /// Position of a change within its shard; dense: events, marks of a recreated name, trims, erasures
    /// and forgettings each take one.
    Revision
}
counter! {
    /// Milliseconds since the Unix epoch as stamped by a shard; never goes back within one.
    Time
}

/// Which history this is: drawn at formation and again at a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(u64);

impl ClusterId {
    /// The cluster numbered `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One of a cluster's shards, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard numbered `value`.
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many shards a cluster has: 1 to [`limits::SHARDS_MAX`], fixed at formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCount(u16);

impl ShardCount {
    /// `count` shards; `None` outside of 1 to [`limits::SHARDS_MAX`].
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 || count > limits::SHARDS_MAX {
            None
        } else {
            Some(Self(count))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// All of them, in order.
    pub fn ids(self) -> impl Iterator<Item = ShardId> {
        (0..self.0).map(ShardId)
    }

    /// The shard of a channel whose name hashes to `hash` (contract.md, Words: xxh3-64 modulo count).
    #[must_use]
    pub fn shard_of(self, hash: u64) -> ShardId {
        let index = hash % u64::from(self.0);
        ShardId(u16::try_from(index).expect("below a shard count, which is a u16"))
    }
}
