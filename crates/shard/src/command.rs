//! What may be asked of a shard.

use std::fmt;

use bytes::Bytes;

use crate::{ChannelName, Settings};

/// One entry of a shard's log, before it has a place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Append events, in order; each has its own result.
    Publish {
        /// Who publishes, and the how-manieth publish of theirs this is.
        stamp: Stamp,
        /// 1 to [`crate::limits::BATCH_EVENTS_MAX`] events, all of channels of this shard.
        publications: Vec<Publication>,
    },
    /// Drop a channel's events and its window; its offsets never restart.
    Delete {
        /// Who deletes, and the how-manieth command of theirs this is.
        stamp: Stamp,
        /// The channel.
        channel: ChannelName,
    },
    /// Replace the shard's settings.
    Configure {
        /// The new settings.
        settings: Settings,
    },
    /// Let time pass: expire what is due.
    Tick,
}

/// The identity of a publishing process or stream: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub [u8; 16]);

impl fmt::Debug for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What makes a repeated command recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whose command.
    pub producer: ProducerId,
    /// Its number among the producer's; numbers only rise.
    pub sequence: u64,
    /// The number of the producer's previous command to this shard, which must have been applied;
    /// `None` asks for no such check.
    pub previous: Option<u64>,
    /// Who numbered it.
    pub origin: Origin,
}

/// Who numbered a command, which decides what a repetition is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The node that took it: a repetition is the cluster's own retry, never a `duplicate`.
    Node,
    /// The client: a repetition under another `submission` was sent again by the client.
    Client {
        /// Drawn by the node for each time the client sent it; the node's own retries keep it.
        submission: u64,
    },
}

/// An event to be, with its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where to.
    pub channel: ChannelName,
    /// What.
    pub content: Content,
    /// Makes a repetition within ten minutes recognisable, whoever sends it.
    pub key: Option<IdempotencyKey>,
}

/// What a publisher says: everything of an event but its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The publisher's type, 1 to [`crate::limits::TYPE_BYTES_MAX`] bytes.
    pub event_type: Option<String>,
    /// Media type of `data`, 1 to [`crate::limits::CONTENT_TYPE_BYTES_MAX`] bytes.
    pub content_type: String,
    /// The publisher's own id, 1 to [`crate::limits::ID_BYTES_MAX`] bytes.
    pub id: Option<String>,
    /// Names and values, in the publisher's order, within [`crate::limits::HEADERS_MAX`] and
    /// [`crate::limits::HEADER_BYTES_MAX`].
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub data: Bytes,
}

/// A publisher's key, in its scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey {
    /// Token subject or `Halley-Producer`; empty without either.
    pub scope: String,
    /// The key itself.
    pub key: String,
}
