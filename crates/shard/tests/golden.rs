//! The bytes that lie on disk and pass between nodes, held by files: a change of any of them must be meant.
//!
//! `UPDATE_GOLDEN=1 cargo test -p halley-shard --test golden` writes them anew. A file's name carries the
//! version of its form: a new version gets new files, the old ones stay as long as old bytes are read.
#![allow(
    clippy::disallowed_methods,
    reason = "golden files are read, and on demand written"
)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{fmt::Write, fs, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use halley_shard::{
    Change, Changes, ChannelInfo, ChannelName, ChannelPage, ChannelPattern, Command, Content,
    Event, Floor, Forgotten, Gap, GapReason, IdempotencyKey, Interest, Item, Next, Offset, Origin,
    ProducerId, Publication, Published, Refusal, Reply, Retention, RetentionRule, Revision,
    Settings, Shard, Stamp, Time,
    codec::{self, Codec},
};

fn channel(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn pattern(text: &str) -> Interest {
    Interest::Pattern(ChannelPattern::parse(text).unwrap())
}

/// Sixteen bytes a line, in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(16) {
        let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", line.join(" ")).unwrap();
    }
    text
}

fn unhex(text: &str) -> Bytes {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// Compares `bytes` with the file of `name`; what the file holds, as bytes.
fn golden(name: &str, bytes: &[u8]) -> Bytes {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    let path = path.with_extension("hex");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, hex(bytes)).unwrap();
    }
    let held =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(hex(bytes), held, "{name}: the bytes have changed");
    unhex(&held)
}

fn command(name: &str, command: &Command) {
    let held = golden(
        &format!("command-v1-{name}"),
        &codec::encode_command(command),
    );
    assert_eq!(codec::decode_command(&held).as_ref(), Ok(command), "{name}");
}

fn reply(name: &str, reply: &Reply) {
    let held = golden(&format!("reply-v1-{name}"), &codec::encode_reply(reply));
    assert_eq!(codec::decode_reply(&held).as_ref(), Ok(reply), "{name}");
}

fn part<T: Codec + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let mut out = BytesMut::new();
    value.put(&mut out);
    let mut held = golden(&format!("part-v1-{name}"), &out);
    assert_eq!(T::take(&mut held).as_ref(), Ok(value), "{name}");
    assert!(held.is_empty());
}

fn node_stamp() -> Stamp {
    let producer = ProducerId(*b"0123456789abcdef");
    Stamp {
        producer,
        sequence: 300,
        previous: None,
        origin: Origin::Node,
    }
}

fn client_stamp() -> Stamp {
    let origin = Origin::Client {
        submission: 0x1122_3344_5566_7788,
    };
    Stamp {
        sequence: 2,
        previous: Some(1),
        origin,
        ..node_stamp()
    }
}

