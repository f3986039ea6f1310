//! Retention: by count and bytes of a channel, by bytes of the shard, by age.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Change, ChannelName, Event, Floor, Revision, Settings, Shard, Time, limits, state::News,
};

/// Events that one tick may look at, whether they go or stay.
const LOOKED_AT_PER_TICK_MAX: usize = 100_000;

/// How far each rule with an age has looked: every event is looked at once per rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) Vec<Scan>);

/// One rule's progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The rule's place among the settings; `None` is the default.
    pub(crate) rule: Option<usize>,
    pub(crate) age_max_ms: u64,
    /// Everything up to here has been looked at.
    pub(crate) through: Revision,
}

impl Expiry {
    /// Nothing looked at yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let rules = settings.rules.iter().enumerate();
        let rules = rules.map(|(index, rule)| (Some(index), rule.retention));
        let all = rules.chain([(None, settings.retention)]);
        let scans = all.filter_map(|(rule, retention)| {
            let age_max_ms = retention.age_max_ms?;
            Some(Scan {
                rule,
                age_max_ms,
                through: Revision::ZERO,
            })
        });
        Self(scans.collect())
    }
}

impl Shard {
    /// Whether a `Tick` at `now` would change anything.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        let now = self.time.max(now);
        let aged = self.expiry.0.iter().any(|scan| {
            let next = self.windows.events_after(scan.through).next();
            next.is_some_and(|event| is_past(event.time(), scan.age_max_ms, now))
        });
        aged || self.keys.is_due(now) || self.producers.is_due(now)
    }

    /// Lets go of what its age, or ten idle minutes, have made old.
    pub(crate) fn expire(&mut self, news: &mut News) {
        let mut floors: BTreeMap<ChannelName, Floor> = BTreeMap::new();
        let mut left = limits::EXPIRED_PER_TICK_MAX;
        let mut looked = LOOKED_AT_PER_TICK_MAX;
        let mut scans = std::mem::take(&mut self.expiry.0);
        for scan in &mut scans {
            for event in self.windows.events_after(scan.through) {
                if left == 0 || looked == 0 || !is_past(event.time(), scan.age_max_ms, self.time) {
                    break;
                }
                looked -= 1;
                scan.through = event.revision();
                if self.settings.rule_of(event.channel()) == scan.rule {
                    left -= 1;
                    floors.insert(event.channel().clone(), floor_at(event));
                }
            }
        }
        self.expiry.0 = scans;
        for (channel, floor) in floors {
            self.raise(&channel, floor, news);
        }
        self.keys.expire(self.time);
        self.producers.expire(self.time);
    }

    /// Holds a channel to its count and bytes. The newest event stays unless none may be kept.
    pub(crate) fn bound_channel(&mut self, channel: &ChannelName, news: &mut News) {
        let retention = self.settings.retention(channel);
        let Some(window) = self.windows.window(channel) else {
            return;
        };
        let (mut events, mut bytes) = (window.events().len(), window.bytes());
        let events_max = usize::try_from(retention.events_max).unwrap_or(usize::MAX);
        let mut floor = None;
        for event in window.events() {
            let too_many = events > events_max;
            let too_large = bytes > retention.bytes_max && events > 1;
            if !too_many && !too_large {
                break;
            }
            events -= 1;
            bytes -= event.retained_bytes() as u64;
            floor = Some(floor_at(event));
        }
        if let Some(floor) = floor {
            self.raise(channel, floor, news);
        }
    }

    /// Holds the shard to its bytes: its oldest events go first, the newest stays.
    pub(crate) fn bound_bytes(&mut self, news: &mut News) {
        let mut over = self
            .windows
            .bytes()
            .saturating_sub(self.settings.shard_bytes_max);
        if over == 0 {
            return;
        }
        let mut floors: BTreeMap<ChannelName, Floor> = BTreeMap::new();
        let mut oldest = self.windows.events_after(Revision::ZERO).peekable();
        while over > 0
            && let Some(event) = oldest.next()
            && oldest.peek().is_some()
        {
            over = over.saturating_sub(event.retained_bytes() as u64);
            floors.insert(event.channel().clone(), floor_at(event));
        }
        drop(oldest);
        for (channel, floor) in floors {
            self.raise(&channel, floor, news);
        }
    }

    /// Raises a channel's floor and tells of it; a channel left empty joins the empty ones.
    fn raise(&mut self, channel: &ChannelName, floor: Floor, news: &mut News) {
        self.windows.trim(channel, floor);
        self.take_revision();
        if self
            .windows
            .window(channel)
            .is_some_and(|window| window.oldest().is_none())
        {
            self.empties.insert(floor.revision.get(), channel.clone());
        }
        news.0.push(Change::Trimmed {
            channel: channel.clone(),
            floor,
        });
    }
}

fn is_past(time: Time, age_max_ms: u64, now: Time) -> bool {
    time.get().saturating_add(age_max_ms) <= now.get()
}

fn floor_at(event: &Arc<Event>) -> Floor {
    Floor {
        offset: event.offset(),
        revision: event.revision(),
    }
}
