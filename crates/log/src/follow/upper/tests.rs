//! The upper end, driven by hand against a real shard and a partial copy.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use halley_shard::{
    Command, Content, Event, Origin, ProducerId, Publication, Retention, Settings, Stamp, Time,
    Windows,
};

use super::*;

const NOW: Duration = Duration::from_secs(9);

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("a name")
}

fn channel(text: &str) -> Interest {
    Interest::Channel(name(text))
}

fn pattern(text: &str) -> Interest {
    Interest::Pattern(ChannelPattern::parse(text).expect("a pattern"))
}

/// A feed with a publisher and one follower's two ends.
struct Bench {
    feed: Feed,
    upper: Upper,
    lower: Windows<Arc<Event>>,
    published: u64,
}

impl Bench {
    fn new(feed: Feed) -> Self {
        let upper = Upper::new(&feed);
        Self {
            feed,
            upper,
            lower: Windows::partial(),
            published: 0,
        }
    }

    fn plain() -> Self {
        let retention = Retention {
            events_max: 5,
            ..Retention::default()
        };
        let settings = Settings {
            retention,
            ..Settings::default()
        };
        Self::new(Feed::new(Shard::new(settings)))
    }

    fn stamp(&mut self) -> Stamp {
        self.published += 1;
        let (producer, sequence) = (ProducerId([7; 16]), self.published);
        Stamp {
            producer,
            sequence,
            previous: None,
            origin: Origin::Node,
        }
    }

    fn publish(&mut self, channel: &str, bytes: usize) {
        let data = Bytes::from(vec![b'x'; bytes]);
        let content = Content {
            content_type: "text/plain".into(),
            data,
            ..Content::default()
        };
        let publications = vec![Publication {
            channel: name(channel),
            content,
            key: None,
        }];
        let stamp = self.stamp();
        self.feed.apply(
            Time::new(1),
            Command::Publish {
                stamp,
                publications,
            },
        );
    }

    fn delete(&mut self, channel: &str) {
        let stamp = self.stamp();
        self.feed.apply(
            Time::new(1),
            Command::Delete {
                stamp,
                channel: name(channel),
            },
        );
    }

    fn poll(&mut self, now: Duration) -> Poll {
        let poll = self.upper.poll(&self.feed, now).expect("not behind");
        if let Poll::Messages(messages) = &poll {
            assert!(!messages.is_empty());
            messages.iter().for_each(|message| self.take(message));
        }
        poll
    }

    /// Polls until there is nothing to say.
    fn settle(&mut self) {
        while !matches!(self.poll(NOW), Poll::Wait(_)) {}
    }

    fn take(&mut self, message: &Down) {
        match message.clone() {
            Down::Window {
                channel,
                floor,
                events,
                as_of,
            } => {
                assert!(as_of >= self.lower.head());
                self.lower.insert(channel, floor, events);
            }
            Down::Held {
                interest,
                as_of,
                forgotten,
                tombstone,
            } => {
                assert!(as_of >= self.lower.head());
                self.lower.hold(interest.clone(), as_of, forgotten);
                if let (Interest::Channel(name), Some(floor)) = (interest, tombstone) {
                    self.lower.remember(&name, floor);
                }
            }
            Down::Changes(changes) => {
                assert!(changes.through > self.lower.head());
                self.lower.apply(&changes, Arc::clone);
            }
            Down::Progress(head) => {
                assert!(head >= self.lower.head());
                self.lower.advance(head);
            }
        }
    }

    /// The lower copy of `interest` is the shard's.
    fn check(&self, interest: &Interest) {
        let list = |windows: &Windows<Arc<Event>>| {
            let windows = windows.matching(interest);
            let events = |window: &halley_shard::Window<Arc<Event>>| {
                window
                    .events()
                    .map(|event| event.revision())
                    .collect::<Vec<_>>()
            };
            let windows =
                windows.map(|(name, window)| (name.clone(), window.floor(), events(window)));
            windows.collect::<Vec<_>>()
        };
        assert_eq!(
            list(&self.lower),
            list(self.feed.shard().windows()),
            "{interest:?}"
        );
        assert!(self.lower.holds(interest), "{interest:?}");
    }
}

#[test]
fn progress_is_told_fifty_milliseconds_late_and_once() {
    let mut bench = Bench::plain();
    let due = NOW + limits::PROGRESS_LATE_MAX;
    bench.publish("/unwanted", 1);
    assert_eq!(bench.poll(NOW), Poll::Wait(Some(due)));
    assert_eq!(
        bench.poll(due - Duration::from_millis(1)),
        Poll::Wait(Some(due))
    );
    let progress = Poll::Messages(vec![Down::Progress(bench.feed.head())]);
    assert_eq!(bench.poll(due), progress);
    assert_eq!(bench.poll(due * 2), Poll::Wait(None));
}

#[test]
fn a_channel_without_anything_is_held_at_once() {
    let mut bench = Bench::plain();
    bench.upper.interest(vec![channel("/a")], &[]);
    let Poll::Messages(messages) = bench.poll(NOW) else {
        panic!("an answer")
    };
    assert!(
        matches!(
            &messages[..],
            [Down::Held {
                tombstone: None,
                ..
            }]
        ),
        "{messages:?}"
    );
    bench.publish("/a", 1);
    let Poll::Messages(messages) = bench.poll(NOW) else {
        panic!("a change")
    };
    let [Down::Changes(changes)] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert!(
        matches!(&changes.list[..], [Change::Opened { .. }, Change::Event(_)]),
        "{changes:?}"
    );
    bench.check(&channel("/a"));
}

