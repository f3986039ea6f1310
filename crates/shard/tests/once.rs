//! A publish counts once: by its producer's number or by its key (contract.md, Once).
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use halley_shard::{
    ChannelName, Command, Content, IdempotencyKey, Offset, Origin, ProducerId, Publication,
    Published, Refusal, Reply, Settings, Shard, Stamp, Time, limits,
};

const MINUTE: u64 = 60_000;

/// A shard and its time.
struct Subject {
    shard: Shard,
    now: u64,
}

fn publication(channel: &str, data: &str, key: Option<&str>) -> Publication {
    let key = key.map(|key| IdempotencyKey {
        scope: String::new(),
        key: key.into(),
    });
    let data = Bytes::copy_from_slice(data.as_bytes());
    let content = Content {
        data,
        content_type: "text/plain".into(),
        ..Content::default()
    };
    Publication {
        channel: ChannelName::parse(channel).unwrap(),
        content,
        key,
    }
}

fn node(sequence: u64) -> Stamp {
    let producer = ProducerId([1; 16]);
    Stamp {
        producer,
        sequence,
        previous: None,
        origin: Origin::Node,
    }
}

fn client(sequence: u64, previous: Option<u64>, submission: u64) -> Stamp {
    let producer = ProducerId([2; 16]);
    Stamp {
        producer,
        sequence,
        previous,
        origin: Origin::Client { submission },
    }
}

impl Subject {
    fn new() -> Self {
        Self {
            shard: Shard::new(Settings::default()),
            now: 1_000,
        }
    }

    fn publish(&mut self, stamp: Stamp, publications: Vec<Publication>) -> Reply {
        let command = Command::Publish {
            stamp,
            publications,
        };
        self.shard.apply(Time::new(self.now), command).reply
    }

    fn one(&mut self, stamp: Stamp) -> Reply {
        self.publish(stamp, vec![publication("/a", "x", None)])
    }

