//! How fast a shard applies and is read, what an empty channel weighs, and how long freezing a view takes.
//!
//! Prints figures and judges none: `cargo bench -p halley-shard --bench apply_and_read`, on a quiet machine.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark measures time and memory, and prints them"
)]

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use halley_shard::{
    Budget, ChannelName, ChannelPattern, Command, Content, Interest, Next, Origin, ProducerId,
    Publication, Reader, Retention, Revision, Selection, Settings, Shard, Stamp, Time,
};

/// Channels of a full shard.
const CHANNELS_FULL: u64 = 1_000_000;

fn channel(index: u64) -> ChannelName {
    ChannelName::parse(&format!("/bench/channel-{index:07}")).unwrap()
}

fn publish(sequence: u64, channels: impl Iterator<Item = ChannelName>, data: &Bytes) -> Command {
    let producer = ProducerId([1; 16]);
    let stamp = Stamp {
        producer,
        sequence,
        previous: None,
        origin: Origin::Node,
    };
    let content = Content {
        content_type: "application/json".into(),
        data: data.clone(),
        ..Content::default()
    };
    let publication = |channel| Publication {
        channel,
        content: content.clone(),
        key: None,
    };
    Command::Publish {
        stamp,
        publications: channels.map(publication).collect(),
    }
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// A shard after `count` commands of `batch` events of 128 bytes over 1,000 channels, whose windows are full.
fn measure_apply(count: u64, batch: u64) -> Shard {
    let data = Bytes::from(vec![b'x'; 128]);
    let names: Vec<_> = (0..1_000).map(channel).collect();
    let retention = Retention {
        events_max: 100,
        ..Retention::default()
    };
    let mut shard = Shard::new(Settings {
        retention,
        ..Settings::default()
    });
    let mut next = 0_usize;
    let mut command = |sequence| {
        let channels = (0..batch).map(|_| {
            next += 1;
            names[next % names.len()].clone()
        });
        publish(sequence, channels, &data)
    };
    let warm = 200_000 / batch;
    for sequence in 1..=warm {
        shard.apply(Time::new(sequence), command(sequence));
    }
    let commands: Vec<_> = (warm + 1..=warm + count).map(command).collect();
    let begin = Instant::now();
    for (index, command) in commands.into_iter().enumerate() {
        black_box(shard.apply(Time::new(index as u64), command));
    }
    let rate = per_second((count * batch) as usize, begin.elapsed());
    println!("apply, 1,000 channels, 128 B, {batch} events a command: {rate:.0} events/s");
    shard
}

fn measure_reading(shard: &Shard, what: &str, selection: &Selection) {
    let windows = shard.windows();
    let budget = Budget {
        items: 100,
        bytes: 1 << 20,
        scanned: 10_000,
    };
    let mut given = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        let mut after = Revision::ZERO;
        while let Next::Items {
            items,
            through,
            more,
        } = Reader::next(windows, selection, after, budget)
        {
            given += items.len();
            after = through;
            if !more {
                break;
            }
        }
    }
    let rate = per_second(given, begin.elapsed());
    println!("read, {what}, 100 items a reading: {rate:.0} events/s");

    let (head, mut asked) = (windows.head(), 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        black_box(Reader::next(windows, selection, head, budget));
        asked += 1;
    }
    let rate = per_second(asked, begin.elapsed());
    println!("read, {what}, at the head: {rate:.0} readings/s");
}

/// Resident bytes of this process.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// A full shard of channels that have lost all their events.
fn measure_empty_channels() -> Shard {
    let retention = Retention {
        events_max: 0,
        ..Retention::default()
    };
    let mut shard = Shard::new(Settings {
        retention,
        ..Settings::default()
    });
    let data = Bytes::from_static(b"{}");
    let before = resident_bytes();
    for sequence in 0..CHANNELS_FULL / 500 {
        let channels = (sequence * 500..(sequence + 1) * 500).map(channel);
        shard.apply(Time::new(sequence), publish(sequence + 1, channels, &data));
    }
    // The answers remembered for their publishers are no part of a channel: they are bounded by themselves.
    shard.apply(Time::new(u64::MAX / 2), Command::Tick);
    let bytes = resident_bytes().saturating_sub(before);
    let count = shard.windows().len() as u64;
    println!(
        "memory, {count} empty channels, names of 22 B: {} bytes each",
        bytes / count
    );
    shard
}

fn measure_freezing(shard: &Shard) {
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let begin = Instant::now();
            let view = black_box(shard.clone());
            let elapsed = begin.elapsed();
            drop(view);
            elapsed
        })
        .collect();
    times.sort_unstable();
    println!(
        "freeze, {} channels: {:?} (median of 101)",
        shard.windows().len(),
        times[50]
    );
}

/// What writing costs while views are frozen every so often.
fn measure_writing_while_frozen(mut shard: Shard) {
    let data = Bytes::from(vec![b'x'; 128]);
    let count = 20_000_u64;
    let commands: Vec<_> = (0..count)
        .map(|index| {
            let name = channel(index.wrapping_mul(7_919) % CHANNELS_FULL);
            publish(10_000_000 + index, std::iter::once(name), &data)
        })
        .collect();
    let view = shard.clone();
    let begin = Instant::now();
    for command in commands {
        black_box(shard.apply(Time::ZERO, command));
    }
    let rate = per_second(count as usize, begin.elapsed());
    println!("apply, {CHANNELS_FULL} channels, a view just frozen: {rate:.0} events/s");
    drop(view);
}

fn main() {
    // First, while nothing has been freed that memory could be taken from.
    let full = measure_empty_channels();
    measure_freezing(&full);
    measure_writing_while_frozen(full);

    measure_apply(300_000, 1);
    let shard = measure_apply(3_000, 100);
    let one = |index| Interest::Channel(channel(index));
    measure_reading(&shard, "1 channel", &Selection::new([one(7)]));
    measure_reading(&shard, "16 channels", &Selection::new((0..16).map(one)));
    let pattern = Interest::Pattern(ChannelPattern::parse("/bench/*").unwrap());
    measure_reading(&shard, "a pattern", &Selection::new([pattern]));
}
