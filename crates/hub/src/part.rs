//! What one subscription reads of one shard.
//!
//! Invariant: `position` never goes back, and everything of the selection up to it has been given. A part
//! that is caught up stands, without being touched, at its copy's head for as long as nothing of its
//! selection happens: what others erase meanwhile is no loss to it.

use std::sync::Arc;

use halley_shard::{Budget, Interest, Item, Next, Reader, Revision, Selection, ShardId, Time};

use crate::{
    SharedEvent,
    copy::{AheadKey, CopyState, ShardCopy},
    entry::{Entry, Signal},
    limits::CURSOR_SCAN_MAX,
};

/// A selection of one shard and the place in it.
#[derive(Debug)]
pub(crate) struct Part {
    copy: Arc<ShardCopy>,
    readings: Box<[Reading]>,
    /// Of all readings; `None` for a single one, which has it.
    selection: Option<Box<Selection>>,
    position: Revision,
    /// The head that a copy must have reached to be read from here ([`halley_shard::Cursor::as_of`]).
    least: Revision,
    /// Up to where gaps are still to be told, as of `least`.
    settled: Revision,
    /// The copy's generation in which everything up to its head had been given.
    caught_up: Option<u64>,
    waiting: Option<AheadKey>,
}

#[derive(Debug)]
struct Reading {
    entry: Arc<Entry>,
    place: u32,
}

/// What a part had to give.
#[derive(Debug)]
pub(crate) enum Taken {
    /// This copy is behind: wait.
    Behind,
    /// In revision order; empty when caught up. The place before them comes with them.
    Items {
        before: Revision,
        items: Vec<Item<SharedEvent>>,
        more: bool,
    },
}

/// How a part stands to its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be read.
    Level,
    /// The copy has not got all of it.
    NotHeld,
    /// It has seen more than the copy.
    Ahead,
}

impl Part {
    /// Registers `signal` for all `interests`, which are of this shard and differ; to be placed next.
    pub(crate) fn new(copy: Arc<ShardCopy>, interests: &[&Interest], signal: &Signal) -> Self {
        let join = |interest: &&Interest| {
            let (entry, place) = copy.join(interest, signal);
            Reading { entry, place }
        };
        let readings: Box<[Reading]> = interests.iter().map(join).collect();
        let many = || {
            Box::new(Selection::new(
                interests.iter().map(|interest| (*interest).clone()),
            ))
        };
        let selection = (readings.len() != 1).then(many);
        Self {
            copy,
            readings,
            selection,
            position: Revision::ZERO,
            least: Revision::ZERO,
            settled: Revision::ZERO,
            caught_up: None,
            waiting: None,
        }
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.copy.shard()
    }

    pub(crate) fn position(&self) -> Revision {
        self.position
    }

    /// The head that a copy must have reached to be read from `position`, where that is more.
    pub(crate) fn as_of(&self, position: Revision) -> Option<Revision> {
        (position < self.settled && position < self.least).then_some(self.least)
    }

    /// The least head of a leader to which this part's cursor can belong.
    pub(crate) fn wanted(&self) -> Revision {
        self.position.max(self.least)
    }

    /// Puts a part that has not been read yet behind `revision`, for copies that have reached `least`.
    pub(crate) fn place(&mut self, revision: Revision, least: Revision) {
        self.position = revision;
        self.least = least;
        self.settled = least;
    }

    /// Puts a part that has not been read yet at its copy's head; `false` while that is not known.
    pub(crate) fn place_at_head(&mut self) -> bool {
        let state = self.copy.lock();
        let held = self.is_held();
        if held {
            self.position = state.windows.head();
            self.caught_up = Some(state.generation);
        }
        held
    }

    /// The newest `count` events and the head as of them; `None` while not all is held.
    pub(crate) fn newest(&self, count: usize) -> Option<(Vec<(Time, Revision)>, Revision)> {
        let state = self.copy.lock();
        if !self.is_held() {
            return None;
        }
        let newest = Reader::newest(&state.windows, self.selection(), count)?;
        Some((newest, state.windows.head()))
    }

