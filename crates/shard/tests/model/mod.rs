//! A shard beside everything that was ever published to it, told in the plainest words.
//!
//! Invariant: nothing here decides anything that the shard decides. Records are what replies and changes
//! said; readers note what they were given; what must follow from both is checked.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod copy;
mod reader;

use std::sync::Arc;

use bytes::Bytes;
use halley_shard::{
    Change, Changes, ChannelName, ChannelPattern, Command, Content, Event, Interest, Lookup,
    Origin, ProducerId, Publication, Reply, Retained, Retention, RetentionRule, Revision, Settings,
    Shard, Stamp, Time,
};

pub(crate) use copy::Copy;
pub(crate) use reader::ModelReader;

/// Names that patterns below take apart.
pub(crate) const NAMES: [&str; 8] = [
    "/a/x", "/a/y", "/a/z", "/a/b/x", "/a/b/y", "/b/x", "/b/y", "/c",
];
/// Patterns over them.
pub(crate) const PATTERNS: [&str; 5] = ["/a/*", "/a/**", "/b/*", "/**", "/none/**"];

/// The name with this number.
pub(crate) fn name(index: usize) -> ChannelName {
    ChannelName::parse(NAMES[index % NAMES.len()]).unwrap()
}

/// The interests that the low bits of `bits` name: eight channels, then five patterns.
pub(crate) fn interests(bits: u16) -> Vec<Interest> {
    let channels = (0..NAMES.len()).map(|index| Interest::Channel(name(index)));
    let patterns = PATTERNS
        .iter()
        .map(|text| ChannelPattern::parse(text).unwrap());
    let all = channels.chain(patterns.map(Interest::Pattern)).enumerate();
    all.filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, interest)| interest)
        .collect()
}

/// One event as its publisher knows it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) channel: ChannelName,
    pub(crate) offset: u64,
    pub(crate) revision: Revision,
    pub(crate) bytes: usize,
    /// The channel began with it above offset 1.
    pub(crate) recreated: bool,
    /// Number of the command after which it was gone.
    pub(crate) gone: Option<usize>,
}

/// A shard, what became of it command by command, and all records.
pub(crate) struct World {
    pub(crate) shard: Shard,
    /// The changes of every command.
    pub(crate) log: Vec<Changes>,
    /// `views[n]`: the shard after `n` commands.
    pub(crate) views: Vec<Shard>,
    pub(crate) records: Vec<Record>,
    pub(crate) time: u64,
    sequence: u64,
}

/// Settings that make something happen soon.
pub(crate) fn settings(events_max: u32, bytes_max: u64, channels_max: u32, age: bool) -> Settings {
    let retention = Retention {
        events_max,
        bytes_max,
        age_max_ms: None,
    };
    let aged = RetentionRule {
        channels: Interest::Pattern(ChannelPattern::parse("/a/*").unwrap()),
        retention: Retention {
            age_max_ms: Some(50),
            ..retention
        },
    };
    let deep = RetentionRule {
        channels: Interest::Channel(name(3)),
        retention: Retention {
            events_max: events_max + 2,
            ..retention
        },
    };
    let rules = if age { vec![aged, deep] } else { vec![deep] };
    Settings {
        rules,
        retention,
        shard_bytes_max: 6 * bytes_max,
        channels_max,
    }
}

/// Some content of `size` bytes.
pub(crate) fn content(size: usize) -> Content {
    Content {
        content_type: "text/plain".into(),
        data: Bytes::from(vec![b'.'; size]),
        ..Content::default()
    }
}

impl World {
    pub(crate) fn new(settings: Settings, tombstones: usize) -> Self {
        let shard = Shard::new(settings).with_tombstones(tombstones);
        Self {
            views: vec![shard.clone()],
            shard,
            log: Vec::new(),
            records: Vec::new(),
            time: 1_000,
            sequence: 0,
        }
    }

    pub(crate) fn head(&self) -> Revision {
        self.shard.windows().head()
    }

    /// A stamp that was never used.
    pub(crate) fn stamp(&mut self) -> Stamp {
        self.sequence += 1;
        let producer = ProducerId([7; 16]);
        Stamp {
            producer,
            sequence: self.sequence,
            previous: None,
            origin: Origin::Node,
        }
    }

    /// Publishes one event to each of `channels`, in order.
    pub(crate) fn publish(&mut self, channels: &[usize], size: usize) {
        let stamp = self.stamp();
        let publication = |index: &usize| Publication {
            channel: name(*index),
            content: content(size),
            key: None,
        };
        let publications: Vec<_> = channels.iter().map(publication).collect();
        let reply = self.apply(Command::Publish {
            stamp,
            publications: publications.clone(),
        });
        let Reply::Published(results) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(results.len(), publications.len());
        let newest = &self.records[self.records.len() - results.len()..];
        for ((result, publication), record) in results.iter().zip(&publications).zip(newest) {
            let place = result.as_ref().unwrap();
            assert_eq!(record.channel, publication.channel);
            assert_eq!(
                (record.offset, record.revision),
                (place.offset.get(), place.revision)
            );
            assert!(!place.duplicate);
            assert_eq!(place.time, self.shard.time());
        }
    }

    pub(crate) fn delete(&mut self, channel: usize) {
        let (stamp, channel) = (self.stamp(), name(channel));
        let existed = matches!(self.shard.windows().lookup(&channel), Lookup::Window(_));
        let reply = self.apply(Command::Delete { stamp, channel });
        assert_eq!(
            reply,
            Reply::Deleted {
                existed,
                revision: self.head()
            }
        );
    }

