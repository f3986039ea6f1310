//! Which interests a shard's copy follows, how far each has come, and when one is given up.
//!
//! Invariant: an interest is given up only while it is held and no interest that overlaps it is asked for
//! and unanswered. So a `Held` always answers the newest asking, and no window that the upstream believes
//! to be here is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use halley_shard::{ChannelName, Interest};

use crate::{
    entry::{Entry, Signal},
    limits::{LEAVING_MAX, LINGERING_MAX},
};

/// The interests of one shard's copy.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    channels: BTreeMap<ChannelName, Slot>,
    /// By the pattern's text, so that a channel finds its patterns without trying them all.
    patterns: BTreeMap<Box<str>, Slot>,
    /// New ones, not asked for yet.
    wanted: Vec<Arc<Entry>>,
    /// Asked for, not held yet.
    asked: BTreeSet<Interest>,
    /// Without readers, by the order in which they became so, with the time at which each is given up.
    lingering: BTreeMap<u64, (Duration, Arc<Entry>)>,
    lingered: u64,
    /// To be given up as soon as the invariant allows.
    leaving: Vec<Arc<Entry>>,
    /// Something was answered since `leaving` was last looked through.
    answered: bool,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    readers: usize,
    lingering: Option<u64>,
}

/// What to tell the upstream: first what to remove, then what to add.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    pub(crate) remove: Vec<Interest>,
    pub(crate) add: Vec<Interest>,
    /// More wants to leave unanswered than [`LEAVING_MAX`]: only following anew can forget it.
    pub(crate) overgrown: bool,
}

impl Interests {
    /// One more reader of `interest`; also says whether the follower has something new to ask for.
    pub(crate) fn join(&mut self, interest: &Interest, signal: &Signal) -> (Arc<Entry>, u32, bool) {
        let known = self.slot(interest).is_some();
        if !known {
            let entry = Arc::new(Entry::new(interest.clone()));
            self.wanted.push(Arc::clone(&entry));
            self.insert(entry);
        }
        let slot = self
            .slot(interest)
            .expect("it was inserted above when it was missing");
        slot.readers += 1;
        let (entry, lingering) = (Arc::clone(&slot.entry), slot.lingering.take());
        if let Some(order) = lingering {
            self.lingering.remove(&order);
        }
        let place = entry.register(signal);
        (entry, place, !known)
    }

    /// One reader less; the interest stays until `until` for the next one. Says whether the follower must
    /// look at the time anew.
    pub(crate) fn leave(&mut self, entry: &Arc<Entry>, place: u32, until: Duration) -> bool {
        entry.unregister(place);
        let order = self.lingered;
        let slot = self
            .slot(entry.interest())
            .expect("what has a reader is not given up");
        slot.readers -= 1;
        if slot.readers > 0 {
            return false;
        }
        slot.lingering = Some(order);
        self.lingered += 1;
        self.lingering.insert(order, (until, Arc::clone(entry)));
        self.lingering.len() == 1 || self.lingering.len() > LINGERING_MAX
    }

