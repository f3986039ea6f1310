//! Bytes of what both ends of a following say, and of questions and answers between nodes.
//!
//! Composed of `shard::codec`'s values behind one version byte. Invariant: whatever the bytes, decoding
//! ends in a message or an error.

use bytes::{Bytes, BytesMut};
use halley_shard::{
    Changes, Interest,
    codec::{Codec, DecodeError},
};
use thiserror::Error;

use super::Down;

/// Version of every message of this room.
const VERSION: u8 = 1;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Of a version that this program does not know.
    #[error("message of version {0}; this program knows {VERSION}")]
    Version(u8),
    /// Of a kind that this program does not know.
    #[error("message of unknown kind {0}")]
    Kind(u8),
    /// More than the message.
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    /// A value in it is unreadable.
    #[error(transparent)]
    Value(#[from] DecodeError),
}

/// Begins a message.
pub(crate) fn begin() -> BytesMut {
    let mut out = BytesMut::new();
    VERSION.put(&mut out);
    out
}

/// The rest of a message after its version.
pub(crate) fn open(bytes: &Bytes) -> Result<Bytes, MessageError> {
    let mut input = bytes.clone();
    match u8::take(&mut input)? {
        VERSION => Ok(input),
        other => Err(MessageError::Version(other)),
    }
}

/// Nothing may follow.
pub(crate) fn end<T>(value: T, input: &Bytes) -> Result<T, MessageError> {
    if input.is_empty() {
        Ok(value)
    } else {
        Err(MessageError::Trailing(input.len()))
    }
}

/// Appends a counted list.
pub(crate) fn put_list<T: Codec>(list: &[T], out: &mut BytesMut) {
    u64::try_from(list.len())
        .expect("a length in memory fits")
        .put(out);
    for value in list {
        value.put(out);
    }
}

/// Takes a counted list; a count beyond the bytes that follow is an error of the first missing value.
pub(crate) fn take_list<T: Codec>(input: &mut Bytes) -> Result<Vec<T>, MessageError> {
    let count = u64::take(input)?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(T::take(input)?);
    }
    Ok(list)
}

/// Bytes of one change of interest.
#[must_use]
pub fn encode_interest(add: &[Interest], remove: &[Interest]) -> Bytes {
    let mut out = begin();
    put_list(add, &mut out);
    put_list(remove, &mut out);
    out.freeze()
}

/// What to add and what to remove.
///
/// # Errors
/// [`MessageError`] when `bytes` are no change of interest.
pub fn decode_interest(bytes: &Bytes) -> Result<(Vec<Interest>, Vec<Interest>), MessageError> {
    let mut input = open(bytes)?;
    let add = take_list(&mut input)?;
    let remove = take_list(&mut input)?;
    end((add, remove), &input)
}

/// Bytes of a batch of messages down.
#[must_use]
pub fn encode_down(messages: &[Down]) -> Bytes {
    let mut out = begin();
    for message in messages {
        put_down(message, &mut out);
    }
    out.freeze()
}

/// A batch of messages down.
///
/// # Errors
/// [`MessageError`] when `bytes` are no such batch.
pub fn decode_down(bytes: &Bytes) -> Result<Vec<Down>, MessageError> {
    let mut input = open(bytes)?;
    let mut messages = Vec::new();
    while !input.is_empty() {
        messages.push(take_down(&mut input)?);
    }
    Ok(messages)
}

fn put_down(message: &Down, out: &mut BytesMut) {
    match message {
        Down::Window {
            channel,
            floor,
            events,
            as_of,
        } => {
            0_u8.put(out);
            channel.put(out);
            floor.put(out);
            put_list(events, out);
            as_of.put(out);
        }
        Down::Held {
            interest,
            as_of,
            forgotten,
            tombstone,
        } => {
            1_u8.put(out);
            interest.put(out);
            as_of.put(out);
            forgotten.put(out);
            tombstone.put(out);
        }
        Down::Changes(changes) => {
            2_u8.put(out);
            changes.put(out);
        }
        Down::Progress(revision) => {
            3_u8.put(out);
            revision.put(out);
        }
    }
}

fn take_down(input: &mut Bytes) -> Result<Down, MessageError> {
    Ok(match u8::take(input)? {
        0 => Down::Window {
            channel: Codec::take(input)?,
            floor: Codec::take(input)?,
            events: take_list(input)?,
            as_of: Codec::take(input)?,
        },
        1 => Down::Held {
            interest: Codec::take(input)?,
            as_of: Codec::take(input)?,
            forgotten: Codec::take(input)?,
            tombstone: Codec::take(input)?,
        },
        2 => Down::Changes(Changes::take(input)?),
        3 => Down::Progress(Codec::take(input)?),
        kind => return Err(MessageError::Kind(kind)),
    })
}

#[cfg(test)]
mod tests;
