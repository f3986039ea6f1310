//! The words between a reader and the hub: what is asked for, what is given, and why it ends.

use halley_shard::{Cursor, Gap, Interest, Since};
use thiserror::Error;

use crate::SharedEvent;

/// What a reader asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// 1 to 64 channels and 16 patterns together.
    pub interests: Vec<Interest>,
    /// From where.
    pub since: Since,
    /// A cursor that turns out foreign, or to name shards that this cluster does not have, is told as a gap
    /// and read from the oldest retained event, instead of being refused.
    pub tell_foreign: bool,
    /// The cursor that came could not be read: told first as a gap of reason `foreign_cursor`, and read
    /// from the oldest retained event whatever `since` says.
    pub unreadable: bool,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// An event.
    Event {
        /// It.
        event: SharedEvent,
        /// The subscription's cursor behind it.
        cursor: Cursor,
    },
    /// Something is gone.
    Gap {
        /// What.
        gap: Gap,
        /// The subscription's cursor behind it.
        cursor: Cursor,
    },
}

/// Why a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// This node is going down.
    Draining,
    /// This node did not catch up with the cursor in time (the cursor stays the client's own), or it has
    /// come under another cluster: the reader comes back and is told so.
    Behind,
    /// The cursor is beyond the leader's head.
    CursorAhead,
    /// The shard's leader could not be asked.
    NoLeader,
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// The cursor belongs to another history.
    #[error("the cursor belongs to another cluster, or to one before a restore")]
    CursorForeign,
    /// The cursor names shards or places that no cursor of this cluster can.
    #[error("the cursor names shard {0}, which this cluster does not have")]
    CursorInvalid(u16),
    /// This node does not know its cluster yet, or could not get the channels in time.
    #[error("this node cannot reach the log yet")]
    NotReady,
    /// This node is going down.
    #[error("this node is draining")]
    Draining,
}
