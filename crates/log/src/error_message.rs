//! Bytes of a log's error, for a transport that has no words of its own for it.

use bytes::Bytes;
use halley_shard::codec::Codec;

use crate::{
    LogError,
    follow::{MessageError, message},
};

/// What may be full, by the names under which it passes between nodes.
const FULL: [&str; 5] = [
    "the log",
    "proposals",
    "requests in flight",
    "connections",
    "the disk",
];

impl LogError {
    /// Its bytes, for another node.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = message::begin();
        match self {
            Self::NoLeader { shard } => {
                0_u8.put(&mut out);
                shard.put(&mut out);
            }
            Self::Overloaded { what, value, limit } => {
                1_u8.put(&mut out);
                (*what).to_owned().put(&mut out);
                value.put(&mut out);
                limit.put(&mut out);
            }
            Self::UnknownOutcome => 2_u8.put(&mut out),
            Self::Behind { wanted, head } => {
                3_u8.put(&mut out);
                wanted.put(&mut out);
                head.put(&mut out);
            }
            Self::Unreadable(why) => {
                4_u8.put(&mut out);
                why.put(&mut out);
            }
            Self::Draining => 5_u8.put(&mut out),
        }
        out.freeze()
    }

    /// The error that `bytes` hold.
    ///
    /// # Errors
    /// [`MessageError`] when they hold none.
    pub fn decode(bytes: &Bytes) -> Result<Self, MessageError> {
        let mut input = message::open(bytes)?;
        let error = match u8::take(&mut input)? {
            0 => Self::NoLeader {
                shard: Codec::take(&mut input)?,
            },
            1 => {
                let named = String::take(&mut input)?;
                let known = FULL.into_iter().find(|what| *what == named);
                let (value, limit) = (u64::take(&mut input)?, u64::take(&mut input)?);
                Self::Overloaded {
                    what: known.unwrap_or(FULL[0]),
                    value,
                    limit,
                }
            }
            2 => Self::UnknownOutcome,
            3 => Self::Behind {
                wanted: Codec::take(&mut input)?,
                head: Codec::take(&mut input)?,
            },
            4 => Self::Unreadable(Codec::take(&mut input)?),
            5 => Self::Draining,
            kind => return Err(MessageError::Kind(kind)),
        };
        message::end(error, &input)
    }
}
