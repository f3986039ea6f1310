//! One interest and who reads it: where a change finds the subscriptions that wait for it.
//!
//! Invariant: a subscription is registered here from before its first reading until it is dropped, so no
//! change between a reading and the waiting after it can be missed; its signal keeps one wake-up for later.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use halley_shard::{Interest, Revision, Selection};
use tokio::sync::Notify;

use crate::limits::TOUCHES_MAX;

/// How one subscription is woken.
pub(crate) type Signal = Arc<Notify>;

/// An interest that somebody reads, or did lately.
#[derive(Debug)]
pub(crate) struct Entry {
    interest: Interest,
    /// The interest alone, for the many subscriptions that read nothing else of their shard.
    selection: Selection,
    /// Revision of the newest event that matched; changed only with the copy locked.
    touched: AtomicU64,
    touches: Mutex<Touches>,
    /// Everything of it is here, what its name left behind included; changed only with the copy locked.
    held: AtomicBool,
    /// It is on a list of entries to be woken.
    waking: AtomicBool,
    readers: Mutex<Readers>,
}

/// The newest events that matched.
#[derive(Debug, Default)]
struct Touches {
    recent: VecDeque<Touch>,
    /// Nothing is known of those up to here.
    unknown: Revision,
}

/// An event that matched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    /// Where it stands.
    pub(crate) at: Revision,
    /// Before all that a reader is told of it (the mark of a recreated name stands before its event).
    pub(crate) before: Revision,
}

/// Signals in numbered places, so that one is found again without a search.
#[derive(Debug, Default)]
struct Readers {
    places: Vec<Option<Signal>>,
    free: Vec<u32>,
}

impl Entry {
    pub(crate) fn new(interest: Interest) -> Self {
        let selection = Selection::new([interest.clone()]);
        Self {
            interest,
            selection,
            touched: AtomicU64::new(0),
            touches: Mutex::default(),
            held: AtomicBool::new(false),
            waking: AtomicBool::new(false),
            readers: Mutex::default(),
        }
    }

    pub(crate) fn interest(&self) -> &Interest {
        &self.interest
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Whether everything of it is here. Not so while only a pattern over it is: of a name without a window
    /// that does not tell what is gone.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// The copy must be locked.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// Whether an event behind `position` has matched.
    pub(crate) fn touched_after(&self, position: Revision) -> bool {
        self.touched.load(Ordering::Relaxed) > position.get()
    }

    /// The first event behind `position` that has matched, if that is known. Only after
    /// [`Entry::touched_after`].
    pub(crate) fn first_after(&self, position: Revision) -> Option<Touch> {
        let touches = self.touches();
        let known = touches.unknown <= position;
        let mut recent = touches.recent.iter().filter(|_| known);
        recent.find(|touch| touch.at > position).copied()
    }

    /// Notes an event that matches; the copy must be locked. Puts this entry on `wake` unless it is there.
    pub(crate) fn touch(self: &Arc<Self>, touch: Touch, wake: &mut Vec<Arc<Self>>) {
        self.touched.fetch_max(touch.at.get(), Ordering::Relaxed);
        let mut touches = self.touches();
        touches.recent.push_back(touch);
        if touches.recent.len() > TOUCHES_MAX
            && let Some(dropped) = touches.recent.pop_front()
        {
            touches.unknown = touches.unknown.max(dropped.at);
        }
        drop(touches);
        self.queue(wake);
    }

    /// Notes that there may be events up to `through`, nobody says which; the copy must be locked.
    pub(crate) fn touch_up_to(self: &Arc<Self>, through: Revision, wake: &mut Vec<Arc<Self>>) {
        self.touched.fetch_max(through.get(), Ordering::Relaxed);
        let mut touches = self.touches();
        touches.unknown = touches.unknown.max(through);
        drop(touches);
        self.queue(wake);
    }

    /// Puts this entry on `wake` unless it is there already; the copy must be locked.
    pub(crate) fn queue(self: &Arc<Self>, wake: &mut Vec<Arc<Self>>) {
        if !self.waking.swap(true, Ordering::Relaxed) {
            wake.push(Arc::clone(self));
        }
    }

    /// Wakes everybody registered, in the order of their places.
    pub(crate) fn wake(&self) {
        self.waking.store(false, Ordering::Relaxed);
        self.readers()
            .places
            .iter()
            .flatten()
            .for_each(|signal| signal.notify_one());
    }

    /// Registers `signal`; the place is for [`Entry::unregister`].
    pub(crate) fn register(&self, signal: &Signal) -> u32 {
        let mut readers = self.readers();
        if let Some(place) = readers.free.pop() {
            readers.places[place as usize] = Some(Arc::clone(signal));
            return place;
        }
        readers.places.push(Some(Arc::clone(signal)));
        u32::try_from(readers.places.len() - 1).expect("fewer subscriptions than memory for 2^32")
    }

    pub(crate) fn unregister(&self, place: u32) {
        let mut readers = self.readers();
        readers.places[place as usize] = None;
        readers.free.push(place);
    }

    fn touches(&self) -> MutexGuard<'_, Touches> {
        self.touches
            .lock()
            .expect("nobody panics while holding the touches")
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers
            .lock()
            .expect("nobody panics while holding the readers")
    }
}

#[cfg(test)]
mod tests {
    use halley_shard::ChannelName;

    use super::*;

    fn entry() -> Arc<Entry> {
        Arc::new(Entry::new(Interest::Channel(
            ChannelName::parse("/a").unwrap(),
        )))
    }

    fn touch(at: u64) -> Touch {
        Touch {
            at: Revision::new(at),
            before: Revision::new(at - 1),
        }
    }

    #[tokio::test]
    async fn a_wake_up_before_the_waiting_is_kept() {
        let entry = entry();
        let signal = Signal::default();
        let place = entry.register(&signal);
        let mut wake = Vec::new();
        entry.touch(touch(3), &mut wake);
        entry.touch(touch(4), &mut wake);
        assert_eq!(wake.len(), 1);
        wake.pop().unwrap().wake();
        signal.notified().await;
        entry.unregister(place);
        assert_eq!(Arc::strong_count(&signal), 1);
        assert_eq!(entry.register(&signal), place);
    }

    #[test]
    fn the_first_touch_behind_a_place_is_known_for_a_while() {
        let entry = entry();
        let first = |position| {
            entry
                .first_after(Revision::new(position))
                .map(|touch| touch.at.get())
        };
        let mut wake = Vec::new();
        for at in [3, 5, 9] {
            entry.touch(touch(at), &mut wake);
        }
        assert!(entry.touched_after(Revision::new(8)) && !entry.touched_after(Revision::new(9)));
        assert_eq!(
            [first(0), first(3), first(4), first(8)],
            [Some(3), Some(5), Some(5), Some(9)]
        );
        for at in 10..10 + TOUCHES_MAX as u64 {
            entry.touch(touch(at), &mut wake);
        }
        assert_eq!([first(8), first(9)], [None, Some(10)]);
        entry.touch_up_to(Revision::new(1_000), &mut wake);
        assert!(entry.touched_after(Revision::new(999)));
        assert_eq!([first(9), first(1_000)], [None, None]);
    }
}
