//! What a shard answers. Refusals are values: the same on every node, never an error of `apply`.

use thiserror::Error;

use crate::{Offset, Revision, Time};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `Publish`: one result per publication, in order.
    Published(Vec<Result<Published, Refusal>>),
    /// To `Delete`: whether the channel existed.
    Deleted {
        /// It existed and is gone.
        existed: bool,
        /// The shard's revision after the deletion.
        revision: Revision,
    },
    /// To `Configure` and `Tick`.
    Done,
    /// The whole command was refused; nothing changed.
    Refused(Refusal),
}

/// An event's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// In its channel.
    pub offset: Offset,
    /// In its shard; `since` this revision reads on right behind the event.
    pub revision: Revision,
    /// The shard's stamp.
    pub time: Time,
    /// The client itself had sent this before; the place is the first one's.
    pub duplicate: bool,
}

/// Why nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The producer's previous command has not arrived: send everything unanswered again, in order.
    #[error("sequence {sequence} needs its predecessor {previous}, which this shard has not seen")]
    OutOfSequence {
        /// The refused number.
        sequence: u64,
        /// The missing one.
        previous: u64,
    },
    /// The number is older than what is remembered: whether it was stored is not known any more.
    #[error("sequence {sequence} is at or below {oldest}, the oldest still remembered")]
    StaleKey {
        /// The refused number.
        sequence: u64,
        /// The newest number already forgotten.
        oldest: u64,
    },
    /// The key was used for another content within the last ten minutes.
    #[error("this idempotency key was used for another content; its event has offset {offset}")]
    KeyConflict {
        /// The first one's offset.
        offset: Offset,
    },
    /// No room to remember it; try again later.
    #[error("{what}: {value} of {limit} in use")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// In use.
        value: u64,
        /// The bound.
        limit: u64,
    },
    /// An earlier event of the same channel in this batch was refused.
    #[error("an earlier event of this channel in the batch was refused")]
    Aborted,
}
