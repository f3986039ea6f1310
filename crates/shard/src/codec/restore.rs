//! Snapshots of a whole shard, read: the mirror of [`super::snapshot`].
//!
//! Invariant: what comes back has every invariant that the state's own code relies on, whatever the bytes
//! claim; a snapshot of the result is the same bytes again.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Codec, DecodeError, Form,
    event::take_event_content,
    primitive::{reserve, take_count, take_fixed, take_flag, take_number},
};
use crate::{
    ChannelName, Event, Floor, Forgotten, IdempotencyKey, Offset, ProducerId, Published, Reply,
    Revision, Settings, Shard, Time,
    cow::{Keyed, Ordered},
    dedupe::{Answer, KeyId, Producer, results},
    event::Place,
    windows::{Tombstone, Tombstones},
};

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 8;

/// The state that a snapshot holds; its chunks may have been cut anywhere, `bytes` are all of them.
///
/// # Errors
///
/// [`DecodeError`] for damaged bytes and anything that [`super::encode_snapshot`] does not make.
pub fn decode_snapshot(bytes: &Bytes) -> Result<Shard, DecodeError> {
    let what = Form::SNAPSHOT.what;
    let mut input = bytes.clone();
    // A newer version says so, rather than being called damaged.
    Form::SNAPSHOT.open(&mut input)?;
    let end = input
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .ok_or(DecodeError::Ended { what })?;
    let found = input.split_off(end).get_u64_le();
    let computed = xxh3_64(&bytes[..bytes.len() - CHECKSUM_BYTES]);
    if found != computed {
        return Err(DecodeError::Checksum {
            what,
            found,
            computed,
        });
    }
    let shard = take_shard(&mut input)?;
    Form::SNAPSHOT.close(&input)?;
    Ok(shard)
}

fn take_shard(input: &mut Bytes) -> Result<Shard, DecodeError> {
    let mut shard = Shard::new(Settings::take(input)?);
    shard.time = Time::take(input)?;
    for scan in &mut shard.expiry.0 {
        scan.through = Revision::take(input)?;
    }
    let head = Revision::take(input)?;
    shard.windows.advance(head);
    shard.windows.forget(Forgotten::take(input)?);
    take_channels(input, &mut shard)?;
    take_tombstones(input, &mut shard)?;
    take_keys(input, &mut shard)?;
    take_producers(input, &mut shard)?;
    Ok(shard)
}

fn take_channels(input: &mut Bytes, shard: &mut Shard) -> Result<(), DecodeError> {
    let count = take_count(input, "channels")?;
    let (mut events, mut floors, mut last) = (0, 0, None);
    for _ in 0..count {
        let name = ChannelName::take(input)?;
        let place = (name.hash64(), name.clone());
        ensure(
            last.as_ref().is_none_or(|last| *last < place),
            "order of channels",
        )?;
        last = Some(place);
        let floor = Floor::take(input)?;
        let window = take_events(input, &name, floor, shard.windows.head())?;
        events += window.len();
        floors += usize::from(floor.revision > Revision::ZERO);
        if window.is_empty() {
            shard.empties.insert(floor.revision.get(), name.clone());
        }
        shard.windows.insert(name, floor, window);
    }
    // One revision is one event's: else the index would have lost some.
    ensure(
        shard.windows.events_after(Revision::ZERO).count() == events,
        "revisions of events",
    )?;
    ensure(
        shard.windows.floors_after(Revision::ZERO).count() == floors,
        "revisions of floors",
    )
}

fn take_events(
    input: &mut Bytes,
    name: &ChannelName,
    floor: Floor,
    head: Revision,
) -> Result<Vec<Arc<Event>>, DecodeError> {
    let count = take_count(input, "events")?;
    let mut events = reserve(count, input);
    let (mut offset, mut revision, mut time) = (floor.offset.get(), floor.revision.get(), 0);
    ensure(floor.revision <= head, "floor")?;
    for _ in 0..count {
        offset = later(offset, 1, "offset")?;
        revision = rising(revision, take_number(input, "revision")?, "revision")?;
        ensure(revision <= head.get(), "revision")?;
        time = later(time, take_number(input, "time")?, "time")?;
        let place = Place {
            channel: name.clone(),
            offset: Offset::new(offset),
            revision: Revision::new(revision),
            time: Time::new(time),
            recreated: take_flag(input, "recreated")?,
        };
        events.push(Arc::new(take_event_content(input, place)?));
    }
    Ok(events)
}

