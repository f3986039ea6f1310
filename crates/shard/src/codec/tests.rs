//! Properties of the codec: everything comes back, and hostile bytes cost a refusal only.

use std::{fmt::Debug, sync::Arc};

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    Change, Changes, ChannelInfo, ChannelName, ChannelPage, ChannelPattern, Command, Content,
    Event, Floor, Forgotten, Gap, GapReason, IdempotencyKey, Interest, Item, Next, Offset, Origin,
    ProducerId, Publication, Published, Refusal, Reply, Retention, RetentionRule, Revision,
    Settings, Stamp, Time, limits,
};

fn names() -> impl Strategy<Value = ChannelName> {
    "(/[a-z0-9é日]{1,6}){1,4}".prop_filter_map("reserved", |text| ChannelName::parse(&text).ok())
}

fn interests() -> impl Strategy<Value = Interest> {
    let patterns = "(/[a-z]{1,6}){0,3}/\\*{1,2}";
    let patterns = patterns.prop_filter_map("reserved", |text| ChannelPattern::parse(&text).ok());
    prop_oneof![
        names().prop_map(Interest::Channel),
        patterns.prop_map(Interest::Pattern)
    ]
}

fn contents() -> impl Strategy<Value = Content> {
    let texts = (option::of(".{1,8}"), ".{0,16}", option::of(".{1,8}"));
    let headers = vec((".{0,8}", ".{0,8}"), 0..=limits::HEADERS_MAX);
    (texts, headers, vec(any::<u8>(), 0..64)).prop_map(
        |((event_type, content_type, id), headers, data)| {
            let data = data.into();
            Content {
                event_type,
                content_type,
                id,
                headers,
                data,
            }
        },
    )
}

fn keys() -> impl Strategy<Value = IdempotencyKey> {
    (".{0,8}", ".{0,8}").prop_map(|(scope, key)| IdempotencyKey { scope, key })
}

