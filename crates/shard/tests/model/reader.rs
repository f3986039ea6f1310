//! A reader that notes all it was given, and what must be true of that.

use std::{collections::BTreeMap, sync::Arc};

use halley_shard::{
    Budget, ChannelName, Event, Gap, GapReason, Interest, Item, Next, Reader, Revision, Selection,
    Windows,
};

use super::World;

/// Enough for everything.
pub(crate) const ALL: Budget = Budget {
    items: usize::MAX,
    bytes: usize::MAX,
    scanned: usize::MAX,
};

/// A cursor, from where it began on.
#[derive(Clone, Debug)]
pub(crate) struct ModelReader {
    pub(crate) selection: Selection,
    start: Revision,
    pub(crate) cursor: Revision,
    /// Head that a copy must have reached to know of the gaps that are still to be told; zero without any.
    pub(crate) as_of: Revision,
    events: Vec<(ChannelName, u64, Revision)>,
    pub(crate) gaps: Vec<Gap>,
}

impl ModelReader {
    pub(crate) fn new(interests: Vec<Interest>, start: Revision) -> Self {
        let selection = Selection::new(interests);
        Self {
            selection,
            start,
            cursor: start,
            as_of: Revision::ZERO,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Reads once; says whether there may be more right now.
    pub(crate) fn read(
        &mut self,
        world: &World,
        copy: &Windows<Arc<Event>>,
        budget: Budget,
    ) -> bool {
        // See `an_older_copy_does_not_know_of_a_loss_half_told`.
        if copy.head() < self.as_of {
            return false;
        }
        let before = self.cursor;
        match Reader::next(copy, &self.selection, before, budget) {
            Next::NotHeld => false,
            Next::Ahead { head } => {
                assert_eq!(head, copy.head());
                assert!(before > head);
                false
            }
            Next::Items {
                items,
                through,
                more,
            } => {
                self.check_shape(&items, through, more, copy, budget);
                for item in items {
                    self.take(world, item);
                }
                self.cursor = through;
                let settled = Reader::settled(copy, &self.selection, through);
                self.as_of = if settled > through {
                    copy.head()
                } else {
                    Revision::ZERO
                };
                assert!(
                    more || self.as_of == Revision::ZERO,
                    "all is told at the head"
                );
                more
            }
        }
    }

    fn check_shape(
        &self,
        items: &[Item<Arc<Event>>],
        through: Revision,
        more: bool,
        copy: &Windows<Arc<Event>>,
        budget: Budget,
    ) {
        let mut last = self.cursor;
        let mut revisions = 0;
        let mut bytes = 0;
        for item in items {
            let revision = revision_of(item);
            assert!(revision > self.cursor, "nothing is given twice");
            assert!(revision >= last, "in revision order");
            revisions += usize::from(revision > last);
            last = revision;
            if let Item::Event(event) = item {
                bytes += event.retained_bytes();
            }
        }
        assert!(through >= last && through <= copy.head());
        if more {
            assert!(through > self.cursor, "every reading gets on");
        } else {
            assert_eq!(through, copy.head());
        }
        assert!(revisions <= budget.items.max(1));
        assert!(
            bytes <= budget.bytes || revisions <= 2,
            "one event, and its mark"
        );
    }

    fn take(&mut self, world: &World, item: Item<Arc<Event>>) {
        let gap = match item {
            Item::Event(event) => {
                assert!(self.selection.matches(event.channel()));
                let place = (event.channel().clone(), event.offset().get());
                let record = world.record(&place.0, place.1);
                assert_eq!(record.revision, event.revision());
                let own = self
                    .events
                    .iter()
                    .filter(|(channel, ..)| *channel == place.0);
                assert!(
                    own.clone().all(|(_, offset, _)| *offset < place.1),
                    "in order, once"
                );
                let told = self.gaps_of(&place.0).filter_map(|gap| gap.next);
                assert!(
                    told.into_iter().all(|next| next.get() <= place.1),
                    "said to be gone"
                );
                self.events.push((place.0, place.1, event.revision()));
                return;
            }
            Item::Gap(gap) => gap,
        };
        self.check_gap(world, &gap);
        self.gaps.push(gap);
    }

    fn gaps_of(&self, channel: &ChannelName) -> impl Iterator<Item = &Gap> {
        let subject = Interest::Channel(channel.clone());
        self.gaps.iter().filter(move |gap| gap.subject == subject)
    }

    /// What the gap says is so.
    fn check_gap(&self, world: &World, gap: &Gap) {
        assert!(!self.gaps.contains(gap), "told once: {gap:?}");
        match (&gap.subject, gap.reason, gap.next) {
            (Interest::Channel(channel), GapReason::Trimmed, Some(next)) => {
                assert!(self.selection.matches(channel));
                let lost = world.record(channel, next.get() - 1);
                assert_eq!(lost.revision, gap.revision);
                assert!(lost.gone.is_some() && lost.revision > self.start);
                let place = (channel.clone(), lost.offset, lost.revision);
                assert!(
                    !self.events.contains(&place),
                    "{place:?} was given, not lost"
                );
            }
            (Interest::Channel(channel), GapReason::Recreated, Some(next)) => {
                assert!(self.selection.matches(channel));
                let first = world.record(channel, next.get());
                assert!(first.recreated && first.revision.before() == gap.revision);
            }
            (subject, GapReason::Unknown, None) => {
                assert!(
                    self.selection
                        .interests()
                        .any(|interest| interest == *subject)
                );
                let lost = world
                    .records
                    .iter()
                    .find(|record| record.revision == gap.revision);
                assert!(lost.is_some_and(|lost| lost.gone.is_some()));
            }
            _ => panic!("no such gap: {gap:?}"),
        }
    }

    /// Everything of the selection since the start was given, or its loss was told.
    pub(crate) fn check_complete(&self, world: &World) {
        let given: BTreeMap<_, _> = self
            .events
            .iter()
            .map(|(channel, offset, _)| ((channel, *offset), ()))
            .collect();
        for record in &world.records {
            let seen = record.revision <= self.start || record.revision > self.cursor;
            if seen || !self.selection.matches(&record.channel) {
                continue;
            }
            if given.contains_key(&(&record.channel, record.offset)) {
                continue;
            }
            let covers = |gap: &&Gap| match gap.next {
                Some(next) => next.get() > record.offset,
                None => gap.revision >= record.revision,
            };
            let about = self
                .gaps
                .iter()
                .filter(|gap| gap.subject.matches(&record.channel));
            let told = about.filter(covers).count() > 0;
            assert!(told, "lost in silence: {record:?} to {self:#?}");
        }
    }

    /// Reads to the end of `copy` by small steps and checks the whole.
    pub(crate) fn finish(mut self, world: &World, copy: &Windows<Arc<Event>>, budget: Budget) {
        for _ in 0..10_000 {
            if !self.read(world, copy, budget) {
                assert_eq!(self.cursor, copy.head(), "the copy holds all of it");
                self.check_complete(world);
                return;
            }
        }
        panic!("a reading that never ends");
    }
}

fn revision_of(item: &Item<Arc<Event>>) -> Revision {
    match item {
        Item::Event(event) => event.revision(),
        Item::Gap(gap) => gap.revision,
    }
}
