//! What was promised, held against what was seen. Knows channels, offsets and values; nothing of Halley.
//!
//! Invariant: an unknown outcome may have happened or not, but at most once.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The history of one run; clones write to the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle(Rc<RefCell<History>>);

#[derive(Debug, Default)]
struct History {
    /// Rises with every send, acknowledgement and opening: the order of what was seen from outside.
    clock: u64,
    /// value → when it was sent.
    sent: BTreeMap<u64, u64>,
    /// channel → offset → value, from acknowledgements and deliveries alike.
    events: BTreeMap<String, BTreeMap<u64, u64>>,
    /// value → its one place.
    places: BTreeMap<u64, (String, u64)>,
    /// channel → acknowledged offsets.
    acknowledged: BTreeMap<String, Vec<u64>>,
    delivered: u64,
    gaps: u64,
}

impl Oracle {
    /// A publisher sends `value`.
    pub(crate) fn sends(&self, value: u64) {
        let mut history = self.0.borrow_mut();
        history.clock += 1;
        let clock = history.clock;
        history.sent.entry(value).or_insert(clock);
    }

    /// A publisher was told that `value` has this place.
    pub(crate) fn acknowledged(
        &self,
        channel: &str,
        offset: u64,
        value: u64,
    ) -> Result<(), String> {
        let mut history = self.0.borrow_mut();
        history.clock += 1;
        history
            .acknowledged
            .entry(channel.to_owned())
            .or_default()
            .push(offset);
        history.place(channel, offset, value)
    }

    /// The order of what was seen from outside, now.
    pub(crate) fn now(&self) -> u64 {
        let mut history = self.0.borrow_mut();
        history.clock += 1;
        history.clock
    }

    /// Figures for the line of a run.
    pub(crate) fn figures(&self) -> String {
        let history = self.0.borrow();
        let acknowledged: usize = history.acknowledged.values().map(Vec::len).sum();
        format!(
            "acked={acknowledged} delivered={} gaps={}",
            history.delivered, history.gaps
        )
    }

    /// A replica holds this event.
    pub(crate) fn holds(&self, channel: &str, offset: u64, value: u64) -> Result<(), String> {
        self.0.borrow_mut().place(channel, offset, value)
    }

    /// A replica knows `channel`, and its next event will have offset `next`.
    pub(crate) fn continues(&self, channel: &str, next: u64) -> Result<(), String> {
        let history = self.0.borrow();
        let acknowledged = history.acknowledged.get(channel);
        let last = acknowledged.and_then(|offsets| offsets.iter().max());
        match last {
            Some(last) if *last >= next => Err(format!(
                "{channel} {last} was acknowledged and is lost: the next is {next}"
            )),
            _ => Ok(()),
        }
    }

    fn delivers(&self, channel: &str, offset: u64, value: u64) -> Result<(), String> {
        let mut history = self.0.borrow_mut();
        history.delivered += 1;
        history.place(channel, offset, value)
    }

    fn gap(&self) {
        self.0.borrow_mut().gaps += 1;
    }
}

impl History {
    /// An offset never means two events, and an event never has two offsets.
    fn place(&mut self, channel: &str, offset: u64, value: u64) -> Result<(), String> {
        let events = self.events.entry(channel.to_owned()).or_default();
        let there = *events.entry(offset).or_insert(value);
        if there != value {
            return Err(format!("{channel} {offset} is {there} and {value}"));
        }
        let place = self
            .places
            .entry(value)
            .or_insert_with(|| (channel.to_owned(), offset));
        if (place.0.as_str(), place.1) != (channel, offset) {
            return Err(format!("{value} is at {place:?} and at {channel} {offset}"));
        }
        Ok(())
    }
}

/// What one subscriber has seen, across nodes and polls.
#[derive(Debug)]
pub(crate) struct Witness {
    oracle: Oracle,
    /// It began with the oldest event rather than with the newest.
    earliest: bool,
    /// When its first subscription had been opened.
    opened: u64,
    /// channel → the newest offset that it has seen or been told to be gone.
    seen: BTreeMap<String, u64>,
    /// Channels of which it was told that it is not known what is gone.
    loose: BTreeMap<String, bool>,
}

impl Witness {
    /// A subscriber that begins now.
    pub(crate) fn new(oracle: Oracle, earliest: bool) -> Self {
        let opened = oracle.now();
        Self {
            oracle,
            earliest,
            opened,
            seen: BTreeMap::new(),
            loose: BTreeMap::new(),
        }
    }

    /// Its first subscription stands.
    pub(crate) fn opened(&mut self) {
        self.opened = self.oracle.now();
    }

    /// It was given an event.
    pub(crate) fn event(&mut self, channel: &str, offset: u64, value: u64) -> Result<(), String> {
        self.oracle.delivers(channel, offset, value)?;
        let loose = self
            .loose
            .insert(channel.to_owned(), false)
            .unwrap_or(false);
        let begins = !self.earliest && !self.seen.contains_key(channel);
        let last = self.seen.insert(channel.to_owned(), offset).unwrap_or(0);
        if offset <= last {
            return Err(format!("{channel} {offset} came after {last}"));
        }
        if offset > last + 1 && !loose && !begins {
            return Err(format!(
                "{channel} {offset} came after {last} without a gap"
            ));
        }
        Ok(())
    }

    /// It was told that everything of `channel` before `next` is gone.
    pub(crate) fn gap(&mut self, channel: &str, next: u64, recreated: bool) -> Result<(), String> {
        self.oracle.gap();
        let known = self
            .seen
            .get(channel)
            .copied()
            .or(self.earliest.then_some(0));
        let loose = self.loose.get(channel).copied().unwrap_or(false);
        let least = known.map_or(0, |last| if recreated { last + 1 } else { last + 2 });
        if next < least && !loose {
            return Err(format!(
                "{channel}: a gap to {next} after {known:?} is not true"
            ));
        }
        self.seen.insert(channel.to_owned(), next.saturating_sub(1));
        Ok(())
    }

    /// It was told that nothing is known of these channels.
    pub(crate) fn unknown(&mut self, channels: impl IntoIterator<Item = String>) {
        self.oracle.gap();
        for channel in channels {
            self.loose.insert(channel, true);
        }
    }

    /// Everything has settled: nothing acknowledged may be missing on `channels`.
    pub(crate) fn settles(&self, channels: impl IntoIterator<Item = String>) -> Result<(), String> {
        let history = self.oracle.0.borrow();
        for channel in channels {
            let seen = self.seen.get(&channel).copied().unwrap_or(0);
            let loose = self.loose.get(&channel).copied().unwrap_or(false);
            let events = history.events.get(&channel);
            for offset in history.acknowledged.get(&channel).into_iter().flatten() {
                let value = events
                    .and_then(|events| events.get(offset))
                    .copied()
                    .unwrap_or(0);
                let sent = history.sent.get(&value).copied().unwrap_or(0);
                let due = self.earliest || sent > self.opened;
                if due && *offset > seen && !loose {
                    return Err(format!(
                        "{channel} {offset} never came; the last was {seen}"
                    ));
                }
            }
        }
        Ok(())
    }
}
