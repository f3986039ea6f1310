//! The one decision of delivery: what a cursor may have next of one shard.
//!
//! Invariant: a subscription is read in revision order across all its channels, and reading may stop after
//! any revision; channel by channel with one cursor would lose events.

use crate::{
    ChannelName, Floor, Interest, Lookup, Offset, Retained, Revision, Selection, Time, Windows,
};

/// How much one reading may take. At least one item is given whatever the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Items.
    pub items: usize,
    /// Bytes of the events, as retention counts them.
    pub bytes: usize,
    /// Events looked at, those of other channels under the same index included.
    pub scanned: usize,
}

/// The answer to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<E> {
    /// This copy does not have all of the selection yet: wait.
    NotHeld,
    /// The reader has seen more elsewhere than this copy has: wait, bounded; never reset.
    Ahead {
        /// This copy's head.
        head: Revision,
    },
    /// What comes next, in revision order; empty when nothing of the selection came after the cursor.
    Items {
        /// Events and gaps.
        items: Vec<Item<E>>,
        /// The cursor after all of `items`: this copy's head unless `more`.
        through: Revision,
        /// The budget ended the reading; there may be more right now.
        more: bool,
    },
}

/// Something to tell a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<E> {
    /// An event.
    Event(E),
    /// Something is gone.
    Gap(Gap),
}

/// What was not yet delivered before `next` is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The channel, or the pattern where the channel is not known.
    pub subject: Interest,
    /// The offset at which the channel goes on, where known.
    pub next: Option<Offset>,
    /// Why.
    pub reason: GapReason,
    /// The cursor behind it.
    pub revision: Revision,
}

/// Why events are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Retention or a deletion took them.
    Trimmed,
    /// The name was used again, above its old offsets.
    Recreated,
    /// Nothing is remembered of the name, or of the names under the pattern.
    Unknown,
    /// The cursor was of another history or unreadable: reading starts at the oldest retained event.
    ForeignCursor,
}

/// Places and advances cursors. Stateless: all that a reader is, is its cursor.
#[derive(Clone, Copy, Debug)]
pub struct Reader;

impl Reader {
    /// What comes after `after` of `selection`.
    #[must_use]
    pub fn next<E: Retained>(
        view: &Windows<E>,
        selection: &Selection,
        after: Revision,
        budget: Budget,
    ) -> Next<E> {
        if !selection.interests().all(|interest| view.holds(&interest)) {
            return Next::NotHeld;
        }
        if after > view.head() {
            return Next::Ahead { head: view.head() };
        }
        let mut taking = Taking {
            budget,
            bytes: 0,
            items: Vec::new(),
            through: after,
            scanned: 0,
        };
        let more = if selection.patterns().is_empty() {
            taking.merge(view, selection, after)
        } else {
            taking.scan(view, selection, after)
        };
        let through = if more { taking.through } else { view.head() };
        Next::Items {
            items: taking.items,
            through,
            more,
        }
    }

    /// Up to where gaps are still to be told to a reader that has seen `after`; `after` itself when none are.
    ///
    /// What is gone below such a gap was passed over without a word so far. A reader that leaves before it
    /// has been told must not go on from a copy older than this one, which might not know of the gap: its
    /// cursor says so ([`crate::Cursor::as_of`]). For patterns this may name more than there is to tell.
    #[must_use]
    pub fn settled<E: Retained>(
        view: &Windows<E>,
        selection: &Selection,
        after: Revision,
    ) -> Revision {
        let known = known_gaps(view, selection, after)
            .into_iter()
            .map(|gap| gap.revision);
        let floor = (!selection.patterns().is_empty()).then(|| view.highest_floor());
        known.chain(floor).fold(after, Revision::max)
    }

