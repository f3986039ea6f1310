//! Names, patterns, and where things are.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Codec, DecodeError,
    primitive::{
        check_text, put_bytes, put_number, take_byte, take_bytes, take_fixed, take_number,
    },
};
use crate::{
    ChannelName, ChannelPattern, ClusterId, Floor, Forgotten, Interest, Offset, ProducerId,
    Revision, ShardId, Time, limits,
};

macro_rules! counter {
    ($($counter:ident $what:literal),*) => {$(
        impl Codec for $counter {
            fn put(&self, out: &mut BytesMut) {
                put_number(self.get(), out);
            }

            fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
                take_number(input, $what).map(Self::new)
            }
        }
    )*};
}

counter!(Offset "offset", Revision "revision", Time "time");

impl Codec for ShardId {
    fn put(&self, out: &mut BytesMut) {
        self.get().put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        u16::take(input).map(Self::new)
    }
}

impl Codec for ClusterId {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64_le(self.get());
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_fixed(input, "cluster").map(Self::new)
    }
}

impl Codec for ProducerId {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "producer";
        let (low, high) = (take_fixed(input, WHAT)?, take_fixed(input, WHAT)?);
        Ok(Self(
            (u128::from(low) | u128::from(high) << 64).to_le_bytes(),
        ))
    }
}

impl Codec for ChannelName {
    fn put(&self, out: &mut BytesMut) {
        put_bytes(self.as_str().as_bytes(), out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let bytes = take_bytes(input, "channel", limits::NAME_BYTES_MAX)?;
        Ok(Self::parse(check_text(&bytes, "channel")?)?)
    }
}

impl Codec for ChannelPattern {
    fn put(&self, out: &mut BytesMut) {
        put_bytes(self.as_str().as_bytes(), out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let bytes = take_bytes(input, "pattern", limits::NAME_BYTES_MAX)?;
        Ok(Self::parse(check_text(&bytes, "pattern")?)?)
    }
}

impl Codec for Interest {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Channel(name) => {
                1_u8.put(out);
                name.put(out);
            }
            Self::Pattern(pattern) => {
                2_u8.put(out);
                pattern.put(out);
            }
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_byte(input, "interest")? {
            1 => ChannelName::take(input).map(Self::Channel),
            2 => ChannelPattern::take(input).map(Self::Pattern),
            found => Err(DecodeError::Variant {
                what: "interest",
                found,
            }),
        }
    }
}

impl Codec for Floor {
    fn put(&self, out: &mut BytesMut) {
        let Self { offset, revision } = self;
        offset.put(out);
        revision.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            offset: Offset::take(input)?,
            revision: Revision::take(input)?,
        })
    }
}

impl Codec for Forgotten {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            revision,
            offset,
            erased,
        } = self;
        revision.put(out);
        offset.put(out);
        erased.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            revision: Revision::take(input)?,
            offset: Offset::take(input)?,
            erased: Revision::take(input)?,
        })
    }
}
