//! The upper end of one following: what a follower wants, how far it has been told, what to say next.
//!
//! Invariant: everything said is in revision order. Changes are told up to the feed's end before windows
//! are taken from its state, so windows and `Held` stand exactly at the place that has been told. While a
//! pattern's windows are on their way, changes of the windows already given go on, those of channels still
//! `pending` are left out: their window, taken later, has them.

use std::{collections::BTreeSet, time::Duration};

use halley_shard::Shard;
use halley_shard::{
    Change, Changes, ChannelName, ChannelPattern, Floor, Interest, Lookup, Revision,
};

use super::{Down, Feed, feed::change_bytes};
use crate::{FollowEnd, limits};

/// The upper end of one following; driven by [`Upper::poll`].
#[derive(Debug)]
pub struct Upper {
    held: Wanted,
    /// Interests whose windows have not been begun, in the order in which they came.
    queue: std::collections::VecDeque<Interest>,
    transit: Option<Transit>,
    /// Number of the next entry of the feed.
    next: u64,
    /// The follower knows all that it wants up to here...
    position: Revision,
    /// ...and has been told that it does up to here.
    told: Option<Revision>,
    /// When it must be told of progress.
    due: Option<Duration>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    /// Say this, in this order; never empty.
    Messages(Vec<Down>),
    /// Nothing to say yet, but there is more to look at: poll again.
    Again,
    /// Nothing to say until the feed or the interest moves, or this time has come.
    Wait(Option<Duration>),
}

/// A set of interests.
#[derive(Debug, Default)]
struct Wanted {
    channels: BTreeSet<ChannelName>,
    patterns: BTreeSet<ChannelPattern>,
}

/// A pattern whose windows are on their way.
#[derive(Debug)]
struct Transit {
    pattern: ChannelPattern,
    /// The state at the place where the pattern was begun, until its names have been listed.
    view: Option<Shard>,
    /// Channels whose window has not been given.
    pending: BTreeSet<ChannelName>,
}

impl Wanted {
    fn matches(&self, channel: &ChannelName) -> bool {
        self.channels.contains(channel)
            || self.patterns.iter().any(|pattern| pattern.matches(channel))
    }

    fn insert(&mut self, interest: Interest) {
        match interest {
            Interest::Channel(name) => self.channels.insert(name),
            Interest::Pattern(pattern) => self.patterns.insert(pattern),
        };
    }

    fn remove(&mut self, interest: &Interest) {
        match interest {
            Interest::Channel(name) => self.channels.remove(name),
            Interest::Pattern(pattern) => self.patterns.remove(pattern),
        };
    }
}

/// One step's messages and what they weigh.
#[derive(Default)]
struct Batch {
    messages: Vec<Down>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, message: Down) {
        let events = match &message {
            Down::Window { events, .. } => events.iter().map(|event| event.retained_bytes()).sum(),
            Down::Changes(changes) => changes.list.iter().map(change_bytes).sum(),
            Down::Held { .. } | Down::Progress(_) => 0,
        };
        self.bytes += events + limits::CHANGE_OVERHEAD_BYTES;
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.bytes >= limits::FOLLOW_BATCH_BYTES
            || self.messages.len() >= limits::FOLLOW_WINDOWS_MAX
    }
}

impl Upper {
    /// A follower of `feed` from its present head on, without interests.
    #[must_use]
    pub fn new(feed: &Feed) -> Self {
        Self {
            held: Wanted::default(),
            queue: std::collections::VecDeque::new(),
            transit: None,
            next: feed.end(),
            position: feed.head(),
            told: None,
            due: None,
        }
    }

    /// Changes the interest: first `remove`, which stops at once, then `add`.
    pub fn interest(&mut self, add: Vec<Interest>, remove: &[Interest]) {
        if !self.queue.is_empty() {
            let removed: BTreeSet<_> = remove.iter().collect();
            self.queue.retain(|queued| !removed.contains(queued));
        }
        for interest in remove {
            self.held.remove(interest);
            if let Some(transit) = &self.transit
                && matches!(interest, Interest::Pattern(pattern) if *pattern == transit.pattern)
            {
                self.transit = None;
            }
        }
        self.queue.extend(add);
    }

    /// Lists the channels of a pattern just begun. [`Upper::poll`] does it otherwise; to be called where
    /// the feed is not locked, as it looks at every channel of the shard.
    pub fn settle(&mut self) {
        let Some(transit) = &mut self.transit else {
            return;
        };
        let Some(view) = transit.view.take() else {
            return;
        };
        let interest = Interest::Pattern(transit.pattern.clone());
        let names = view.windows().matching(&interest).map(|(name, _)| name);
        let held = &self.held;
        transit
            .pending
            .extend(names.filter(|name| !held.matches(name)).cloned());
    }

