//! Changes, as followers get them.

use bytes::{Bytes, BytesMut};

use super::{Codec, DecodeError, primitive::take_byte};
use crate::{Change, Changes, ChannelName, Floor, Forgotten, Revision};

impl Codec for Change {
    fn put(&self, out: &mut BytesMut) {
        let (variant, channel, floor) = match self {
            Self::Event(event) => {
                1_u8.put(out);
                return event.put(out);
            }
            Self::Forgotten(forgotten) => {
                5_u8.put(out);
                return forgotten.put(out);
            }
            Self::Opened { channel, floor } => (2_u8, channel, floor),
            Self::Trimmed { channel, floor } => (3, channel, floor),
            Self::Erased { channel, floor } => (4, channel, floor),
        };
        variant.put(out);
        channel.put(out);
        floor.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let variant = take_byte(input, "change")?;
        match variant {
            1 => return Codec::take(input).map(Self::Event),
            2..=4 => {}
            5 => return Forgotten::take(input).map(Self::Forgotten),
            found => {
                return Err(DecodeError::Variant {
                    what: "change",
                    found,
                });
            }
        }
        let (channel, floor) = (ChannelName::take(input)?, Floor::take(input)?);
        Ok(match variant {
            2 => Self::Opened { channel, floor },
            3 => Self::Trimmed { channel, floor },
            _ => Self::Erased { channel, floor },
        })
    }
}

impl Codec for Changes {
    fn put(&self, out: &mut BytesMut) {
        let Self { through, list } = self;
        through.put(out);
        list.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            through: Revision::take(input)?,
            list: Vec::take(input)?,
        })
    }
}
