//! The order of events: names, offsets, revisions, and the state machine of one shard.
//!
//! Everything here is pure: no clock, no randomness, no I/O, no async. [`Shard::apply`] reads a command,
//! the time that came with it and its own state; the same commands make the same state on every node, to
//! the byte. [`Reader`] answers what a cursor may have next, of a whole shard or of a partial copy.
//!
//! Start reading at [`Shard`] and [`Reader`].

pub mod codec;
pub mod limits;

mod change;
mod channel;
mod command;
mod cow;
mod cursor;
mod dedupe;
mod event;
mod forget;
mod interest;
mod name;
mod pattern;
mod position;
mod publish;
mod query;
mod reader;
mod reply;
mod settings;
mod state;
mod trim;
mod windows;

pub use change::{Change, Changes, Floor, Forgotten};
pub use channel::Window;
pub use command::{Command, Content, IdempotencyKey, Origin, ProducerId, Publication, Stamp};
pub use cursor::{Cursor, Since};
pub use event::{Event, Retained};
pub use interest::{Interest, Selection};
pub use name::{ChannelName, NameError};
pub use pattern::{ChannelPattern, PatternError};
pub use position::{ClusterId, Offset, Revision, ShardCount, ShardId, Time};
pub use query::{ChannelInfo, ChannelPage};
pub use reader::{Budget, Gap, GapReason, Item, Next, Reader};
pub use reply::{Published, Refusal, Reply};
pub use settings::{Retention, RetentionRule, Settings, SettingsError};
pub use state::{Applied, Shard};
pub use windows::{Lookup, Windows};
