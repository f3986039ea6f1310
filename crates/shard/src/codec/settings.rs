//! Settings of a shard.

use bytes::{Bytes, BytesMut};

use super::{Codec, DecodeError};
use crate::{Interest, Retention, RetentionRule, Settings};

impl Codec for Retention {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            events_max,
            bytes_max,
            age_max_ms,
        } = self;
        events_max.put(out);
        bytes_max.put(out);
        age_max_ms.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            events_max: u32::take(input)?,
            bytes_max: u64::take(input)?,
            age_max_ms: Codec::take(input)?,
        })
    }
}

impl Codec for RetentionRule {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            channels,
            retention,
        } = self;
        channels.put(out);
        retention.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            channels: Interest::take(input)?,
            retention: Retention::take(input)?,
        })
    }
}

impl Codec for Settings {
    fn put(&self, out: &mut BytesMut) {
        let Self {
            rules,
            retention,
            shard_bytes_max,
            channels_max,
        } = self;
        rules.put(out);
        retention.put(out);
        shard_bytes_max.put(out);
        channels_max.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            rules: Vec::take(input)?,
            retention: Retention::take(input)?,
            shard_bytes_max: u64::take(input)?,
            channels_max: u32::take(input)?,
        })
    }
}
