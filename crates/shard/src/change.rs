//! What applying a command changed, in the words of whoever follows the shard.
//!
//! Invariant: whoever starts from the windows as of some revision and takes all later changes of what it
//! holds has the same windows again.

use std::sync::Arc;

use crate::{ChannelName, Event, Offset, Revision};

/// The changes of one applied command, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The shard's head afterwards: a follower that has taken `list` has seen everything up to here.
    pub through: Revision,
    /// In revision order; empty when the command changed nothing a reader could see.
    pub list: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A channel begins, empty; its next offset is `floor.offset + 1`.
    Opened {
        /// The channel.
        channel: ChannelName,
        /// What of that name is gone already.
        floor: Floor,
    },
    /// An event was appended to its channel.
    Event(Arc<Event>),
    /// The oldest events of a channel went.
    Trimmed {
        /// The channel.
        channel: ChannelName,
        /// Its new floor.
        floor: Floor,
    },
    /// A channel went with all its events: deleted, or forgotten for want of room.
    Erased {
        /// The channel.
        channel: ChannelName,
        /// What the name's tombstone remembers.
        floor: Floor,
    },
    /// Tombstones were dropped or made: what is known of names without a window.
    Forgotten(Forgotten),
}

/// Up to where a channel's events are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Offset of the newest event that is gone; zero when none is.
    pub offset: Offset,
    /// That event's revision; zero when none is.
    pub revision: Revision,
}

/// What a shard still knows of names that have neither window nor tombstone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Newest revision of an event whose name has no tombstone any more.
    pub revision: Revision,
    /// Names without window and tombstone start above this offset.
    pub offset: Offset,
    /// Newest revision of an event whose channel was erased, tombstone or not: below it a pattern cannot
    /// tell what it missed. At least `revision`.
    pub erased: Revision,
}
