//! Answers to readers: items, gaps, channels in figures.

use bytes::{Bytes, BytesMut};

use super::{
    Codec, DecodeError,
    primitive::{put_number, take_bounded, take_byte, take_flag, take_number},
};
use crate::{
    Budget, ChannelInfo, ChannelName, ChannelPage, Gap, GapReason, Interest, Item, Next, Offset,
    Revision,
};

impl Codec for GapReason {
    fn put(&self, out: &mut BytesMut) {
        let variant: u8 = match self {
            Self::Trimmed => 1,
            Self::Recreated => 2,
            Self::Unknown => 3,
            Self::ForeignCursor => 4,
        };
        variant.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(match take_byte(input, "gap reason")? {
            1 => Self::Trimmed,
            2 => Self::Recreated,
            3 => Self::Unknown,
            4 => Self::ForeignCursor,
            found => {
                return Err(DecodeError::Variant {
                    what: "gap reason",
                    found,
                });
            }
        })
    }
}

impl Codec for Gap {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            subject,
            next,
            reason,
            revision,
        } = self;
        subject.put(out);
        next.put(out);
        reason.put(out);
        revision.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            subject: Interest::take(input)?,
            next: Codec::take(input)?,
            reason: GapReason::take(input)?,
            revision: Revision::take(input)?,
        })
    }
}

impl<E: Codec> Codec for Item<E> {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Event(event) => {
                1_u8.put(out);
                event.put(out);
            }
            Self::Gap(gap) => {
                2_u8.put(out);
                gap.put(out);
            }
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_byte(input, "item")? {
            1 => E::take(input).map(Self::Event),
            2 => Gap::take(input).map(Self::Gap),
            found => Err(DecodeError::Variant {
                what: "item",
                found,
            }),
        }
    }
}

impl<E: Codec> Codec for Next<E> {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::NotHeld => 1_u8.put(out),
            Self::Ahead { head } => {
                2_u8.put(out);
                head.put(out);
            }
            Self::Items {
                items,
                through,
                more,
            } => {
                3_u8.put(out);
                items.put(out);
                through.put(out);
                more.put(out);
            }
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        match take_byte(input, "next")? {
            1 => Ok(Self::NotHeld),
            2 => Ok(Self::Ahead {
                head: Revision::take(input)?,
            }),
            3 => Ok(Self::Items {
                items: Vec::take(input)?,
                through: Revision::take(input)?,
                more: take_flag(input, "more")?,
            }),
            found => Err(DecodeError::Variant {
                what: "next",
                found,
            }),
        }
    }
}

impl Codec for Budget {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            items,
            bytes,
            scanned,
        } = self;
        for bound in [items, bytes, scanned] {
            put_number(*bound as u64, out);
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let mut bound = || take_bounded(input, "budget", usize::MAX);
        Ok(Self {
            items: bound()?,
            bytes: bound()?,
            scanned: bound()?,
        })
    }
}

impl Codec for ChannelInfo {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            name,
            first_offset,
            next_offset,
            events,
            bytes,
            last_time,
        } = self;
        name.put(out);
        first_offset.put(out);
        next_offset.put(out);
        events.put(out);
        bytes.put(out);
        last_time.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            name: ChannelName::take(input)?,
            first_offset: Offset::take(input)?,
            next_offset: Offset::take(input)?,
            events: take_number(input, "events")?,
            bytes: take_number(input, "bytes")?,
            last_time: Codec::take(input)?,
        })
    }
}

impl Codec for ChannelPage {
    fn put(&self, out: &mut BytesMut) {
        let Self { channels, more } = self;
        channels.put(out);
        more.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            channels: Vec::take(input)?,
            more: take_flag(input, "more")?,
        })
    }
}
