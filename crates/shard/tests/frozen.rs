//! Equal commands make equal states, to the byte of the snapshot, whoever shares them meanwhile; a frozen
//! view never moves; a state that was written down and read back goes on as if nothing had happened.
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::{Bytes, BytesMut};
use halley_shard::{
    ChannelName, Command, Content, IdempotencyKey, Origin, ProducerId, Publication, Retention,
    Settings, Shard, Stamp, Time,
    codec::{decode_snapshot, encode_snapshot},
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

/// A command in small numbers.
#[derive(Clone, Debug)]
struct Step {
    later: u64,
    channels: Vec<u8>,
    kind: u8,
    /// Whose command, and which of theirs: repeats occur.
    producer: u8,
    sequence: u64,
    previous: Option<u64>,
    submission: Option<u64>,
    key: Option<u8>,
    size: usize,
    /// A view is frozen, and kept, before this command.
    freeze: bool,
    /// The state is written down and read back before this command.
    restore: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let what = (0_u64..200_000, vec(0_u8..12, 1..5), 0_u8..24, 0_usize..64);
    let who = (
        0_u8..3,
        0_u64..40,
        proptest::option::weighted(0.3, 0_u64..40),
    );
    let how = (
        proptest::option::weighted(0.4, 0_u64..3),
        proptest::option::weighted(0.3, 0_u8..6),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.1),
    );
    (what, who, how).prop_map(|(what, who, how)| Step {
        later: what.0,
        channels: what.1,
        kind: what.2,
        size: what.3,
        producer: who.0,
        sequence: who.1,
        previous: who.2,
        submission: how.0,
        key: how.1,
        freeze: how.2,
        restore: how.3,
    })
}

fn channel(index: u8) -> ChannelName {
    ChannelName::parse(&format!("/c/{index}")).unwrap()
}

fn settings(events_max: u32) -> Settings {
    Settings {
        retention: Retention {
            events_max,
            bytes_max: 700,
            age_max_ms: Some(90_000),
        },
        channels_max: 9,
        shard_bytes_max: 3_000,
        ..Settings::default()
    }
}

fn command(step: &Step) -> Command {
    let stamp = Stamp {
        producer: ProducerId([step.producer; 16]),
        sequence: step.sequence,
        previous: step.previous,
        origin: step
            .submission
            .map_or(Origin::Node, |submission| Origin::Client { submission }),
    };
    let key = |key: u8| IdempotencyKey {
        scope: "s".into(),
        key: key.to_string(),
    };
    let publication = |index: &u8| Publication {
        channel: channel(*index),
        content: Content {
            data: Bytes::from(vec![b'.'; step.size % 3]),
            ..Content::default()
        },
        key: step.key.map(key),
    };
    match step.kind {
        0 => Command::Configure {
            settings: settings(1 + u32::from(step.producer)),
        },
        1..4 => Command::Delete {
            stamp,
            channel: channel(step.channels[0]),
        },
        4..8 => Command::Tick,
        _ => {
            let publications = step.channels.iter().map(publication).collect();
            Command::Publish {
                stamp,
                publications,
            }
        }
    }
}

fn snapshot(shard: &Shard) -> Bytes {
    let mut bytes = BytesMut::new();
    encode_snapshot(shard).for_each(|chunk| bytes.extend_from_slice(&chunk));
    bytes.freeze()
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn states_of_equal_commands_are_equal(steps in vec(step(), 1..120)) {
        let (mut alone, mut shared) = (Shard::new(settings(3)), Shard::new(settings(3)));
        let mut frozen = Vec::new();
        let mut now = 0;
        for step in &steps {
            now += step.later;
            if step.freeze {
                frozen.push((shared.clone(), snapshot(&alone)));
            }
            if step.restore {
                shared = decode_snapshot(&snapshot(&shared)).unwrap();
            }
            let (one, two) = (
                alone.apply(Time::new(now), command(step)),
                shared.apply(Time::new(now), command(step)),
            );
            prop_assert_eq!(one, two);
            prop_assert_eq!(alone.is_due(Time::new(now + 1_000)), shared.is_due(Time::new(now + 1_000)));
        }
        prop_assert_eq!(snapshot(&alone), snapshot(&shared));
        for (view, bytes) in frozen {
            prop_assert_eq!(snapshot(&view), bytes);
        }
    }

    #[test]
    fn a_tick_that_is_not_due_changes_nothing(steps in vec(step(), 1..60)) {
        let mut shard = Shard::new(settings(3));
        let mut now = 0;
        for step in &steps {
            now += step.later;
            shard.apply(Time::new(now), command(step));
            let later = now + step.later / 2;
            if !shard.is_due(Time::new(later)) {
                let mut ticked = shard.clone();
                let changes = ticked.apply(Time::new(later), Command::Tick).changes;
                prop_assert_eq!(changes.list, []);
                // But for the time itself, which a command of the same time takes out.
                let settings = shard.settings().clone();
                let mut same = shard.clone();
                same.apply(Time::new(later), Command::Configure { settings: settings.clone() });
                ticked.apply(Time::new(later), Command::Configure { settings });
                prop_assert_eq!(snapshot(&ticked), snapshot(&same));
            }
        }
    }
}
