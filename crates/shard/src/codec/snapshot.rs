//! Snapshots of a whole shard, written: in order settings and time, channels with their events, tombstones,
//! keys, producers, and a checksum (xxh3-64 of everything before it, little-endian).
//!
//! Invariant: only the contents of a state decide its bytes, never how it came about: everything is written
//! in the order of hashes or numbers, and what follows from the rest is left out. [`super::restore`] reads
//! what stands here; the two change together.

use std::{iter, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use super::{Codec, Form, event::put_event_content, primitive::put_number};
use crate::{
    ChannelName, Event, Floor, Revision, Shard, Time, Window,
    dedupe::{Answer, Key, Producer},
    windows::{Tombstone, Tombstones},
};

/// Bytes after which a chunk is given out; one record more at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// The snapshot of a frozen view, as chunks of about 64 KiB to be written one after another; equal states
/// give equal bytes. Made as it is asked for: no more than a chunk is in memory.
pub fn encode_snapshot(view: &Shard) -> impl Iterator<Item = Bytes> + '_ {
    let buffer = BytesMut::with_capacity(CHUNK_BYTES);
    Chunks {
        records: records(view),
        buffer,
        checksum: Xxh3::new(),
        ended: false,
    }
}

/// The least that is written at once.
enum Record<'a> {
    Head(&'a Shard),
    Channel(&'a ChannelName, &'a Window<Arc<Event>>),
    /// An event, behind another of its channel or behind the floor.
    Event {
        after: (Revision, Time),
        event: &'a Event,
    },
    Tombstones {
        made: u64,
        count: usize,
    },
    Tombstone {
        after: u64,
        stone: &'a Tombstone,
    },
    Keys {
        count: usize,
    },
    Key(&'a Key),
    Producers {
        count: usize,
    },
    Producer(&'a Producer),
    /// An answer, behind another of its producer or behind zero.
    Answer {
        after: u64,
        sequence: u64,
        answer: &'a Answer,
    },
}

struct Chunks<I> {
    records: I,
    buffer: BytesMut,
    checksum: Xxh3,
    ended: bool,
}

impl<'a, I: Iterator<Item = Record<'a>>> Iterator for Chunks<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        while self.buffer.len() < CHUNK_BYTES && !self.ended {
            match self.records.next() {
                Some(record) => record.put(&mut self.buffer),
                None => self.ended = true,
            }
        }
        self.checksum.update(&self.buffer);
        if self.ended {
            self.buffer.put_u64_le(self.checksum.digest());
        }
        let chunk = self.buffer.split().freeze();
        self.buffer.reserve(CHUNK_BYTES);
        Some(chunk)
    }
}

fn records(view: &Shard) -> impl Iterator<Item = Record<'_>> {
    let (graves, keys, producers) = (&view.graves, &view.keys.by_revision, &view.producers.all);
    let tombstones = Record::Tombstones {
        made: graves.made,
        count: graves.by_age.len(),
    };
    iter::once(Record::Head(view))
        .chain(
            view.windows
                .all()
                .flat_map(|(name, window)| channel(name, window)),
        )
        .chain(iter::once(tombstones))
        .chain(stones(view))
        .chain(iter::once(Record::Keys { count: keys.len() }))
        .chain(keys.after(0).map(|(_, key)| Record::Key(key)))
        .chain(iter::once(Record::Producers {
            count: producers.len(),
        }))
        .chain(producers.iter().flat_map(|producer| answers(producer)))
}

fn channel<'a>(
    name: &'a ChannelName,
    window: &'a Window<Arc<Event>>,
) -> impl Iterator<Item = Record<'a>> {
    let places = window
        .events()
        .map(|event| (event.revision(), event.time()));
    let places = iter::once((window.floor().revision, Time::ZERO)).chain(places);
    let events = places
        .zip(window.events())
        .map(|(after, event)| Record::Event { after, event });
    iter::once(Record::Channel(name, window)).chain(events)
}

fn stones(view: &Shard) -> impl Iterator<Item = Record<'_>> {
    let Tombstones::All(stones) = view.windows.tombstones() else {
        unreachable!("a shard's copy is a complete one");
    };
    let stones = view
        .graves
        .by_age
        .after(0)
        .map(|(_, hash)| stones.get(*hash, hash).expect("every grave has its stone"));
    let ages = view.graves.by_age.after(0).map(|(age, _)| age);
    iter::once(0)
        .chain(ages)
        .zip(stones)
        .map(|(after, stone)| Record::Tombstone { after, stone })
}

fn answers(producer: &Producer) -> impl Iterator<Item = Record<'_>> {
    // Sequences may begin at zero, so that the lowest stands alone.
    let lowest = producer.answers.get(0).map(|answer| (0, answer));
    let answers = || lowest.into_iter().chain(producer.answers.after(0));
    let sequences = iter::once(0).chain(answers().map(|(sequence, _)| sequence));
    let records = sequences
        .zip(answers())
        .map(|(after, (sequence, answer))| Record::Answer {
            after,
            sequence,
            answer,
        });
    iter::once(Record::Producer(producer)).chain(records)
}

impl Record<'_> {
    fn put(self, out: &mut BytesMut) {
        match self {
            Self::Head(shard) => put_head(shard, out),
            Self::Channel(name, window) => {
                name.put(out);
                window.floor().put(out);
                put_number(window.events().len() as u64, out);
            }
            Self::Event {
                after: (revision, time),
                event,
            } => {
                put_number(event.revision().get() - revision.get(), out);
                put_number(event.time().get() - time.get(), out);
                event.recreated().put(out);
                put_event_content(event, out);
            }
            Self::Tombstones { made, count } => {
                made.put(out);
                put_number(count as u64, out);
            }
            Self::Tombstone {
                after,
                stone: Tombstone { hash, floor, age },
            } => {
                put_number(age - after, out);
                out.put_u64_le(*hash);
                Floor::put(floor, out);
            }
            Self::Keys { count } | Self::Producers { count } => put_number(count as u64, out),
            Self::Key(Key {
                id,
                fingerprint,
                published,
                ..
            }) => {
                id.key.put(out);
                id.channel.put(out);
                out.put_u128_le(*fingerprint);
                published.put(out);
            }
            Self::Producer(producer) => put_producer(producer, out),
            Self::Answer {
                after,
                sequence,
                answer: Answer { reply, submission },
            } => {
                put_number(sequence - after, out);
                submission.put(out);
                reply.put(out);
            }
        }
    }
}

fn put_head(shard: &Shard, out: &mut BytesMut) {
    let windows = &shard.windows;
    Form::SNAPSHOT.version.put(out);
    shard.settings.put(out);
    shard.time.put(out);
    for scan in &shard.expiry.0 {
        scan.through.put(out);
    }
    windows.head().put(out);
    windows.forgotten().put(out);
    put_number(windows.len() as u64, out);
}

fn put_producer(producer: &Producer, out: &mut BytesMut) {
    // How many results the answers have follows from them.
    let Producer {
        id,
        client,
        answers,
        results: _,
        stale,
        touched,
    } = producer;
    id.put(out);
    client.put(out);
    stale.put(out);
    touched.put(out);
    put_number(answers.len() as u64, out);
}

#[cfg(test)]
mod tests;
