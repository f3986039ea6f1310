//! Frames made and filled per second: `cargo bench -p halley-wire`.
//!
//! Invariant: prints figures and judges none.
#![allow(clippy::print_stdout, reason = "figures are what this program is for")]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use halley_shard::{ChannelName, Content, Event, Offset, Revision, Time};
use halley_wire::framing::{DomEventStream, Framing, Json, Sse};

const PAYLOAD_BYTES: usize = 128;
const CURSOR: &str = "1z141z3k9.0-kf12oi";

fn main() {
    let event = event();
    println!("{PAYLOAD_BYTES} B JSON events, one thread");
    let framings: [(&str, &dyn Framing); 5] = [
        ("json", &Json),
        ("sse", &Sse { data_only: false }),
        ("sse format=data", &Sse { data_only: true }),
        ("dom-event-stream", &DomEventStream { data_only: false }),
        ("dom format=data", &DomEventStream { data_only: true }),
    ];
    for (name, framing) in framings {
        let fragment = framing.event(&event);
        let bytes = fragment.filled_bytes(CURSOR);
        let encode = rate(|| drop(black_box(framing.event(black_box(&event)))));
        let fill = rate(|| drop(black_box(black_box(&fragment).fill(CURSOR))));
        let mut out = Vec::with_capacity(bytes);
        let append = rate(|| {
            out.clear();
            black_box(&fragment).fill_into(CURSOR, &mut out);
            black_box(&out);
        });
        println!(
            "{name:>18}: {bytes} B/frame, {encode:>9} encode/s, {fill:>9} fill/s, {append:>9} append/s"
        );
    }
    let text = Bytes::copy_from_slice(event.data());
    let compact = rate(|| drop(black_box(halley_wire::json::compact(black_box(&text)))));
    println!("{:>18}: {compact:>9} check/s", "json::compact");
}

fn event() -> Event {
    let mut data = "{\"symbol\":\"GOOG\",\"price\":182.97,\"note\":\"".to_owned();
    data.push_str(&"x".repeat(PAYLOAD_BYTES - data.len() - 2));
    data.push_str("\"}");
    assert_eq!(data.len(), PAYLOAD_BYTES);
    let content = Content {
        event_type: Some("quote".into()),
        content_type: "application/json".into(),
        data: Bytes::from(data),
        ..Content::default()
    };
    let channel = ChannelName::parse("/stocks/nyse/goog").expect("a channel name");
    let time = Time::new(1_795_219_200_123);
    Event::new(
        channel,
        Offset::new(17),
        Revision::new(1_234_567),
        time,
        false,
        &content,
    )
}

/// How often `work` runs in a second, measured over about one.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn rate(mut work: impl FnMut()) -> u64 {
    const CHUNK: u64 = 4_096;
    let begin = std::time::Instant::now();
    let mut runs = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        for _ in 0..CHUNK {
            work();
        }
        runs += CHUNK;
    }
    (runs as f64 / begin.elapsed().as_secs_f64()) as u64
}