    /// When the next lingering interest is given up.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.lingering
            .first_key_value()
            .map(|(_, (until, _))| *until)
    }

    /// What has changed since the last call. What is removed is not held any more.
    pub(crate) fn turn_over(&mut self, now: Duration) -> Turnover {
        let mut candidates = match std::mem::take(&mut self.answered) {
            true => std::mem::take(&mut self.leaving),
            false => Vec::new(),
        };
        while let Some(first) = self.lingering.first_entry()
            && (first.get().0 <= now || self.lingering.len() > LINGERING_MAX)
        {
            let (_, (_, entry)) = self.lingering.pop_first().expect("there is a first entry");
            self.slot(entry.interest())
                .expect("lingering interests have a slot")
                .lingering = None;
            candidates.push(entry);
        }
        let remove = self.give_up(candidates);
        let add: Vec<_> = self
            .wanted
            .drain(..)
            .map(|entry| entry.interest().clone())
            .collect();
        self.asked.extend(add.iter().cloned());
        let overgrown = self.leaving.len() > LEAVING_MAX;
        Turnover {
            remove,
            add,
            overgrown,
        }
    }

    fn give_up(&mut self, candidates: Vec<Arc<Entry>>) -> Vec<Interest> {
        let mut gone = Vec::new();
        for entry in candidates {
            let interest = entry.interest();
            let Some(slot) = self.slot(interest) else {
                continue;
            };
            if slot.readers > 0 || slot.lingering.is_some() {
                continue;
            }
            // The cheap question first: without an upstream nothing is held, and much may want to leave.
            if !entry.is_held() || self.overlaps_asked(interest) {
                self.leaving.push(entry);
                continue;
            }
            gone.push(interest.clone());
            self.remove(interest);
        }
        gone
    }

    /// Whether what is asked for and unanswered may share a channel with `interest`.
    fn overlaps_asked(&self, interest: &Interest) -> bool {
        match interest {
            Interest::Channel(name) => {
                let patterns = self.asked.iter().rev();
                patterns
                    .take_while(|asked| matches!(asked, Interest::Pattern(_)))
                    .any(|asked| asked.matches(name))
            }
            Interest::Pattern(_) => self.asked.iter().any(|asked| match asked {
                Interest::Channel(name) => interest.matches(name),
                Interest::Pattern(_) => true,
            }),
        }
    }

    /// Everything of `interest` is here; `None` when nobody asked for it.
    pub(crate) fn held(&mut self, interest: &Interest) -> Option<Arc<Entry>> {
        self.asked.remove(interest);
        self.answered = true;
        let slot = self.slot(interest)?;
        slot.entry.hold(true);
        Some(Arc::clone(&slot.entry))
    }

    /// The copy begins anew: what is read is asked for again, what only lingers is forgotten.
    pub(crate) fn begin_anew(&mut self) {
        self.lingering.clear();
        self.leaving.clear();
        self.asked.clear();
        self.wanted.clear();
        self.channels.retain(|_, slot| slot.readers > 0);
        self.patterns.retain(|_, slot| slot.readers > 0);
        for slot in self.channels.values().chain(self.patterns.values()) {
            slot.entry.hold(false);
            self.wanted.push(Arc::clone(&slot.entry));
        }
    }

    /// Calls `each` with the interests, held or not, that `channel` matches.
    pub(crate) fn matching(&self, channel: &ChannelName, mut each: impl FnMut(&Arc<Entry>)) {
        if let Some(slot) = self.channels.get(channel) {
            each(&slot.entry);
        }
        if self.patterns.is_empty() {
            return;
        }
        let mut text = String::with_capacity(channel.as_str().len() + 3);
        for (index, (cut, _)) in channel.as_str().rmatch_indices('/').enumerate() {
            let wildcards: &[&str] = if index == 0 { &["/*", "/**"] } else { &["/**"] };
            for wildcard in wildcards {
                text.clear();
                text.push_str(&channel.as_str()[..cut]);
                text.push_str(wildcard);
                if let Some(slot) = self.patterns.get(text.as_str()) {
                    each(&slot.entry);
                }
            }
        }
    }

    /// Whether `channel` is read here, or asked for.
    pub(crate) fn any_matching(&self, channel: &ChannelName) -> bool {
        let mut any = false;
        self.matching(channel, |_| any = true);
        any
    }

    /// All of them, in an order that is the same for equal contents.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.channels
            .values()
            .chain(self.patterns.values())
            .map(|slot| &slot.entry)
    }

    /// How many are followed.
    pub(crate) fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    fn slot(&mut self, interest: &Interest) -> Option<&mut Slot> {
        match interest {
            Interest::Channel(name) => self.channels.get_mut(name),
            Interest::Pattern(pattern) => self.patterns.get_mut(pattern.as_str()),
        }
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        let interest = entry.interest().clone();
        let slot = Slot {
            entry,
            readers: 0,
            lingering: None,
        };
        match interest {
            Interest::Channel(name) => self.channels.insert(name, slot),
            Interest::Pattern(pattern) => self.patterns.insert(pattern.as_str().into(), slot),
        };
    }

    fn remove(&mut self, interest: &Interest) {
        match interest {
            Interest::Channel(name) => self.channels.remove(name),
            Interest::Pattern(pattern) => self.patterns.remove(pattern.as_str()),
        };
    }
}

#[cfg(test)]
mod tests;
