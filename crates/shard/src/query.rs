//! Answers to questions about channels.

use crate::{ChannelName, Offset, Time};

/// One channel, in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its name.
    pub name: ChannelName,
    /// Offset of the oldest retained event; `next_offset` when there is none.
    pub first_offset: Offset,
    /// Offset that the next event will have.
    pub next_offset: Offset,
    /// Retained events.
    pub events: u64,
    /// Retained bytes.
    pub bytes: u64,
    /// Time of the newest event ever, if that is still known.
    pub last_time: Option<Time>,
}

/// Some channels by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPage {
    /// In name order.
    pub channels: Vec<ChannelInfo>,
    /// There are more behind the last one.
    pub more: bool,
}
