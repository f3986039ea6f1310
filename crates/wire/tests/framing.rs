//! Frames, byte by byte against golden files (`UPDATE_GOLDEN=1` rewrites them), and Server-Sent Events against a
//! parser written from HTML, 9.2.

#[path = "framing/event_source.rs"]
mod event_source;
#[path = "framing/golden.rs"]
mod golden;
#[path = "framing/read_back.rs"]
mod read_back;

use bytes::Bytes;
use halley_shard::{ChannelName, Content, Event, Offset, Revision, Time};

/// The one cursor that frames are filled with here.
const CURSOR: &str = "k3.0-9";

/// An event of `content` at a fixed place.
fn event(channel: &str, content: &Content) -> Event {
    let channel = ChannelName::parse(channel).expect("a channel of this test");
    let time = Time::new(1_795_219_200_123);
    Event::new(
        channel,
        Offset::new(17),
        Revision::new(9),
        time,
        false,
        content,
    )
}

/// Content of nothing but data.
fn content(content_type: &str, data: impl AsRef<[u8]>) -> Content {
    let data = Bytes::copy_from_slice(data.as_ref());
    Content {
        content_type: content_type.to_owned(),
        data,
        ..Content::default()
    }
}
