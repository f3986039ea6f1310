//! The retained newest run of one channel.
//!
//! Invariant: `events` are exactly the offsets after `floor.offset`, without holes, in revision order.

use std::collections::VecDeque;

use crate::{Floor, Offset, Retained, Revision};

/// The retained events of one channel.
#[derive(Clone, Debug)]
pub struct Window<E> {
    floor: Floor,
    events: VecDeque<E>,
    bytes: u64,
}

impl<E: Retained> Window<E> {
    /// A window above `floor`; `events` continue it without a hole.
    pub(crate) fn new(floor: Floor, events: Vec<E>) -> Self {
        let bytes = events.iter().map(bytes_of).sum();
        Self {
            floor,
            events: events.into(),
            bytes,
        }
    }

    /// What is gone.
    #[must_use]
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// The retained events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &E> + ExactSizeIterator {
        self.events.iter()
    }

    /// The retained events after `revision`, oldest first.
    pub(crate) fn after(&self, revision: Revision) -> impl Iterator<Item = &E> {
        let skip = self
            .events
            .partition_point(|held| held.event().revision() <= revision);
        self.events.range(skip..)
    }

    /// The offset that the next event will have (unless the name is erased before).
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.events
            .back()
            .map_or(self.floor.offset, |held| held.event().offset())
            .next()
    }

    /// Retained bytes, as [`crate::Event::retained_bytes`] counts them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest retained event.
    pub(crate) fn oldest(&self) -> Option<&E> {
        self.events.front()
    }

    /// The newest retained event.
    pub(crate) fn newest(&self) -> Option<&E> {
        self.events.back()
    }

    /// The floor that this window would leave behind if all of it went.
    pub(crate) fn end(&self) -> Floor {
        self.events.back().map_or(self.floor, |held| floor_at(held))
    }

    pub(crate) fn push(&mut self, held: E) {
        debug_assert_eq!(
            held.event().offset(),
            self.next_offset(),
            "a hole in a window"
        );
        self.bytes += bytes_of(&held);
        self.events.push_back(held);
    }

    /// Drops the oldest event; the floor rises to it.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let held = self.events.pop_front()?;
        self.bytes -= bytes_of(&held);
        self.floor = floor_at(&held);
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(held)
    }

    /// Raises the floor of a window whose events up to it are gone already.
    pub(crate) fn raise(&mut self, floor: Floor) {
        debug_assert!(
            self.events
                .front()
                .is_none_or(|held| held.event().offset() > floor.offset)
        );
        self.floor = floor;
    }
}

fn bytes_of<E: Retained>(held: &E) -> u64 {
    held.event().retained_bytes() as u64
}

fn floor_at<E: Retained>(held: &E) -> Floor {
    Floor {
        offset: held.event().offset(),
        revision: held.event().revision(),
    }
}