    /// Lets `ms` pass; ticks until nothing is due, as whoever proposes does.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.time += ms;
        for _ in 0..100 {
            if !self.shard.is_due(Time::new(self.time)) {
                return;
            }
            assert_eq!(self.apply(Command::Tick), Reply::Done);
        }
        panic!("something stays due");
    }

    pub(crate) fn configure(&mut self, settings: Settings) {
        assert_eq!(self.apply(Command::Configure { settings }), Reply::Done);
    }

    /// Applies `command`, notes what it changed, and checks that the windows show just that.
    pub(crate) fn apply(&mut self, command: Command) -> Reply {
        let before = self.head();
        let applied = self.shard.apply(Time::new(self.time), command);
        let changes = applied.changes;
        assert_eq!(changes.through, self.head());
        assert!(changes.through >= before);
        let mut last = before;
        for change in &changes.list {
            self.note(change, &mut last);
        }
        assert!(
            changes.list.is_empty() || changes.through > before,
            "news take revisions"
        );
        self.log.push(changes);
        self.views.push(self.shard.clone());
        self.check_windows();
        applied.reply
    }

    fn note(&mut self, change: &Change, last: &mut Revision) {
        match change {
            Change::Opened { channel, floor } => {
                let retained = self.retained(channel).count();
                assert_eq!(retained, 0, "{channel} is opened while it exists");
                let highest = self.offset_of_newest(channel);
                assert!(
                    floor.offset.get() >= highest,
                    "{channel} begins again at {floor:?}"
                );
            }
            Change::Event(event) => self.note_event(event, last),
            Change::Trimmed { channel, floor } => {
                self.take(channel, floor.offset.get());
                let newest = self.records.iter().filter(|record| {
                    record.channel == *channel && record.offset == floor.offset.get()
                });
                let revisions: Vec<_> = newest.map(|record| record.revision).collect();
                assert_eq!(revisions, [floor.revision], "a floor is its event's place");
            }
            Change::Erased { channel, floor } => {
                assert_eq!(self.offset_of_newest(channel), floor.offset.get());
                self.take(channel, u64::MAX);
            }
            Change::Forgotten(_) => {}
        }
    }

    fn note_event(&mut self, event: &Arc<Event>, last: &mut Revision) {
        assert!(event.revision() > *last, "revisions rise");
        let newest = self.offset_of_newest(event.channel());
        assert!(
            event.offset().get() > newest,
            "an offset never means two events"
        );
        if event.recreated() {
            assert!(event.offset().get() > 1);
            assert!(
                event.revision().before() > *last,
                "the mark has a revision of its own"
            );
        } else {
            assert_eq!(event.offset().get(), newest + 1, "offsets rise by one");
        }
        *last = event.revision();
        self.records.push(Record {
            channel: event.channel().clone(),
            offset: event.offset().get(),
            revision: event.revision(),
            bytes: event.retained_bytes(),
            recreated: event.recreated(),
            gone: None,
        });
    }

    fn take(&mut self, channel: &ChannelName, through: u64) {
        let now = self.views.len();
        for record in &mut self.records {
            if record.channel == *channel && record.offset <= through && record.gone.is_none() {
                record.gone = Some(now);
            }
        }
    }

    fn offset_of_newest(&self, channel: &ChannelName) -> u64 {
        let own = self
            .records
            .iter()
            .filter(|record| record.channel == *channel);
        own.map(|record| record.offset).max().unwrap_or(0)
    }

    /// What is retained of `channel`, oldest first.
    pub(crate) fn retained(&self, channel: &ChannelName) -> impl Iterator<Item = &Record> {
        let own = self
            .records
            .iter()
            .filter(move |record| record.channel == *channel);
        own.filter(|record| record.gone.is_none())
    }

    /// The windows hold exactly what was published and not taken, and no more than the settings allow.
    fn check_windows(&self) {
        let windows = self.shard.windows();
        let settings = self.shard.settings();
        let mut total = 0;
        for text in NAMES {
            let channel = ChannelName::parse(text).unwrap();
            let expected: Vec<_> = self
                .retained(&channel)
                .map(|record| (record.offset, record.revision))
                .collect();
            let bytes: usize = self.retained(&channel).map(|record| record.bytes).sum();
            total += bytes as u64;
            let Lookup::Window(window) = windows.lookup(&channel) else {
                assert_eq!(expected, [], "{channel} is not there");
                continue;
            };
            let place = |held: &Arc<Event>| (held.event().offset().get(), held.event().revision());
            assert_eq!(window.events().map(place).collect::<Vec<_>>(), expected);
            assert_eq!(window.bytes(), bytes as u64);
            assert_eq!(
                window.next_offset().get(),
                self.offset_of_newest(&channel) + 1
            );
        }
        assert_eq!(windows.bytes(), total);
        assert!(total <= settings.shard_bytes_max || self.all_retained() == 1);
        assert!(windows.len() <= settings.channels_max as usize);
    }

    /// How many events are retained.
    pub(crate) fn all_retained(&self) -> usize {
        self.records
            .iter()
            .filter(|record| record.gone.is_none())
            .count()
    }

    /// The record of this place, which exists.
    pub(crate) fn record(&self, channel: &ChannelName, offset: u64) -> &Record {
        let mut records = self.records.iter();
        let found = records.find(|record| record.offset == offset && record.channel == *channel);
        found.unwrap_or_else(|| panic!("{channel} never had offset {offset}"))
    }
}
