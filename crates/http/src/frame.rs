//! The bytes of one event for one subscriber, shared with everybody who gets the same ones.

use bytes::Bytes;
use halley_hub::{MemoSlot, SharedEvent};
use halley_shard::{Cursor, Retained};
use halley_wire::framing::{Fragment, Framing};

/// Where an event remembers whole frames, by the framing's own slot (which remembers the fragment).
const WHOLE_SLOTS: [Option<MemoSlot>; 5] = [
    Some(MemoSlot(5)),
    Some(MemoSlot(6)),
    Some(MemoSlot(7)),
    None,
    None,
];

/// The event as `framing` writes it, with `cursor` (whose text is `cursor_text`) behind it. Subscriptions
/// within one shard all have the same cursor there, hence the same frame; across shards only the fragment
/// is the same.
pub(crate) fn frame(
    event: &SharedEvent,
    framing: &dyn Framing,
    cursor: &Cursor,
    cursor_text: impl FnOnce() -> String,
) -> Bytes {
    let slot = framing.slot();
    let whole_slot = WHOLE_SLOTS.get(usize::from(slot)).copied().flatten();
    if let (Some(whole), [(_, revision)]) = (whole_slot, cursor.positions())
        && *revision == event.event().revision()
        && cursor.is_plain()
    {
        let fill = |event: &halley_shard::Event| framing.event(event).fill(&cursor_text());
        return event.memo::<Bytes>(whole, fill).clone();
    }
    let fragment = event.memo::<Fragment>(MemoSlot(slot), |event| framing.event(event));
    fragment.fill(&cursor_text())
}
