//! What was published with which outcome, what anybody saw, and every disagreement between the two.
//!
//! Invariant: an event has one place and a place has one event, whoever says so; the first contradiction is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

/// Contradictions that are kept; the first ones explain the rest.
const WRONG_MAX: usize = 10;

/// When something was acknowledged.
#[derive(Clone, Debug)]
struct Ack {
    channel: String,
    begun: Instant,
    heard: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    /// By channel and offset the event's id, from acknowledgements and readers alike.
    places: BTreeMap<String, BTreeMap<u64, String>>,
    /// The same by id.
    ids: BTreeMap<String, (String, u64)>,
    acknowledged: BTreeSet<String>,
    /// Of these nobody was told whether they were stored.
    unknown: BTreeMap<String, &'static str>,
    /// By channel, the largest acknowledged offset.
    heads: BTreeMap<String, u64>,
    acks: Vec<Ack>,
    wrong: Vec<String>,
    retries: u64,
}

/// What publishers and readers of one scenario write down together.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Inner>);

impl Record {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics while writing down")
    }

    /// Something that must not be.
    pub(crate) fn wrong(&self, what: String) {
        self.inner().complain(what);
    }

    /// An attempt that has to be made again.
    pub(crate) fn retried(&self) {
        self.inner().retries += 1;
    }

    /// A publish begun at `begun` was acknowledged just now.
    pub(crate) fn acknowledged(&self, channel: &str, offset: u64, id: &str, begun: Instant) {
        let mut inner = self.inner();
        inner.place("its publisher", channel, offset, id);
        inner.acknowledged.insert(id.to_owned());
        let head = inner.heads.entry(channel.to_owned()).or_default();
        *head = offset.max(*head);
        inner.acks.push(Ack {
            channel: channel.to_owned(),
            begun,
            heard: Instant::now(),
        });
    }

    /// Nobody will ever be told the outcome of this publish.
    pub(crate) fn unknown(&self, id: &str, why: &'static str) {
        self.inner().unknown.insert(id.to_owned(), why);
    }

    /// A reader was given an event.
    pub(crate) fn seen(&self, who: &str, channel: &str, offset: u64, id: &str) {
        self.inner().place(who, channel, offset, id);
    }

    /// Acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.inner().acknowledged.len()
    }

    /// Of the publishes begun after `from` to channels that `counts`: when the first was acknowledged.
    pub(crate) fn first_since(
        &self,
        from: Instant,
        counts: impl Fn(&str) -> bool,
    ) -> Option<Instant> {
        let inner = self.inner();
        let recent = inner.acks.iter().rev().take_while(|ack| ack.heard >= from);
        recent
            .filter(|ack| ack.begun >= from && counts(&ack.channel))
            .map(|ack| ack.heard)
            .min()
    }

    /// The longest time without an acknowledgement on channels that `counts`, among those that end after `from`.
    pub(crate) fn longest_gap(&self, from: Instant, counts: impl Fn(&str) -> bool) -> Duration {
        let inner = self.inner();
        let of_these = inner.acks.iter().filter(|ack| counts(&ack.channel));
        let mut heard: Vec<Instant> = of_these.map(|ack| ack.heard).collect();
        heard.sort_unstable();
        let pairs = heard.windows(2).filter(|pair| pair[1] >= from);
        let gaps = pairs.map(|pair| pair[1].duration_since(pair[0]));
        gaps.max().unwrap_or_default()
    }

    /// # Panics
    /// When anything contradicted anything so far.
    pub(crate) fn assert_whole(&self) {
        let wrong = self.inner().wrong.clone();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Offset of the last acknowledged event of `channel`.
    pub(crate) fn head(&self, channel: &str) -> u64 {
        self.inner().heads.get(channel).copied().unwrap_or_default()
    }

    /// Asserts what can be said of all events together: no hole, and nothing stored that was refused.
    pub(crate) fn assert_complete(&self) {
        self.assert_whole();
        let inner = self.inner();
        for (channel, events) in &inner.places {
            let dense = events.keys().copied().eq(1..=events.len() as u64);
            assert!(dense, "{channel} has holes");
        }
        for (id, (channel, offset)) in &inner.ids {
            let known = inner.acknowledged.contains(id) || inner.unknown.contains_key(id);
            assert!(
                known,
                "{id} is stored at {offset} of {channel} and was refused"
            );
        }
    }

    /// Asserts that the events of each source named `prefix…-NUMBER` have its order in each channel.
    pub(crate) fn assert_ordered(&self, prefix: &str) {
        let inner = self.inner();
        for (channel, events) in &inner.places {
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for id in events.values().filter(|id| id.starts_with(prefix)) {
                let (source, number) = id.rsplit_once('-').expect("source and number");
                let number = number.parse().expect("a number");
                let before = last.insert(source, number);
                assert!(
                    before < Some(number),
                    "{id} of {channel} came after {before:?}"
                );
            }
        }
    }

    /// Acknowledgements of each second.
    pub(crate) fn course(&self) -> String {
        let inner = self.inner();
        let Some(first) = inner.acks.first().map(|ack| ack.heard) else {
            return String::new();
        };
        let mut seconds: Vec<u32> = Vec::new();
        for ack in &inner.acks {
            let second = ack.heard.duration_since(first).as_secs();
            let second = usize::try_from(second).expect("a test's length");
            seconds.resize(seconds.len().max(second + 1), 0);
            seconds[second] += 1;
        }
        let seconds: Vec<String> = seconds.iter().map(ToString::to_string).collect();
        seconds.join(" ")
    }

    /// Figures for people.
    pub(crate) fn summary(&self) -> String {
        let inner = self.inner();
        let heard = || inner.acks.iter().map(|ack| ack.heard);
        let span = heard().max().zip(heard().min());
        let seconds = span.map_or(0.0, |(last, first)| (last - first).as_secs_f64());
        let stored = inner.unknown.keys();
        let stored = stored.filter(|id| inner.ids.contains_key(*id)).count();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for why in inner.unknown.values() {
            *reasons.entry(why).or_default() += 1;
        }
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(why, count)| format!("{count} {why}, "))
            .collect();
        format!(
            "{} acknowledged in {seconds:.1} s, {} of unknown outcome ({}{stored} of them stored), {} retries",
            inner.acknowledged.len(),
            inner.unknown.len(),
            reasons.concat(),
            inner.retries
        )
    }
}

impl Inner {
    fn complain(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }

    fn place(&mut self, who: &str, channel: &str, offset: u64, id: &str) {
        let events = match self.places.get_mut(channel) {
            Some(events) => events,
            None => self.places.entry(channel.to_owned()).or_default(),
        };
        match events.get(&offset) {
            Some(other) if other == id => return,
            Some(other) => {
                let what = format!("{who} has {id} at {offset} of {channel}, others have {other}");
                return self.complain(what);
            }
            None => events.insert(offset, id.to_owned()),
        };
        let before = self.ids.insert(id.to_owned(), (channel.to_owned(), offset));
        if let Some((other, place)) = before {
            let what =
                format!("{who} has {id} at {offset} of {channel}, it was at {place} of {other}");
            self.complain(what);
        }
    }
}