fn stamps() -> impl Strategy<Value = Stamp> {
    let client = any::<u64>().prop_map(|submission| Origin::Client { submission });
    let origins = prop_oneof![Just(Origin::Node), client];
    (
        any::<[u8; 16]>(),
        any::<u64>(),
        any::<Option<u64>>(),
        origins,
    )
        .prop_map(|(producer, sequence, previous, origin)| {
            let producer = ProducerId(producer);
            Stamp {
                producer,
                sequence,
                previous,
                origin,
            }
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    let retention = || {
        any::<(u32, u64, Option<u64>)>().prop_map(|(events_max, bytes_max, age_max_ms)| Retention {
            events_max,
            bytes_max,
            age_max_ms,
        })
    };
    let rule = (interests(), retention()).prop_map(|(channels, retention)| RetentionRule {
        channels,
        retention,
    });
    (vec(rule, 0..4), retention(), any::<(u64, u32)>()).prop_map(
        |(rules, retention, (shard_bytes_max, channels_max))| Settings {
            rules,
            retention,
            shard_bytes_max,
            channels_max,
        },
    )
}

fn commands() -> impl Strategy<Value = Command> {
    let publication =
        (names(), contents(), option::of(keys())).prop_map(|(channel, content, key)| Publication {
            channel,
            content,
            key,
        });
    prop_oneof![
        4 => (stamps(), vec(publication, 0..6))
            .prop_map(|(stamp, publications)| Command::Publish { stamp, publications }),
        1 => (stamps(), names()).prop_map(|(stamp, channel)| Command::Delete { stamp, channel }),
        1 => settings().prop_map(|settings| Command::Configure { settings }),
        1 => Just(Command::Tick),
    ]
}

fn events() -> impl Strategy<Value = Arc<Event>> {
    (names(), any::<(u64, u64, u64, bool)>(), contents()).prop_map(|(name, place, content)| {
        let (offset, revision, time, recreated) = place;
        let (offset, revision) = (Offset::new(offset), Revision::new(revision));
        Arc::new(Event::new(
            name,
            offset,
            revision,
            Time::new(time),
            recreated,
            &content,
        ))
    })
}

fn floors() -> impl Strategy<Value = Floor> {
    any::<(u64, u64)>().prop_map(|(offset, revision)| Floor {
        offset: Offset::new(offset),
        revision: Revision::new(revision),
    })
}

fn changes() -> impl Strategy<Value = Changes> {
    let forgotten = any::<(u64, u64, u64)>().prop_map(|(revision, offset, erased)| {
        let (revision, erased) = (Revision::new(revision), Revision::new(erased));
        Change::Forgotten(Forgotten {
            revision,
            offset: Offset::new(offset),
            erased,
        })
    });
    let placed = || (names(), floors());
    let change = prop_oneof![
        events().prop_map(Change::Event),
        forgotten,
        placed().prop_map(|(channel, floor)| Change::Opened { channel, floor }),
        placed().prop_map(|(channel, floor)| Change::Trimmed { channel, floor }),
        placed().prop_map(|(channel, floor)| Change::Erased { channel, floor }),
    ];
    (any::<u64>(), vec(change, 0..6)).prop_map(|(through, list)| Changes {
        through: Revision::new(through),
        list,
    })
}

fn refusals() -> impl Strategy<Value = Refusal> {
    any::<(u64, u64, u8)>().prop_map(|(a, b, variant)| match variant % 5 {
        0 => Refusal::OutOfSequence {
            sequence: a,
            previous: b,
        },
        1 => Refusal::StaleKey {
            sequence: a,
            oldest: b,
        },
        2 => Refusal::KeyConflict {
            offset: Offset::new(a),
        },
        3 => Refusal::Overloaded {
            what: "bytes of idempotency keys",
            value: a,
            limit: b,
        },
        _ => Refusal::Aborted,
    })
}

fn replies() -> impl Strategy<Value = Reply> {
    let published =
        any::<(u64, u64, u64, bool)>().prop_map(|(offset, revision, time, duplicate)| {
            let (offset, revision) = (Offset::new(offset), Revision::new(revision));
            Published {
                offset,
                revision,
                time: Time::new(time),
                duplicate,
            }
        });
    let result = prop_oneof![published.prop_map(Ok), refusals().prop_map(Err)];
    prop_oneof![
        vec(result, 0..6).prop_map(Reply::Published),
        any::<(bool, u64)>().prop_map(|(existed, revision)| {
            Reply::Deleted {
                existed,
                revision: Revision::new(revision),
            }
        }),
        Just(Reply::Done),
        refusals().prop_map(Reply::Refused),
    ]
}

fn answers() -> impl Strategy<Value = Next<Arc<Event>>> {
    let gap = (interests(), any::<(Option<u64>, u64, u8)>()).prop_map(|(subject, numbers)| {
        let (next, revision, reason) = numbers;
        let reason = match reason % 4 {
            0 => GapReason::Trimmed,
            1 => GapReason::Recreated,
            2 => GapReason::Unknown,
            _ => GapReason::ForeignCursor,
        };
        let revision = Revision::new(revision);
        Item::Gap(Gap {
            subject,
            next: next.map(Offset::new),
            reason,
            revision,
        })
    });
    let item = prop_oneof![events().prop_map(Item::Event), gap];
    prop_oneof![
        Just(Next::NotHeld),
        any::<u64>().prop_map(|head| Next::Ahead {
            head: Revision::new(head)
        }),
        (vec(item, 0..5), any::<(u64, bool)>()).prop_map(|(items, (through, more))| {
            Next::Items {
                items,
                through: Revision::new(through),
                more,
            }
        }),
    ]
}

fn pages() -> impl Strategy<Value = ChannelPage> {
    let info = (names(), any::<(u64, u64, u64, u64, Option<u64>)>()).prop_map(|(name, numbers)| {
        let (first, next, events, bytes, last) = numbers;
        let (first_offset, next_offset) = (Offset::new(first), Offset::new(next));
        let last_time = last.map(Time::new);
        ChannelInfo {
            name,
            first_offset,
            next_offset,
            events,
            bytes,
            last_time,
        }
    });
    (vec(info, 0..5), any::<bool>()).prop_map(|(channels, more)| ChannelPage { channels, more })
}

/// A few changes to some bytes: a byte replaced, inserted or removed, or the end cut off.
pub(super) fn mutate(bytes: &[u8], edits: &[(u8, usize, u8)]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for &(kind, place, byte) in edits {
        let place = place % (bytes.len() + 1);
        match kind % 4 {
            0 if place < bytes.len() => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            2 if place < bytes.len() => drop(bytes.remove(place)),
            _ => bytes.truncate(place),
        }
    }
    bytes.into()
}

fn edits() -> impl Strategy<Value = Vec<(u8, usize, u8)>> {
    vec(any::<(u8, usize, u8)>(), 1..4)
}

/// Decodes `bytes` as a `T`; what decodes must encode to the bytes that were taken.
fn survives<T: Codec>(bytes: &Bytes) {
    let mut input = bytes.clone();
    if let Ok(value) = T::take(&mut input) {
        let mut out = BytesMut::new();
        value.put(&mut out);
        assert_eq!(
            out,
            bytes[..bytes.len() - input.len()],
            "one value has one encoding"
        );
    }
}

fn comes_back<T: Codec + PartialEq + Debug>(value: &T, edits: &[(u8, usize, u8)]) {
    let mut out = BytesMut::new();
    value.put(&mut out);
    let bytes = out.freeze();
    let mut input = bytes.clone();
    assert_eq!(T::take(&mut input).as_ref(), Ok(value));
    assert!(input.is_empty());
    for end in 0..bytes.len() {
        assert!(T::take(&mut bytes.slice(..end)).is_err(), "cut at {end}");
    }
    survives::<T>(&mutate(&bytes, edits));
}

fn command_survives(bytes: &Bytes) {
    if let Ok(command) = decode_command(bytes) {
        assert_eq!(encode_command(&command), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn commands_come_back(command in commands(), edits in edits()) {
        let bytes = encode_command(&command);
        prop_assert_eq!(decode_command(&bytes), Ok(command));
        for end in 0..bytes.len() {
            prop_assert!(decode_command(&bytes.slice(..end)).is_err());
        }
        command_survives(&mutate(&bytes, &edits));
    }

    #[test]
    fn entries_come_back(time: u64, commands in vec(vec(any::<u8>(), 0..40), 0..5), edits in edits()) {
        let commands: Vec<Bytes> = commands.into_iter().map(Bytes::from).collect();
        let bytes = encode_entry(Time::new(time), &commands);
        prop_assert_eq!(decode_entry(&bytes), Ok((Time::new(time), commands)));
        let mutated = mutate(&bytes, &edits);
        if let Ok((time, commands)) = decode_entry(&mutated) {
            prop_assert_eq!(encode_entry(time, &commands), mutated);
        }
    }

    #[test]
    fn replies_come_back(reply in replies(), edits in edits()) {
        let bytes = encode_reply(&reply);
        prop_assert_eq!(decode_reply(&bytes), Ok(reply.clone()));
        comes_back(&reply, &edits);
    }

    #[test]
    fn parts_come_back(
        changes in changes(),
        answer in answers(),
        page in pages(),
        settings in settings(),
        edits in edits(),
    ) {
        comes_back(&changes, &edits);
        comes_back(&answer, &edits);
        comes_back(&page, &edits);
        comes_back(&settings, &edits);
    }

    #[test]
    fn hostile_bytes_are_survived(bytes in vec(any::<u8>(), 0..200), variant in 0_u8..6) {
        let bytes = Bytes::from(bytes);
        survives::<Changes>(&bytes);
        survives::<Next<Arc<Event>>>(&bytes);
        survives::<Reply>(&bytes);
        survives::<ChannelPage>(&bytes);
        survives::<Settings>(&bytes);
        let behind = |first: u8| Bytes::from([&[first, variant], &bytes[..]].concat());
        command_survives(&behind(0x11));
        let _ = decode_entry(&behind(0x21));
        let _ = decode_reply(&behind(0x31));
        prop_assert!(decode_snapshot(&behind(0x41)).is_err());
    }
}

#[test]
fn payloads_are_shared_with_the_commands_bytes() {
    let data = Bytes::from_static(b"some payload");
    let channel = ChannelName::parse("/a").unwrap();
    let content = Content {
        data,
        ..Content::default()
    };
    let stamp = Stamp {
        producer: ProducerId([7; 16]),
        sequence: 1,
        previous: None,
        origin: Origin::Node,
    };
    let publications = vec![Publication {
        channel,
        content,
        key: None,
    }];
    let bytes = encode_command(&Command::Publish {
        stamp,
        publications,
    });
    let Ok(Command::Publish { publications, .. }) = decode_command(&bytes) else {
        panic!("it was encoded as a publish");
    };
    let data = &publications[0].content.data;
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn errors_say_what_and_where() {
    let error = |bytes: &[u8]| {
        decode_command(&Bytes::copy_from_slice(bytes))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(b""), "command: the bytes end within it");
    assert_eq!(
        error(b"\x31\x03"),
        "command: begins with 0x31, this program knows 0x11"
    );
    assert_eq!(error(b"\x11\x09"), "command: 9 names no variant");
    assert_eq!(error(b"\x11\x04\x00"), "command: 1 bytes behind its end");
    assert_eq!(error(b"\x11\x01123"), "producer: the bytes end within it");
    assert_eq!(
        error(b"\x11\x010123456789abcdef\x80\x00"),
        "sequence: not a number of its range in its shortest form"
    );
    assert_eq!(
        error(b"\x11\x010123456789abcdef\x01\x00\x01\x81\x04"),
        "publications: 513, at most 512 allowed"
    );
    assert_eq!(
        error(b"\x11\x010123456789abcdef\x01\x00\x01\x01\x02/ "),
        "' ' (U+0020) at byte 1 is not allowed in a channel name"
    );
}

#[test]
fn a_claimed_length_allocates_nothing() {
    // A list of 2^63 elements, a text of 2^63 bytes: refused before anything is reserved for them.
    let claim = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01rest";
    assert!(Vec::<u64>::take(&mut Bytes::from_static(claim)).is_err());
    assert!(String::take(&mut Bytes::from_static(claim)).is_err());
    assert!(<Bytes as Codec>::take(&mut Bytes::from_static(claim)).is_err());
}

#[test]
fn numbers_have_one_form() {
    for value in [
        0,
        1,
        127,
        128,
        300,
        u64::from(u32::MAX),
        u64::MAX - 1,
        u64::MAX,
    ] {
        let mut out = BytesMut::new();
        value.put(&mut out);
        assert_eq!(u64::take(&mut out.freeze()), Ok(value));
    }
    let refused: [&'static [u8]; 4] = [
        b"\x80\x00",
        b"\x81\x80\x00",
        b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ];
    for bytes in refused {
        let error = DecodeError::Number { what: "u64" };
        assert_eq!(u64::take(&mut Bytes::from_static(bytes)), Err(error));
    }
    assert!(u16::take(&mut Bytes::from_static(b"\x80\x80\x04")).is_err());
}