fn take_tombstones(input: &mut Bytes, shard: &mut Shard) -> Result<(), DecodeError> {
    const WHAT: &str = "tombstones";
    shard.graves.made = take_number(input, WHAT)?;
    let count = take_count(input, WHAT)?;
    let Tombstones::All(stones) = shard.windows.tombstones_mut() else {
        unreachable!("a shard's copy is a complete one");
    };
    let mut age = 0;
    for _ in 0..count {
        age = rising(
            age,
            take_number(input, "age of a tombstone")?,
            "age of a tombstone",
        )?;
        let hash = take_fixed(input, "hash of a tombstone")?;
        let stone = Tombstone {
            hash,
            floor: Floor::take(input)?,
            age,
        };
        ensure(stones.insert(stone).is_none(), "hash of a tombstone")?;
        shard.graves.by_age.insert(age, hash);
    }
    ensure(age <= shard.graves.made, "age of a tombstone")
}

fn take_keys(input: &mut Bytes, shard: &mut Shard) -> Result<(), DecodeError> {
    let mut last = 0;
    for _ in 0..take_count(input, "keys")? {
        let key = IdempotencyKey::take(input)?;
        let id = KeyId::new(key, ChannelName::take(input)?);
        let (low, high) = (
            take_fixed(input, "fingerprint")?,
            take_fixed(input, "fingerprint")?,
        );
        let published = Published::take(input)?;
        ensure(published.revision.get() > last, "order of keys")?;
        last = published.revision.get();
        shard
            .keys
            .put(id, u128::from(low) | u128::from(high) << 64, published);
    }
    Ok(())
}

fn take_producers(input: &mut Bytes, shard: &mut Shard) -> Result<(), DecodeError> {
    let mut last = None;
    for _ in 0..take_count(input, "producers")? {
        let producer = Arc::new(take_producer(input)?);
        let place = (Keyed::hash(&producer), producer.id);
        ensure(last.is_none_or(|last| last < place), "order of producers")?;
        last = Some(place);
        shard.producers.clients += usize::from(producer.client);
        shard.producers.all.insert(producer);
    }
    Ok(())
}

fn take_producer(input: &mut Bytes) -> Result<Producer, DecodeError> {
    let mut producer = Producer {
        id: ProducerId::take(input)?,
        client: take_flag(input, "client")?,
        answers: Ordered::new(),
        results: 0,
        stale: take_number(input, "stale sequence")?,
        touched: Time::take(input)?,
    };
    let mut sequence = 0;
    for index in 0..take_count(input, "answers")? {
        let step = take_number(input, "sequence")?;
        // The lowest may be numbered zero.
        sequence = if index == 0 {
            step
        } else {
            rising(sequence, step, "sequence")?
        };
        let submission = Codec::take(input)?;
        let answer = Answer {
            submission,
            reply: Reply::take(input)?,
        };
        producer.results += results(&answer.reply);
        producer.answers.insert(sequence, answer);
    }
    Ok(producer)
}

fn ensure(holds: bool, what: &'static str) -> Result<(), DecodeError> {
    if holds {
        Ok(())
    } else {
        Err(DecodeError::Inconsistent { what })
    }
}

fn later(before: u64, step: u64, what: &'static str) -> Result<u64, DecodeError> {
    before
        .checked_add(step)
        .ok_or(DecodeError::Inconsistent { what })
}

fn rising(before: u64, step: u64, what: &'static str) -> Result<u64, DecodeError> {
    ensure(step > 0, what)?;
    later(before, step, what)
}