    fn keyed(&mut self, sequence: u64, data: &str, key: &str) -> Result<Published, Refusal> {
        match self.publish(node(sequence), vec![publication("/a", data, Some(key))]) {
            Reply::Published(results) => results[0].clone(),
            reply => panic!("{reply:?}"),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        while self.shard.is_due(Time::new(self.now)) {
            self.shard.apply(Time::new(self.now), Command::Tick);
        }
    }

    fn offsets(&self) -> u64 {
        let info = self.shard.channel(&ChannelName::parse("/a").unwrap());
        info.map_or(0, |info| info.next_offset.get() - 1)
    }
}

fn duplicates(reply: &Reply) -> Vec<bool> {
    let Reply::Published(results) = reply else {
        panic!("{reply:?}")
    };
    results
        .iter()
        .flatten()
        .map(|place| place.duplicate)
        .collect()
}

#[test]
fn a_nodes_retry_is_answered_the_same_and_never_a_duplicate() {
    let mut subject = Subject::new();
    let first = subject.one(node(5));
    assert_eq!(duplicates(&first), [false]);
    assert_eq!(subject.one(node(5)), first);
    assert_eq!(subject.offsets(), 1);
    // Its publishes are independent of each other: an earlier number may come later.
    assert_eq!(duplicates(&subject.one(node(3))), [false]);
    assert_eq!(subject.offsets(), 2);
}

#[test]
fn what_a_client_sends_again_is_a_duplicate_and_its_nodes_retry_is_none() {
    let mut subject = Subject::new();
    let first = subject.one(client(1, None, 70));
    assert_eq!(subject.one(client(1, None, 70)), first);
    let again = subject.one(client(1, None, 71));
    assert_eq!(duplicates(&again), [true]);
    let place = |reply: &Reply| match reply {
        Reply::Published(results) => results[0]
            .clone()
            .map(|place| (place.offset, place.revision)),
        reply => panic!("{reply:?}"),
    };
    assert_eq!(place(&again), place(&first));
    assert_eq!(subject.offsets(), 1);
}

#[test]
fn a_missing_predecessor_is_out_of_sequence_and_nothing_is_stored() {
    let mut subject = Subject::new();
    let refused =
        |sequence, previous| Reply::Refused(Refusal::OutOfSequence { sequence, previous });
    assert_eq!(subject.one(client(2, Some(1), 0)), refused(2, 1));
    subject.one(client(1, None, 0));
    subject.one(client(2, Some(1), 0));
    assert_eq!(subject.one(client(9, Some(8), 0)), refused(9, 8));
    assert_eq!(subject.offsets(), 2);
}

#[test]
fn numbers_may_begin_at_zero() {
    let mut subject = Subject::new();
    subject.one(client(5, None, 0));
    let refused = Reply::Refused(Refusal::OutOfSequence {
        sequence: 1,
        previous: 0,
    });
    assert_eq!(subject.one(client(1, Some(0), 0)), refused);
    assert_eq!(duplicates(&subject.one(client(0, None, 0))), [false]);
    assert_eq!(duplicates(&subject.one(client(1, Some(0), 0))), [false]);
}

#[test]
fn a_number_that_is_not_remembered_any_more_is_stale() {
    let mut subject = Subject::new();
    let count = u64::try_from(limits::CLIENT_RESULTS_MAX).unwrap() + 1;
    for sequence in 1..=count {
        subject.one(client(sequence, (sequence > 1).then(|| sequence - 1), 0));
    }
    assert_eq!(
        subject.one(client(1, None, 0)),
        Reply::Refused(Refusal::StaleKey {
            sequence: 1,
            oldest: 1
        })
    );
    assert_eq!(duplicates(&subject.one(client(2, Some(1), 0))), [false]);
    assert_eq!(subject.offsets(), count);
}

#[test]
fn ten_idle_minutes_end_a_producer_and_a_use_does_not_let_them_begin() {
    let mut subject = Subject::new();
    subject.one(client(1, None, 0));
    subject.wait(6 * MINUTE);
    subject.one(client(2, Some(1), 0));
    subject.wait(6 * MINUTE);
    assert_eq!(duplicates(&subject.one(client(1, None, 0))), [false]);
    assert_eq!(subject.offsets(), 2);
    subject.wait(10 * MINUTE);
    let refused = Reply::Refused(Refusal::OutOfSequence {
        sequence: 3,
        previous: 2,
    });
    assert_eq!(subject.one(client(3, Some(2), 0)), refused);
}

#[test]
fn a_key_gives_the_first_result_for_ten_minutes() {
    let mut subject = Subject::new();
    let first = subject.keyed(1, "x", "k").unwrap();
    assert!(!first.duplicate);
    subject.wait(10 * MINUTE - 1);
    let again = subject.keyed(2, "x", "k").unwrap();
    assert_eq!(
        again,
        Published {
            duplicate: true,
            ..first
        }
    );
    let conflict = Refusal::KeyConflict {
        offset: Offset::new(1),
    };
    assert_eq!(subject.keyed(3, "y", "k"), Err(conflict));
    subject.wait(1);
    let next = subject.keyed(4, "y", "k").unwrap();
    assert_eq!((next.offset, next.duplicate), (Offset::new(2), false));
}

#[test]
fn the_window_of_a_key_ends_without_a_tick_too() {
    let mut subject = Subject::new();
    subject.keyed(1, "x", "k").unwrap();
    subject.now += 10 * MINUTE;
    let next = subject.keyed(2, "y", "k").unwrap();
    assert_eq!((next.offset, next.duplicate), (Offset::new(2), false));
}

#[test]
fn the_same_key_in_another_channel_or_scope_is_another_key() {
    let mut subject = Subject::new();
    let mut scoped = publication("/a", "x", Some("k"));
    scoped.key.as_mut().unwrap().scope = "token".into();
    let publications = vec![
        publication("/a", "x", Some("k")),
        publication("/b", "x", Some("k")),
        scoped,
    ];
    assert_eq!(
        duplicates(&subject.publish(node(1), publications)),
        [false, false, false]
    );
}

#[test]
fn everything_but_the_place_makes_the_content_of_a_key() {
    let plain = publication("/a", "x", Some("k"));
    let mut others = vec![plain.clone(); 5];
    others[0].content.content_type = "text/html".into();
    others[1].content.event_type = Some(String::new());
    others[2].content.id = Some("i".into());
    others[3].content.headers = vec![("a".into(), "b".into())];
    others[4].content.data = Bytes::from_static(b"y");
    for other in others {
        let mut subject = Subject::new();
        subject.publish(node(1), vec![plain.clone()]);
        let Reply::Published(results) = subject.publish(node(2), vec![other.clone()]) else {
            panic!("refused")
        };
        assert_eq!(
            results,
            [Err(Refusal::KeyConflict {
                offset: Offset::new(1)
            })],
            "{other:?}"
        );
    }
}

#[test]
fn after_a_channels_first_refusal_its_later_events_are_aborted() {
    let mut subject = Subject::new();
    subject.keyed(1, "x", "k").unwrap();
    let batch = vec![
        publication("/a", "1", None),
        publication("/a", "other", Some("k")),
        publication("/b", "1", None),
        publication("/a", "2", None),
        publication("/a", "x", Some("k")),
    ];
    let Reply::Published(results) = subject.publish(node(2), batch) else {
        panic!("refused")
    };
    let offsets: Vec<_> = results
        .into_iter()
        .map(|result| result.map(|place| place.offset.get()))
        .collect();
    let conflict = Refusal::KeyConflict {
        offset: Offset::new(1),
    };
    let aborted = || Err(Refusal::Aborted);
    assert_eq!(offsets, [Ok(2), Err(conflict), Ok(1), aborted(), aborted()]);
}

#[test]
fn keys_beyond_their_room_are_refused_and_fit_again_later() {
    let mut subject = Subject::new();
    let key = |index: u64| format!("{index:0>128}");
    let mut sequence = 0;
    let refusal = loop {
        sequence += 1;
        if let Err(refusal) = subject.keyed(sequence, "x", &key(sequence)) {
            break refusal;
        }
    };
    let Refusal::Overloaded { limit, .. } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(limit, limits::KEY_STORE_BYTES_MAX);
    assert!(subject.keyed(sequence + 1, "x", &key(1)).unwrap().duplicate);
    subject.wait(10 * MINUTE);
    assert!(
        !subject
            .keyed(sequence + 2, "x", &key(sequence))
            .unwrap()
            .duplicate
    );
}

#[test]
fn a_deletion_counts_once_too() {
    let mut subject = Subject::new();
    subject.one(node(1));
    let channel = ChannelName::parse("/a").unwrap();
    let delete = || Command::Delete {
        stamp: node(2),
        channel: channel.clone(),
    };
    let first = subject.shard.apply(Time::new(1), delete()).reply;
    assert!(matches!(first, Reply::Deleted { existed: true, .. }));
    subject.one(node(3));
    assert_eq!(subject.shard.apply(Time::new(1), delete()).reply, first);
    assert_eq!(subject.offsets(), 2);
}