#[test]
fn an_erased_channel_leaves_its_floor() {
    let mut bench = Bench::plain();
    bench.publish("/a", 1);
    bench.delete("/a");
    bench.upper.interest(vec![channel("/a")], &[]);
    bench.settle();
    let Lookup::Tombstone(floor) = bench.lower.lookup(&name("/a")) else {
        panic!("a tombstone")
    };
    assert_eq!(floor.offset.get(), 1);
}

#[test]
fn windows_come_in_bounded_batches_while_changes_go_on() {
    let mut bench = Bench::plain();
    for number in 0..60 {
        bench.publish(&format!("/many/{number:02}"), 30_000);
    }
    bench.upper.interest(vec![pattern("/many/*")], &[]);
    let mut batches = 0;
    loop {
        match bench.poll(NOW) {
            Poll::Messages(messages) => {
                let bytes = |message: &Down| match message {
                    Down::Window { events, .. } => {
                        events.iter().map(|event| event.retained_bytes()).sum()
                    }
                    _ => 0,
                };
                let bytes: usize = messages.iter().map(bytes).sum();
                assert!(
                    bytes <= limits::FOLLOW_BATCH_BYTES + 31_000,
                    "{bytes} bytes"
                );
                batches += 1;
                // Of windows given, of some not given, and of channels that begin on both sides.
                bench.publish(&format!("/many/{batches:02}"), 10);
                bench.publish(&format!("/many/{:02}", 59 - batches), 10);
                bench.publish(&format!("/many/{batches:02}-later"), 10);
                bench.delete(&format!("/many/{:02}", 30 + batches));
                assert!(batches < 1_000, "it never ends");
            }
            Poll::Again => {}
            Poll::Wait(_) => break,
        }
        if bench.lower.holds(&pattern("/many/*")) {
            break;
        }
    }
    assert!(batches > 3, "{batches} batches for 1.8 MB");
    bench.settle();
    bench.check(&pattern("/many/*"));
}

#[test]
fn a_follower_behind_the_feed_is_ended() {
    let mut bench = Bench::new(Feed::new(Shard::new(Settings::default())).keeping(2));
    for _ in 0..2 {
        bench.publish("/a", 1);
    }
    assert!(bench.upper.poll(&bench.feed, NOW).is_ok());
    for _ in 0..3 {
        bench.publish("/a", 1);
    }
    assert_eq!(bench.upper.poll(&bench.feed, NOW), Err(FollowEnd::Behind));
}

#[test]
fn a_replaced_state_ends_every_follower() {
    let mut bench = Bench::plain();
    bench.feed.replace(Shard::new(Settings::default()));
    assert_eq!(bench.upper.poll(&bench.feed, NOW), Err(FollowEnd::Behind));
    assert!(Upper::new(&bench.feed).poll(&bench.feed, NOW).is_ok());
}

#[test]
fn removing_stops_at_once_and_counts_before_adding() {
    let mut bench = Bench::plain();
    bench.publish("/a", 1);
    bench.upper.interest(vec![pattern("/*")], &[]);
    bench.settle();
    // The lower end drops the window of `/a` with the pattern, so it must come again.
    bench.lower.release(&pattern("/*"));
    bench.upper.interest(vec![channel("/a")], &[pattern("/*")]);
    bench.publish("/b", 1);
    bench.settle();
    bench.check(&channel("/a"));
    assert_eq!(bench.lower.matching(&pattern("/*")).count(), 1);
}

/// Random steps of publishing, deleting, asking, taking back and polling end in equal copies.
#[test]
fn random_followers_end_with_the_shards_windows() {
    for seed in 0..300 {
        random_follower(seed);
    }
}

fn random_follower(seed: u64) {
    let mut state = seed;
    let mut below = move |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut bench = Bench::plain();
    let mut asked: BTreeSet<Interest> = BTreeSet::new();
    for _ in 0..200 {
        let target = format!("/{}/{}", below(2), below(4));
        let interest = match below(4) {
            0 => pattern("/0/*"),
            1 => pattern("/**"),
            _ => channel(&target),
        };
        match below(10) {
            0..=4 => bench.publish(&target, 40_000),
            5 => bench.delete(&target),
            6 => {
                if asked.insert(interest.clone()) {
                    bench.upper.interest(vec![interest], &[]);
                }
            }
            7 => {
                let all_held = asked
                    .iter()
                    .all(|interest| bench.upper.held.holds(interest));
                if all_held && asked.remove(&interest) {
                    bench.lower.release(&interest);
                    bench.upper.interest(Vec::new(), &[interest]);
                }
            }
            _ => {
                bench.poll(NOW);
            }
        }
    }
    bench.settle();
    asked.iter().for_each(|interest| bench.check(interest));
}

impl Wanted {
    fn holds(&self, interest: &Interest) -> bool {
        match interest {
            Interest::Channel(name) => self.channels.contains(name),
            Interest::Pattern(pattern) => self.patterns.contains(pattern),
        }
    }
}
