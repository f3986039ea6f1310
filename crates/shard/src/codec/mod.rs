//! Versioned bytes of commands, entries, replies, changes and snapshots: what lies on disk and passes
//! between nodes.
//!
//! Four forms stand alone and begin with a byte that names form and version: a command, an entry (the
//! leader's time and packed commands), a reply, a snapshot. Everything else is a [`Codec`] inside of these
//! or of `log`'s messages. Numbers are little-endian base 128 without needless bytes; texts and lists begin
//! with their length; variants are numbered from 1.
//!
//! Invariants: one value has one encoding, so that equal bytes mean equal values and the reverse; whatever
//! decodes is within [`crate::limits`]; hostile bytes cost a refusal, never a panic nor more memory than
//! they are long. The golden files of `tests/golden` hold every form to the byte.

mod answer;
mod change;
mod command;
mod entry;
mod event;
mod position;
mod primitive;
mod reply;
mod restore;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::{NameError, PatternError};

pub use command::{decode_command, encode_command};
pub use entry::{decode_entry, encode_entry};
pub use reply::{decode_reply, encode_reply};
pub use restore::decode_snapshot;
pub use snapshot::encode_snapshot;

/// Bytes that are none of ours, or of a version that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Another form than expected, or a newer version of it.
    #[error("{what}: begins with {found:#04x}, this program knows {known:#04x}")]
    Version {
        /// The form expected.
        what: &'static str,
        /// Its first byte.
        found: u8,
        /// What it should be.
        known: u8,
    },
    /// The bytes end too early.
    #[error("{what}: the bytes end within it")]
    Ended {
        /// Where they end.
        what: &'static str,
    },
    /// A variant that does not exist.
    #[error("{what}: {found} names no variant")]
    Variant {
        /// Of what.
        what: &'static str,
        /// The number found.
        found: u8,
    },
    /// A number that does not fit, or with needless bytes.
    #[error("{what}: not a number of its range in its shortest form")]
    Number {
        /// Of what.
        what: &'static str,
    },
    /// A text that is not UTF-8.
    #[error("{what}: not UTF-8")]
    Text {
        /// Which one.
        what: &'static str,
    },
    /// No channel name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// More than its bound.
    #[error("{what}: {value}, at most {limit} allowed")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        value: u64,
        /// The bound.
        limit: u64,
    },
    /// Parts that contradict each other.
    #[error("{what}: contradicts what stands before it")]
    Inconsistent {
        /// Which part.
        what: &'static str,
    },
    /// Bytes behind the end.
    #[error("{what}: {bytes} bytes behind its end")]
    Trailing {
        /// Of what.
        what: &'static str,
        /// How many.
        bytes: usize,
    },
    /// Damaged bytes.
    #[error("{what}: checksum {found:#018x} instead of {computed:#018x}")]
    Checksum {
        /// Of what.
        what: &'static str,
        /// The one that the bytes name.
        found: u64,
        /// The one that the bytes have.
        computed: u64,
    },
}

/// One value that can be appended to and taken from bytes; `log` composes its messages of these.
///
/// Implemented for: `u8`, `u16`, `u32`, `u64` (all but `u8` as variable-length numbers), `bool`, `String`,
/// `Bytes`, `Option<T>`, `Vec<T>`, `Arc<Event>`, and the types of this crate that pass between nodes:
/// ChannelName, ChannelPattern, Interest, Offset, Revision, Time, ShardId, ClusterId, ProducerId, Floor,
/// Forgotten, Change, Changes, Gap, GapReason, `Item<E>`, `Next<E>`, Budget, ChannelInfo, ChannelPage,
/// Reply, Refusal, Published, Settings.
pub trait Codec: Sized {
    /// Appends this value.
    fn put(&self, out: &mut BytesMut);

    /// Takes one value from the front of `input`, which shares what it can with the value.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes, and in which part; `input` is then left somewhere within the value.
    fn take(input: &mut Bytes) -> Result<Self, DecodeError>;
}

/// A form that stands alone: its name and its first byte (high half the form, low half the version).
#[derive(Clone, Copy)]
struct Form {
    what: &'static str,
    version: u8,
}

impl Form {
    const COMMAND: Self = Self {
        what: "command",
        version: 0x11,
    };
    const ENTRY: Self = Self {
        what: "entry",
        version: 0x21,
    };
    const REPLY: Self = Self {
        what: "reply",
        version: 0x31,
    };
    const SNAPSHOT: Self = Self {
        what: "snapshot",
        version: 0x41,
    };

    fn encode(self, capacity: usize, body: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut out = BytesMut::with_capacity(capacity + 1);
        self.version.put(&mut out);
        body(&mut out);
        out.freeze()
    }

    /// Takes the first byte.
    fn open(self, input: &mut Bytes) -> Result<(), DecodeError> {
        let Self {
            what,
            version: known,
        } = self;
        if input.is_empty() {
            return Err(DecodeError::Ended { what });
        }
        let found = input.get_u8();
        if found == known {
            Ok(())
        } else {
            Err(DecodeError::Version { what, found, known })
        }
    }

    /// Checks that nothing is left.
    fn close(self, input: &Bytes) -> Result<(), DecodeError> {
        match input.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing {
                what: self.what,
                bytes,
            }),
        }
    }

    fn decode<T>(
        self,
        bytes: &Bytes,
        body: impl FnOnce(&mut Bytes) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut input = bytes.clone();
        self.open(&mut input)?;
        let value = body(&mut input)?;
        self.close(&input)?;
        Ok(value)
    }
}
