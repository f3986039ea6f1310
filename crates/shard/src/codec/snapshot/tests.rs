//! Properties of snapshots: equal states are equal bytes, and a state read back goes on as the original.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    ChannelPattern, Command, Content, IdempotencyKey, Interest, Origin, ProducerId, Publication,
    Retention, RetentionRule, Settings, Stamp,
    codec::{DecodeError, decode_snapshot},
};

/// Few names, keys and producers, so that random commands meet each other.
fn name(index: u8) -> ChannelName {
    ChannelName::parse(["/a", "/b/x", "/b/y", "/c/x/y", "/日本語"][usize::from(index % 5)]).unwrap()
}

fn publications() -> impl Strategy<Value = Vec<Publication>> {
    let one = any::<(u8, u8, u8)>().prop_map(|(channel, bytes, key)| Publication {
        channel: name(channel),
        content: Content {
            event_type: (bytes % 3 == 0).then(|| "type".into()),
            content_type: "text/plain".into(),
            id: (bytes % 5 == 0).then(|| format!("id-{bytes}")),
            headers: vec![("name".into(), "value".into()); usize::from(bytes % 2)],
            data: Bytes::from(vec![b'x'; bytes.into()]),
        },
        key: (key < 100).then(|| IdempotencyKey {
            scope: "scope".into(),
            key: format!("key-{}", key % 20),
        }),
    });
    vec(one, 1..4)
}

fn stamps() -> impl Strategy<Value = Stamp> {
    any::<(u8, u8, Option<u8>)>().prop_map(|(producer, sequence, submission)| {
        let origin = submission.map_or(Origin::Node, |submission| Origin::Client {
            submission: submission.into(),
        });
        let previous = (sequence % 4 == 1).then(|| u64::from(sequence / 2));
        let producer = ProducerId([producer % 4; 16]);
        Stamp {
            producer,
            sequence: u64::from(sequence / 2),
            previous,
            origin,
        }
    })
}

/// Tight bounds, so that random commands trim, erase and forget.
fn settings() -> impl Strategy<Value = Settings> {
    (
        0_u32..6,
        100_u64..1_000,
        1_u64..50_000,
        500_u64..4_000,
        1_u32..5,
    )
        .prop_map(
            |(events_max, bytes_max, age, shard_bytes_max, channels_max)| {
                let pattern = ChannelPattern::parse("/b/*").unwrap();
                let rule = |age_max_ms| Retention {
                    events_max,
                    bytes_max,
                    age_max_ms,
                };
                Settings {
                    rules: vec![RetentionRule {
                        channels: Interest::Pattern(pattern),
                        retention: rule(Some(age)),
                    }],
                    retention: rule((events_max % 2 == 0).then_some(2 * age)),
                    shard_bytes_max,
                    channels_max,
                }
            },
        )
}

/// Commands, each with the milliseconds that pass before it.
fn commands() -> impl Strategy<Value = Vec<(u64, Command)>> {
    let command = prop_oneof![
        8 => (stamps(), publications())
            .prop_map(|(stamp, publications)| Command::Publish { stamp, publications }),
        1 => (stamps(), any::<u8>())
            .prop_map(|(stamp, channel)| Command::Delete { stamp, channel: name(channel) }),
        1 => settings().prop_map(|settings| Command::Configure { settings }),
        2 => Just(Command::Tick),
    ];
    let pause = prop_oneof![9 => 0_u64..20_000, 1 => Just(700_000)];
    vec((pause, command), 0..60)
}

fn shard(settings: Settings) -> Shard {
    Shard::new(settings).with_tombstones(3)
}

fn bytes(shard: &Shard) -> Bytes {
    let chunks: Vec<Bytes> = encode_snapshot(shard).collect();
    chunks.concat().into()
}

fn apply(shard: &mut Shard, commands: &[(u64, Command)]) -> Vec<crate::Applied> {
    let each = commands.iter().cloned();
    each.map(|(pause, command)| shard.apply(Time::new(shard.time().get() + pause), command))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_state_read_back_goes_on_as_the_original(
        settings in settings(),
        before in commands(),
        behind in commands(),
    ) {
        let mut original = shard(settings.clone());
        apply(&mut original, &before);
        let snapshot = bytes(&original);
        let mut copy = decode_snapshot(&snapshot).unwrap().with_tombstones(3);
        prop_assert_eq!(&bytes(&copy), &snapshot);
        let mut anew = shard(settings);
        apply(&mut anew, &before);
        prop_assert_eq!(&bytes(&anew), &snapshot);

        let frozen = original.clone();
        prop_assert_eq!(apply(&mut original, &behind), apply(&mut copy, &behind));
        prop_assert_eq!(bytes(&original), bytes(&copy));
        prop_assert_eq!(bytes(&frozen), snapshot);
        let due = Time::new(original.time().get() + 1_000);
        prop_assert_eq!(original.is_due(due), copy.is_due(due));
    }

    #[test]
    fn hostile_snapshots_are_survived(
        settings in settings(),
        commands in commands(),
        edits in vec(any::<(u8, usize, u8)>(), 1..4),
    ) {
        let mut original = shard(settings);
        apply(&mut original, &commands);
        let snapshot = bytes(&original);
        let mutated = super::super::tests::mutate(&snapshot, &edits);
        if mutated != snapshot {
            prop_assert!(decode_snapshot(&mutated).is_err());
        }
        // A valid checksum over invalid contents.
        if mutated.len() > 8 {
            let contents = &mutated[..mutated.len() - 8];
            let checksum = xxhash_rust::xxh3::xxh3_64(contents).to_le_bytes();
            let forged = Bytes::from([contents, &checksum].concat());
            if let Ok(mut copy) = decode_snapshot(&forged) {
                prop_assert_eq!(bytes(&copy), forged);
                apply(&mut copy, &commands);
            }
        }
    }
}

#[test]
fn chunks_are_small_and_cut_anywhere() {
    let mut shard = Shard::new(Settings::default());
    let content = Content {
        data: vec![7; 10_000].into(),
        ..Content::default()
    };
    for sequence in 1..=40 {
        let publication = Publication {
            channel: name(0),
            content: content.clone(),
            key: None,
        };
        let stamp = Stamp {
            producer: ProducerId([1; 16]),
            sequence,
            previous: None,
            origin: Origin::Node,
        };
        let command = Command::Publish {
            stamp,
            publications: vec![publication],
        };
        shard.apply(Time::new(sequence), command);
    }
    let chunks: Vec<Bytes> = encode_snapshot(&shard).collect();
    assert_eq!(chunks.len(), 6);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.len() < CHUNK_BYTES + 11_000)
    );
    assert!(decode_snapshot(&chunks.concat().into()).is_ok());
}

#[test]
fn damage_is_told_from_another_version() {
    let snapshot = bytes(&Shard::new(Settings::default()));
    let with = |place: usize, byte: u8| {
        let mut damaged = snapshot.to_vec();
        damaged[place] = byte;
        decode_snapshot(&damaged.into()).unwrap_err()
    };
    assert!(matches!(
        with(0, 0x42),
        DecodeError::Version { found: 0x42, .. }
    ));
    assert!(matches!(with(1, 0xFF), DecodeError::Checksum { .. }));
    assert!(matches!(
        with(snapshot.len() - 1, 0),
        DecodeError::Checksum { .. }
    ));
    assert_eq!(
        decode_snapshot(&Bytes::new()).unwrap_err(),
        DecodeError::Ended { what: "snapshot" }
    );
}
