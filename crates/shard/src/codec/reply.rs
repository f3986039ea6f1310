//! Replies and refusals.

use bytes::{Bytes, BytesMut};

use super::{
    Codec, DecodeError, Form,
    primitive::{put_number, reserve, take_byte, take_count, take_flag, take_number},
};
use crate::{Offset, Published, Refusal, Reply, Revision, Time};

/// What of a shard can be full, by number; a new one is added at the end.
const FULL: [&str; 3] = [
    "the shard",
    "bytes of idempotency keys",
    "publish streams remembered by the shard",
];

/// Encodes a reply, for a forwarding node.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Bytes {
    Form::REPLY.encode(64, |out| reply.put(out))
}

/// Decodes a reply.
///
/// # Errors
///
/// [`DecodeError`] for anything that [`encode_reply`] does not make.
pub fn decode_reply(bytes: &Bytes) -> Result<Reply, DecodeError> {
    Form::REPLY.decode(bytes, Reply::take)
}

impl Codec for Reply {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Published(results) => {
                1_u8.put(out);
                put_number(results.len() as u64, out);
                for result in results {
                    put_result(result, out);
                }
            }
            Self::Deleted { existed, revision } => {
                2_u8.put(out);
                existed.put(out);
                revision.put(out);
            }
            Self::Done => 3_u8.put(out),
            Self::Refused(refusal) => {
                4_u8.put(out);
                refusal.put(out);
            }
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_byte(input, "reply")? {
            1 => {
                let count = take_count(input, "results")?;
                let mut results = reserve(count, input);
                for _ in 0..count {
                    results.push(take_result(input)?);
                }
                Ok(Self::Published(results))
            }
            2 => Ok(Self::Deleted {
                existed: take_flag(input, "existed")?,
                revision: Revision::take(input)?,
            }),
            3 => Ok(Self::Done),
            4 => Refusal::take(input).map(Self::Refused),
            found => Err(DecodeError::Variant {
                what: "reply",
                found,
            }),
        }
    }
}

pub(super) fn put_result(result: &Result<Published, Refusal>, out: &mut BytesMut) {
    match result {
        Ok(published) => {
            1_u8.put(out);
            published.put(out);
        }
        Err(refusal) => {
            2_u8.put(out);
            refusal.put(out);
        }
    }
}

pub(super) fn take_result(input: &mut Bytes) -> Result<Result<Published, Refusal>, DecodeError> {
    match take_byte(input, "result")? {
        1 => Published::take(input).map(Ok),
        2 => Refusal::take(input).map(Err),
        found => Err(DecodeError::Variant {
            what: "result",
            found,
        }),
    }
}

impl Codec for Published {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            offset,
            revision,
            time,
            duplicate,
        } = self;
        offset.put(out);
        revision.put(out);
        time.put(out);
        duplicate.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            offset: Offset::take(input)?,
            revision: Revision::take(input)?,
            time: Time::take(input)?,
            duplicate: take_flag(input, "duplicate")?,
        })
    }
}

impl Codec for Refusal {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::OutOfSequence { sequence, previous } => {
                1_u8.put(out);
                sequence.put(out);
                previous.put(out);
            }
            Self::StaleKey { sequence, oldest } => {
                2_u8.put(out);
                sequence.put(out);
                oldest.put(out);
            }
            Self::KeyConflict { offset } => {
                3_u8.put(out);
                offset.put(out);
            }
            Self::Overloaded { what, value, limit } => {
                4_u8.put(out);
                let index = FULL.iter().position(|known| known == what);
                debug_assert!(index.is_some(), "{what} is missing in FULL");
                put_number(index.unwrap_or(0) as u64, out);
                value.put(out);
                limit.put(out);
            }
            Self::Aborted => 5_u8.put(out),
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let variant = take_byte(input, "refusal")?;
        let mut number = |what| take_number(input, what);
        Ok(match variant {
            1 => Self::OutOfSequence {
                sequence: number("sequence")?,
                previous: number("previous")?,
            },
            2 => Self::StaleKey {
                sequence: number("sequence")?,
                oldest: number("oldest")?,
            },
            3 => Self::KeyConflict {
                offset: Offset::new(number("offset")?),
            },
            4 => {
                let index = number("what is full")?;
                let what = usize::try_from(index)
                    .ok()
                    .and_then(|index| FULL.get(index).copied());
                let what = what.ok_or(DecodeError::Number {
                    what: "what is full",
                })?;
                Self::Overloaded {
                    what,
                    value: number("value")?,
                    limit: number("limit")?,
                }
            }
            5 => Self::Aborted,
            found => {
                return Err(DecodeError::Variant {
                    what: "refusal",
                    found,
                });
            }
        })
    }
}