    /// What to say at `now` (any monotonic clock).
    ///
    /// # Errors
    /// [`FollowEnd::Behind`] when the feed does not keep this follower's place any more.
    pub fn poll(&mut self, feed: &Feed, now: Duration) -> Result<Poll, FollowEnd> {
        self.settle();
        let mut batch = Batch::default();
        self.tell_changes(feed, &mut batch)?;
        let at_end = self.next == feed.end();
        if at_end {
            self.give_windows(feed, &mut batch);
        }
        Ok(self.conclude(batch, at_end, now))
    }

    fn tell_changes(&mut self, feed: &Feed, batch: &mut Batch) -> Result<(), FollowEnd> {
        let entries = feed.since(self.next).ok_or(FollowEnd::Behind)?;
        let mut list = Vec::new();
        let mut bytes = 0;
        for changes in entries.take(limits::FOLLOW_SCAN_MAX) {
            for change in &changes.list {
                if self.wants(change) {
                    bytes += change_bytes(change);
                    list.push(change.clone());
                }
            }
            self.next += 1;
            self.position = changes.through;
            if bytes >= limits::FOLLOW_BATCH_BYTES {
                break;
            }
        }
        if !list.is_empty() {
            batch.push(Down::Changes(Changes {
                through: self.position,
                list,
            }));
            self.told = Some(self.position);
        }
        Ok(())
    }

    fn wants(&mut self, change: &Change) -> bool {
        let (channel, opened) = match change {
            Change::Forgotten(_) => return true,
            Change::Event(event) => (event.channel(), false),
            Change::Opened { channel, .. } => (channel, true),
            Change::Trimmed { channel, .. } | Change::Erased { channel, .. } => (channel, false),
        };
        if self.held.matches(channel) {
            return true;
        }
        let Some(transit) = &mut self.transit else {
            return false;
        };
        if !transit.pattern.matches(channel) {
            return false;
        }
        if opened {
            // The lower end does not hold the pattern yet, so a window is what makes the channel known.
            transit.pending.insert(channel.clone());
        }
        !transit.pending.contains(channel)
    }

    fn give_windows(&mut self, feed: &Feed, batch: &mut Batch) {
        while !batch.is_full() {
            if let Some(transit) = &mut self.transit {
                if transit.view.is_some() {
                    return;
                }
                if let Some(name) = transit.pending.pop_first() {
                    self.give_window(feed, &name, batch);
                    continue;
                }
                let interest = Interest::Pattern(transit.pattern.clone());
                self.transit = None;
                self.hold(feed, interest, None, batch);
            } else {
                match self.queue.pop_front() {
                    Some(Interest::Channel(name)) => self.give_channel(feed, name, batch),
                    Some(Interest::Pattern(pattern)) => {
                        let view = Some(feed.shard().clone());
                        let pending = BTreeSet::new();
                        self.transit = Some(Transit {
                            pattern,
                            view,
                            pending,
                        });
                    }
                    None => return,
                }
            }
        }
    }

    fn give_channel(&mut self, feed: &Feed, name: ChannelName, batch: &mut Batch) {
        if !self.held.matches(&name) {
            self.give_window(feed, &name, batch);
        }
        let tombstone = match feed.shard().windows().lookup(&name) {
            Lookup::Tombstone(floor) => Some(floor),
            Lookup::Window(_) | Lookup::Absent | Lookup::NotHeld => None,
        };
        self.hold(feed, Interest::Channel(name), tombstone, batch);
    }

    /// Gives the channel's window, if it (still) exists.
    fn give_window(&mut self, feed: &Feed, name: &ChannelName, batch: &mut Batch) {
        if let Lookup::Window(window) = feed.shard().windows().lookup(name) {
            batch.push(Down::Window {
                channel: name.clone(),
                floor: window.floor(),
                events: window.events().cloned().collect(),
                as_of: self.position,
            });
        }
    }

    fn hold(
        &mut self,
        feed: &Feed,
        interest: Interest,
        tombstone: Option<Floor>,
        batch: &mut Batch,
    ) {
        self.held.insert(interest.clone());
        let forgotten = feed.shard().windows().forgotten();
        batch.push(Down::Held {
            interest,
            as_of: self.position,
            forgotten,
            tombstone,
        });
        self.told = Some(self.position);
    }

    fn conclude(&mut self, mut batch: Batch, at_end: bool, now: Duration) -> Poll {
        let untold = self.told.is_none_or(|told| told < self.position);
        let due = untold.then(|| *self.due.get_or_insert(now + limits::PROGRESS_LATE_MAX));
        if untold && (!batch.messages.is_empty() || due.is_some_and(|due| due <= now)) {
            batch.push(Down::Progress(self.position));
            self.told = Some(self.position);
            self.due = None;
        } else if !untold {
            self.due = None;
        }
        if !batch.messages.is_empty() {
            return Poll::Messages(batch.messages);
        }
        if !at_end || self.transit.is_some() || !self.queue.is_empty() {
            return Poll::Again;
        }
        Poll::Wait(due)
    }
}

#[cfg(test)]
mod tests;