    /// What comes next. When it is behind, `signal` is notified as soon as it may be no more.
    pub(crate) fn take(&mut self, budget: Budget, signal: &Signal) -> Taken {
        let copy = Arc::clone(&self.copy);
        let mut state = copy.lock();
        self.wait_no_more(&mut state);
        let quiet = self.stands_at_head(&state);
        let before = self.position;
        if quiet {
            return Taken::Items {
                before,
                items: Vec::new(),
                more: false,
            };
        }
        match self.read(&state, budget) {
            Next::NotHeld => Taken::Behind,
            Next::Ahead { .. } => {
                self.waiting = Some(state.wait_for(self.wanted(), signal));
                Taken::Behind
            }
            Next::Items {
                items,
                through,
                more,
            } => {
                self.note_gaps(&state);
                self.position = self.position.max(through);
                self.caught_up = (!more).then_some(state.generation);
                Taken::Items {
                    before,
                    items,
                    more,
                }
            }
        }
    }

    /// Puts back what [`Part::take`] has just given from behind `before`.
    pub(crate) fn put_back(&mut self, before: Revision) {
        self.position = before;
        self.caught_up = None;
    }

    /// Moves the place as far as it goes without giving anything.
    pub(crate) fn settle(&mut self) {
        let copy = Arc::clone(&self.copy);
        let state = copy.lock();
        if self.stands_at_head(&state) {
            return;
        }
        let probe = Budget {
            items: 1,
            bytes: 1,
            scanned: CURSOR_SCAN_MAX,
        };
        if let Next::Items {
            items,
            through,
            more,
        } = self.read(&state, probe)
            && items.is_empty()
        {
            self.note_gaps(&state);
            self.position = self.position.max(through);
            self.caught_up = (!more).then_some(state.generation);
        }
    }

    /// How it stands to its copy now.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.copy.lock();
        let probe = Budget {
            items: 1,
            bytes: 1,
            scanned: 1,
        };
        match self.read(&state, probe) {
            Next::NotHeld => Standing::NotHeld,
            Next::Ahead { .. } => Standing::Ahead,
            Next::Items { .. } => Standing::Level,
        }
    }

    /// Remembers up to where gaps are still to be told, before the place moves on below them.
    fn note_gaps(&mut self, state: &CopyState) {
        let settled = Reader::settled(&state.windows, self.selection(), self.position);
        if settled > self.position {
            self.settled = settled;
            self.least = state.windows.head();
        }
    }

    fn read(&self, state: &CopyState, budget: Budget) -> Next<SharedEvent> {
        let head = state.windows.head();
        if self.is_held() && self.position < self.settled && head < self.least {
            Next::Ahead { head }
        } else if self.is_held() {
            Reader::next(&state.windows, self.selection(), self.position, budget)
        } else {
            Next::NotHeld
        }
    }

    /// Only with the copy locked.
    fn is_held(&self) -> bool {
        self.readings.iter().all(|reading| reading.entry.is_held())
    }

    /// Whether nothing of the selection has happened since everything had been given; then the place is the
    /// copy's head. If something has, the place is right before the first of it, where that is known; of a
    /// generation that is over, at most the head which that one ended with.
    fn stands_at_head(&mut self, state: &CopyState) -> bool {
        let Some(generation) = self.caught_up else {
            return false;
        };
        let current = generation == state.generation;
        let mut reach = match current {
            true => state.windows.head(),
            false if generation + 1 == state.generation => state.last_head,
            false => Revision::ZERO,
        };
        let mut quiet = true;
        for entry in self.readings.iter().map(|reading| &reading.entry) {
            if entry.touched_after(self.position) {
                quiet = false;
                let first = entry.first_after(self.position);
                reach = reach.min(first.map_or(Revision::ZERO, |touch| touch.before));
            }
        }
        self.position = self.position.max(reach);
        if !(quiet && current) {
            self.caught_up = None;
        }
        quiet && current
    }

    fn selection(&self) -> &Selection {
        match &self.selection {
            Some(selection) => selection,
            None => self.readings[0].entry.selection(),
        }
    }

    fn wait_no_more(&mut self, state: &mut CopyState) {
        if let Some(key) = self.waiting.take() {
            state.wait_no_more(key);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            let copy = Arc::clone(&self.copy);
            self.wait_no_more(&mut copy.lock());
        }
        for reading in &self.readings {
            self.copy.leave(&reading.entry, reading.place);
        }
    }
}