    /// Times and revisions of the newest `count` retained events of `selection`, newest first.
    /// A reader placed at `revision.before()` of one of them gets it next. `None` when not all is held.
    #[must_use]
    pub fn newest<E: Retained>(
        view: &Windows<E>,
        selection: &Selection,
        count: usize,
    ) -> Option<Vec<(Time, Revision)>> {
        if !selection.interests().all(|interest| view.holds(&interest)) {
            return None;
        }
        let place = |held: &E| (held.event().time(), held.event().revision());
        if !selection.patterns().is_empty() {
            let newest = view
                .newest_first()
                .filter(|held| selection.matches(held.event().channel()));
            return Some(newest.take(count).map(place).collect());
        }
        let windows = selection
            .channels()
            .iter()
            .filter_map(|name| view.window(name));
        let mut all: Vec<_> = windows
            .flat_map(|window| window.events().rev().take(count).map(place))
            .collect();
        all.sort_unstable_by_key(|(_, revision)| std::cmp::Reverse(*revision));
        all.truncate(count);
        Some(all)
    }
}

/// A reading under way.
struct Taking<E> {
    budget: Budget,
    bytes: usize,
    items: Vec<Item<E>>,
    /// Everything up to here is in `items`.
    through: Revision,
    /// Events and floors looked at under an index.
    scanned: usize,
}

impl<E: Retained> Taking<E> {
    /// Whether anything more would exceed the budget; never before the first item.
    fn full(&self) -> bool {
        let Budget { items, bytes, .. } = self.budget;
        !self.items.is_empty() && (self.items.len() >= items || self.bytes >= bytes)
    }

    /// Gives all gaps of one revision.
    fn gaps(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        for gap in gaps {
            self.through = gap.revision;
            self.items.push(Item::Gap(gap));
        }
    }

    /// Gives an event, and before it the mark of its recreated channel. False when the budget ended
    /// between the two or before.
    fn event(&mut self, held: &E, after: Revision) -> bool {
        let event = held.event();
        let mark = event.revision().before();
        if event.recreated() && after < mark && self.through < mark {
            if self.full() {
                return false;
            }
            self.gaps([Gap {
                subject: Interest::Channel(event.channel().clone()),
                next: Some(event.offset()),
                reason: GapReason::Recreated,
                revision: mark,
            }]);
        }
        let bytes = event.retained_bytes();
        if self.full() || (!self.items.is_empty() && self.bytes + bytes > self.budget.bytes) {
            return false;
        }
        self.bytes += bytes;
        self.through = event.revision();
        self.items.push(Item::Event(held.clone()));
        true
    }

    /// Few channels: merges their windows. True when the budget ended it.
    fn merge(&mut self, view: &Windows<E>, selection: &Selection, after: Revision) -> bool {
        let mut gaps = known_gaps(view, selection, after);
        gaps.sort_by_key(|gap| gap.revision);
        let mut gaps = gaps.into_iter().map(Mark::known).peekable();
        let windows = selection
            .channels()
            .iter()
            .filter_map(|name| view.window(name));
        let mut runs: Vec<_> = windows
            .map(|window| window.after(after).peekable())
            .collect();
        loop {
            let next = runs
                .iter_mut()
                .enumerate()
                .filter_map(|(index, run)| run.peek().map(|held| (held.event().revision(), index)))
                .min();
            let due = next.map_or(Revision::new(u64::MAX), |(revision, _)| revision);
            if !self.told(&mut gaps, due) {
                return true;
            }
            let Some((_, index)) = next else { return false };
            let held = runs[index].next().expect("just peeked");
            if !self.event(held, after) {
                return true;
            }
        }
    }

    /// Tells all gaps below `due`, one revision at a time. False when the budget ended it.
    fn told(&mut self, marks: &mut Marks<impl Iterator<Item = Mark>>, due: Revision) -> bool {
        while let Some(revision) = marks.peek().map(|mark| mark.revision)
            && revision < due
        {
            if self.full() || self.scanned >= self.budget.scanned.max(1) {
                return false;
            }
            self.through = revision;
            while let Some(mark) = marks.next_if(|mark| mark.revision == revision) {
                self.scanned += usize::from(mark.indexed);
                self.gaps(mark.gap);
            }
        }
        true
    }

