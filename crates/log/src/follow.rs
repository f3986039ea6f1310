//! Both ends of following a shard, without a transport (replication.md, rule 13).
//!
//! [`Upper`] is the end that has the shard: it holds one follower's interests and its place among the
//! shard's changes ([`Feed`]), and says what comes next as [`Down`] messages. The lower end is a partial
//! [`halley_shard::Windows`] moved by those messages.
//!
//! What the two ends rely on:
//! - messages of one following arrive in order, both ways; in one message up, `remove` counts before `add`;
//! - changes are told in revision order, and everything about revision `r` of what is held comes before
//!   any `Held { as_of }` or `Progress` at or above `r`;
//! - a window may arrive long before its interest is `Held`; from then on its changes follow, so the lower
//!   end keeps (and moves) the window of every channel that an interest it has asked for matches, held or
//!   not, and drops it once it has itself taken back the last such interest;
//! - an interest is answered by its own `Held` only: a held pattern knows nothing of names that are gone, so
//!   a channel that it covers is read once the channel's own `Held` has brought the tombstone, if any;
//! - there is no catch-up besides windows: who falls off the feed is ended and begins anew.

mod feed;
mod follower;
pub(crate) mod message;
mod upper;

pub use feed::Feed;
pub use follower::Source;
pub use message::{MessageError, decode_down, decode_interest, encode_down, encode_interest};
pub use upper::{Poll, Upper};

use halley_shard::{Changes, ChannelName, Event, Floor, Forgotten, Interest, Revision};
use std::sync::Arc;

/// What the upper end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// The whole retained run of a channel newly matched, as of `as_of`.
    Window {
        /// The channel.
        channel: ChannelName,
        /// What of it is gone.
        floor: Floor,
        /// What is retained.
        events: Vec<Arc<Event>>,
        /// The copy's revision when it was taken.
        as_of: Revision,
    },
    /// All windows of `interest` have been given.
    Held {
        /// Which.
        interest: Interest,
        /// As of.
        as_of: Revision,
        /// What is known of names without a window.
        forgotten: Forgotten,
        /// The tombstone of a channel interest whose name has no window.
        tombstone: Option<Floor>,
    },
    /// Changes of what is held, in revision order.
    Changes(Changes),
    /// Nothing else of what is held happened up to here.
    Progress(Revision),
}
