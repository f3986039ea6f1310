//! An event together with what this node's framings remember of it, so that each is encoded once.
//!
//! Invariant: what a slot remembers is made once and never changes; an event that nobody has framed yet pays
//! for no slot.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

use halley_shard::{Event, Retained};

/// Forms that one event can remember.
const MEMO_SLOTS: usize = 8;

/// Which of an event's memoised forms, 0 to 7; the rooms above number their framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoSlot(pub u8);

/// An event with its memoised frames; shared by all of this node's subscribers.
#[derive(Clone)]
pub struct SharedEvent(Arc<Inner>);

struct Inner {
    event: Arc<Event>,
    memos: OnceLock<Box<[Memo; MEMO_SLOTS]>>,
}

type Memo = OnceLock<Box<dyn Any + Send + Sync>>;

impl SharedEvent {
    /// A fresh wrapping, which remembers nothing yet.
    #[must_use]
    pub fn new(event: Arc<Event>) -> Self {
        Self(Arc::new(Inner {
            event,
            memos: OnceLock::new(),
        }))
    }

    /// What `slot` remembers, made by `make` the first time; others that ask meanwhile wait for it.
    ///
    /// # Panics
    /// When `slot` is not below 8, or was asked for with another type before.
    pub fn memo<T: Any + Send + Sync>(&self, slot: MemoSlot, make: impl FnOnce(&Event) -> T) -> &T {
        let memos = self.0.memos.get_or_init(Box::default);
        let memo = memos
            .get(usize::from(slot.0))
            .expect("memo slots are below 8");
        let made = memo.get_or_init(|| Box::new(make(&self.0.event)));
        made.downcast_ref()
            .expect("one slot is always asked for with one type")
    }
}

impl Retained for SharedEvent {
    fn event(&self) -> &Event {
        &self.0.event
    }
}

impl fmt::Debug for SharedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.event.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use halley_shard::{ChannelName, Content, Offset, Revision, Time};

    use super::*;

    fn event() -> SharedEvent {
        let channel = ChannelName::parse("/a").unwrap();
        let (offset, revision) = (Offset::new(1), Revision::new(7));
        let content = Content::default();
        SharedEvent::new(Arc::new(Event::new(
            channel,
            offset,
            revision,
            Time::new(3),
            false,
            &content,
        )))
    }

    #[test]
    fn a_slot_is_made_once_for_all_clones() {
        let event = event();
        let twin = event.clone();
        assert_eq!(event.memo(MemoSlot(0), |event| event.revision().get()), &7);
        assert_eq!(
            twin.memo(MemoSlot(0), |_| -> u64 { unreachable!("made already") }),
            &7
        );
        assert_eq!(twin.memo(MemoSlot(7), |_| "other slot"), &"other slot");
    }

    #[test]
    #[should_panic(expected = "memo slots are below 8")]
    fn there_is_no_slot_8() {
        event().memo(MemoSlot(8), |_| ());
    }
}