    /// Patterns: filters the index. True when the budget ended it.
    fn scan(&mut self, view: &Windows<E>, selection: &Selection, after: Revision) -> bool {
        // What the index of floors does not know: names without a window, and the patterns themselves.
        let mut known = known_gaps(view, selection, after);
        known.retain(
            |gap| !matches!(&gap.subject, Interest::Channel(name) if view.window(name).is_some()),
        );
        known.sort_by_key(|gap| gap.revision);
        let floors = view.floors_after(after).map(|(revision, name)| {
            let window = selection.matches(name).then(|| view.window(name)).flatten();
            let gap = window.map(|window| trimmed(name.clone(), window.floor()));
            Mark {
                revision,
                gap,
                indexed: true,
            }
        });
        let mut gaps = Merged {
            one: known.into_iter().map(Mark::known).peekable(),
            two: floors.peekable(),
        }
        .peekable();
        for held in view.events_after(after) {
            let revision = held.event().revision();
            if !self.told(&mut gaps, revision) {
                return true;
            }
            if self.scanned >= self.budget.scanned.max(1) {
                return true;
            }
            self.scanned += 1;
            if !selection.matches(held.event().channel()) {
                self.through = revision;
            } else if !self.event(held, after) {
                return true;
            }
        }
        !self.told(&mut gaps, Revision::new(u64::MAX))
    }
}

/// A place in the order that a reading passes: a gap, or a floor that is none of the reader's.
#[derive(Debug)]
struct Mark {
    revision: Revision,
    gap: Option<Gap>,
    /// Found under an index, which costs the same whether it is the reader's or not.
    indexed: bool,
}

type Marks<I> = std::iter::Peekable<I>;

impl Mark {
    fn known(gap: Gap) -> Self {
        Self {
            revision: gap.revision,
            gap: Some(gap),
            indexed: false,
        }
    }
}

/// Two runs of marks, merged by revision.
struct Merged<A: Iterator<Item = Mark>, B: Iterator<Item = Mark>> {
    one: Marks<A>,
    two: Marks<B>,
}

impl<A: Iterator<Item = Mark>, B: Iterator<Item = Mark>> Iterator for Merged<A, B> {
    type Item = Mark;

    fn next(&mut self) -> Option<Mark> {
        match (self.one.peek(), self.two.peek()) {
            (Some(one), Some(two)) if two.revision < one.revision => self.two.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.two.next(),
        }
    }
}

fn trimmed(name: ChannelName, floor: Floor) -> Gap {
    Gap {
        subject: Interest::Channel(name),
        next: Some(floor.offset.next()),
        reason: GapReason::Trimmed,
        revision: floor.revision,
    }
}

/// The gaps of the channels named and of the patterns, in no order.
fn known_gaps<E: Retained>(view: &Windows<E>, selection: &Selection, after: Revision) -> Vec<Gap> {
    let forgotten = view.forgotten();
    let unknown = |subject: Interest, revision: Revision| Gap {
        subject,
        next: None,
        reason: GapReason::Unknown,
        revision,
    };
    let named = selection
        .channels()
        .iter()
        .map(|name| match view.lookup(name) {
            Lookup::Window(window) => trimmed(name.clone(), window.floor()),
            // At or below the mark another copy may have dropped it: all must tell the loss at one place,
            // or a reader that goes from one to the other passes it unseen.
            Lookup::Tombstone(floor) if floor.revision > forgotten.revision => {
                trimmed(name.clone(), floor)
            }
            Lookup::Tombstone(_) | Lookup::Absent | Lookup::NotHeld => {
                unknown(Interest::Channel(name.clone()), forgotten.revision)
            }
        });
    let patterns = selection.patterns().iter();
    let patterns =
        patterns.map(|pattern| unknown(Interest::Pattern(pattern.clone()), forgotten.erased));
    named
        .chain(patterns)
        .filter(|gap| gap.revision > after)
        .collect()
}