fn full_content() -> Content {
    Content {
        event_type: Some("quote".into()),
        content_type: "application/json".into(),
        id: Some("id-1".into()),
        headers: vec![
            ("source".into(), "nyse".into()),
            ("größe".into(), String::new()),
        ],
        data: Bytes::from_static(br#"{"price":17}"#),
    }
}

fn settings() -> Settings {
    let short = Retention {
        events_max: 10,
        bytes_max: 4096,
        age_max_ms: Some(60_000),
    };
    let mut settings = Settings::default();
    let named = Interest::Channel(channel("/stocks/goog"));
    settings.rules.push(RetentionRule {
        channels: named,
        retention: Retention::default(),
    });
    settings.rules.push(RetentionRule {
        channels: pattern("/stocks/**"),
        retention: short,
    });
    settings
}

fn event(recreated: bool) -> Arc<Event> {
    let (offset, revision) = (Offset::new(17), Revision::new(4_711));
    let time = Time::new(1_795_219_200_123);
    Arc::new(Event::new(
        channel("/stocks/goog"),
        offset,
        revision,
        time,
        recreated,
        &full_content(),
    ))
}

fn floor() -> Floor {
    Floor {
        offset: Offset::new(16),
        revision: Revision::new(4_000),
    }
}

#[test]
fn commands() {
    let plain = Content {
        content_type: "text/plain".into(),
        ..Content::default()
    };
    let full = Publication {
        channel: channel("/stocks/goog"),
        content: full_content(),
        key: Some(IdempotencyKey {
            scope: "shop".into(),
            key: "order-7".into(),
        }),
    };
    let small = Publication {
        channel: channel("/chat/日本語"),
        content: plain,
        key: None,
    };
    let publications = vec![full, small.clone()];
    command(
        "publish",
        &Command::Publish {
            stamp: client_stamp(),
            publications,
        },
    );
    let publications = vec![small];
    command(
        "publish-by-node",
        &Command::Publish {
            stamp: node_stamp(),
            publications,
        },
    );
    command(
        "delete",
        &Command::Delete {
            stamp: node_stamp(),
            channel: channel("/stocks/goog"),
        },
    );
    command(
        "configure",
        &Command::Configure {
            settings: settings(),
        },
    );
    command("tick", &Command::Tick);
}

#[test]
fn entries() {
    let time = Time::new(1_795_219_200_123);
    let commands = [
        codec::encode_command(&Command::Tick),
        Bytes::from_static(b"unread"),
    ];
    let held = golden("entry-v1", &codec::encode_entry(time, &commands));
    assert_eq!(codec::decode_entry(&held), Ok((time, commands.to_vec())));
    let held = golden("entry-v1-empty", &codec::encode_entry(time, &[]));
    assert_eq!(codec::decode_entry(&held), Ok((time, vec![])));
}

#[test]
fn replies() {
    let published = |duplicate| Published {
        offset: Offset::new(17),
        revision: Revision::new(4_711),
        time: Time::new(1_795_219_200_123),
        duplicate,
    };
    let full = |what| Refusal::Overloaded {
        what,
        value: 70_000_000,
        limit: 67_108_864,
    };
    let refusals = [
        Refusal::OutOfSequence {
            sequence: 9,
            previous: 8,
        },
        Refusal::StaleKey {
            sequence: 9,
            oldest: 1_000,
        },
        Refusal::KeyConflict {
            offset: Offset::new(5),
        },
        full("bytes of idempotency keys"),
        full("publish streams remembered by the shard"),
        Refusal::Aborted,
    ];
    let mut results = vec![Ok(published(false)), Ok(published(true))];
    results.extend(refusals.iter().cloned().map(Err));
    reply("published", &Reply::Published(results));
    reply(
        "deleted",
        &Reply::Deleted {
            existed: true,
            revision: Revision::new(300),
        },
    );
    reply("done", &Reply::Done);
    reply("refused", &Reply::Refused(refusals[0].clone()));
}

#[test]
fn snapshots() {
    let snapshot = |shard: &Shard| codec::encode_snapshot(shard).collect::<Vec<_>>().concat();
    let empty = Shard::new(Settings::default());
    golden("snapshot-v1-empty", &snapshot(&empty));

    let mut shard = Shard::new(settings());
    let mut publish = |stamp: Stamp, name: &str, key: Option<&str>| {
        let key = key.map(|key| IdempotencyKey {
            scope: "shop".into(),
            key: key.into(),
        });
        let one = Publication {
            channel: channel(name),
            content: full_content(),
            key,
        };
        let time = Time::new(1_795_219_200_123 + stamp.sequence);
        shard.apply(
            time,
            Command::Publish {
                stamp,
                publications: vec![one.clone(), one],
            },
        )
    };
    publish(
        Stamp {
            sequence: 1,
            ..node_stamp()
        },
        "/stocks/goog",
        None,
    );
    publish(
        Stamp {
            sequence: 2,
            ..node_stamp()
        },
        "/chat/日本語",
        Some("order-7"),
    );
    publish(
        Stamp {
            previous: None,
            producer: ProducerId([7; 16]),
            ..client_stamp()
        },
        "/gone",
        None,
    );
    let delete = Command::Delete {
        stamp: node_stamp(),
        channel: channel("/gone"),
    };
    shard.apply(Time::new(1_795_219_201_000), delete);
    let held = golden("snapshot-v1", &snapshot(&shard));
    let copy = codec::decode_snapshot(&held).unwrap();
    assert_eq!(snapshot(&copy), held);
    assert_eq!(copy.windows().head(), shard.windows().head());
    assert!(copy.channel(&channel("/chat/日本語")).is_some());
}

#[test]
fn changes() {
    let forgotten = Forgotten {
        revision: Revision::new(100),
        offset: Offset::new(50),
        erased: Revision::new(4_800),
    };
    let (channel, floor) = (channel("/stocks/goog"), floor());
    let list = vec![
        Change::Opened {
            channel: channel.clone(),
            floor,
        },
        Change::Event(event(true)),
        Change::Event(event(false)),
        Change::Trimmed {
            channel: channel.clone(),
            floor,
        },
        Change::Erased { channel, floor },
        Change::Forgotten(forgotten),
    ];
    part(
        "changes",
        &Changes {
            through: Revision::new(4_900),
            list,
        },
    );
}

#[test]
fn answers() {
    let gap = |subject, next, reason| {
        Item::Gap(Gap {
            subject,
            next,
            reason,
            revision: Revision::new(4_000),
        })
    };
    let named = || Interest::Channel(channel("/stocks/goog"));
    let next = Some(Offset::new(17));
    let items = vec![
        gap(named(), next, GapReason::Trimmed),
        gap(named(), next, GapReason::Recreated),
        Item::Event(event(true)),
        gap(pattern("/stocks/*"), None, GapReason::Unknown),
        gap(pattern("/**"), None, GapReason::ForeignCursor),
    ];
    part(
        "next",
        &Next::Items {
            items,
            through: Revision::new(4_900),
            more: true,
        },
    );
    part(
        "next-ahead",
        &Next::<Arc<Event>>::Ahead {
            head: Revision::new(4_900),
        },
    );
    part("next-not-held", &Next::<Arc<Event>>::NotHeld);
    let info = ChannelInfo {
        name: channel("/stocks/goog"),
        first_offset: Offset::new(17),
        next_offset: Offset::new(20),
        events: 3,
        bytes: 700,
        last_time: Some(Time::new(1_795_219_200_123)),
    };
    part(
        "channels",
        &ChannelPage {
            channels: vec![info],
            more: false,
        },
    );
    part("settings", &settings());
}
