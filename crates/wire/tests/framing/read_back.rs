//! What readers get out of frames is what publishers put in.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use halley_shard::{ChannelName, Content, Gap, GapReason, Interest, Offset, Revision};
use halley_wire::{
    framing::{Framing, Json, Sse},
    json,
    publish::{PublishForm, check},
};
use proptest::prelude::*;
use serde_json::{Value, json as value};

use super::{
    CURSOR, content, event,
    event_source::{Message, interpret},
};

const ENVELOPE: Sse = Sse { data_only: false };
const DATA: Sse = Sse { data_only: true };

fn only_message(stream: &[u8]) -> Message {
    let mut messages = interpret(stream).messages;
    assert_eq!(messages.len(), 1, "{}", String::from_utf8_lossy(stream));
    messages.remove(0)
}

#[test]
fn a_whole_stream() {
    let content = content("text/plain", "");
    let gap = Gap {
        subject: Interest::Channel(ChannelName::parse("/a").expect("a name")),
        next: Some(Offset::new(10)),
        reason: GapReason::Trimmed,
        revision: Revision::new(3),
    };
    let stream = [
        DATA.opening(2_048, 1_234),
        DATA.progress("k3.0-2"),
        DATA.gap(&gap, "k3.0-3"),
        DATA.event(&event("/a", &content)).fill("k3.0-4"),
        DATA.ending(5_678),
    ];
    let read = interpret(&stream.concat());
    let message = |name: &str, data: &str, id: &str| Message {
        name: name.into(),
        data: data.into(),
        last_event_id: id.into(),
    };
    let told =
        "{\"gap\":{\"channel\":\"/a\",\"next\":10,\"reason\":\"trimmed\"},\"cursor\":\"k3.0-3\"}";
    let expected = [
        message("cursor", "k3.0-2", "k3.0-2"),
        message("gap", told, "k3.0-3"),
        message("message", "", "k3.0-4"),
    ];
    assert_eq!(read.messages, expected);
    assert_eq!(read.retry_ms, Some(5_678));
    assert_eq!(read.last_event_id, "k3.0-4");
    assert_eq!(interpret(&stream[0]).retry_ms, Some(1_234));
}

/// Contents as publishers may send them, checked.
fn published() -> impl Strategy<Value = Content> {
    let text = || "[a-z \r\n\"\\\\:\u{e4}\u{2028}\u{1}]{0,24}";
    let payload = prop_oneof![
        text().prop_map(|text| (
            "application/json",
            value!({ "a": [text, 1.5, null] }).to_string().into_bytes()
        )),
        text().prop_map(|text| (
            "application/ld+json",
            Value::from(text).to_string().into_bytes()
        )),
        text().prop_map(|text| ("text/plain", text.into_bytes())),
        any::<String>().prop_map(|text| ("text/html; charset=utf-8", text.into_bytes())),
        any::<Vec<u8>>().prop_map(|bytes| ("image/png", bytes)),
    ];
    let optional = || prop::option::of("[ a-z\":\\\\\u{e4}\u{2028}]{1,12}");
    let header = ("[a-z-]{1,6}", "[ -~\u{e4}]{0,8}");
    (payload, optional(), optional(), prop::option::of(header)).prop_filter_map(
        "reserved",
        |((content_type, data), event_type, id, header)| {
            let form = PublishForm {
                channel: "/a".into(),
                data: Bytes::from(data),
                content_type: Some(content_type.into()),
                event_type,
                id,
                headers: header.into_iter().collect(),
                ..PublishForm::default()
            };
            check(form, 1 << 16)
                .ok()
                .map(|publication| publication.content)
        },
    )
}

/// The envelope as the contract words it, built the slow way.
fn envelope(content: &Content) -> Value {
    let data = if content.content_type.contains("json") {
        serde_json::from_slice(&content.data).expect("published JSON")
    } else {
        match std::str::from_utf8(&content.data) {
            Ok(text) if content.content_type.starts_with("text/") => Value::from(text),
            _ => value!({ "base64": STANDARD.encode(&content.data) }),
        }
    };
    let mut envelope = value!({
        "channel": "/a/ä\u{e9}", "offset": 17, "cursor": CURSOR,
        "time": 1_795_219_200_123_u64, "data": data,
    });
    if let Some(event_type) = &content.event_type {
        envelope["type"] = Value::from(event_type.as_str());
    }
    if let Some(id) = &content.id {
        envelope["id"] = Value::from(id.as_str());
    }
    for (name, header) in &content.headers {
        envelope["headers"][name] = Value::from(header.as_str());
    }
    if content.content_type != "application/json" {
        envelope["content_type"] = Value::from(content.content_type.as_str());
    }
    envelope
}

proptest! {
    #[test]
    fn envelopes_read_back(content in published()) {
        let event = event("/a/ä\u{e9}", &content);
        let bytes = Json.event(&event).fill(CURSOR);
        prop_assert!(!bytes.contains(&b'\n') && !bytes.contains(&b'\r'));
        prop_assert_eq!(&json::compact(&bytes).expect("JSON"), &bytes);
        let read: Value = serde_json::from_slice(&bytes).expect("JSON");
        prop_assert_eq!(read, envelope(&content));

        let message = only_message(&ENVELOPE.event(&event).fill(CURSOR));
        prop_assert_eq!(message.data.as_bytes(), &bytes[..]);
        prop_assert_eq!(message.name, content.event_type.as_deref().unwrap_or("message"));
        prop_assert_eq!(message.last_event_id, CURSOR);
    }

    #[test]
    fn payloads_read_back(content in published()) {
        let message = only_message(&DATA.event(&event("/a", &content)).fill(CURSOR));
        let expected = if content.content_type == "image/png" {
            STANDARD.encode(&content.data)
        } else {
            let text = String::from_utf8(content.data.to_vec()).expect("checked");
            text.replace("\r\n", "\n").replace('\r', "\n")
        };
        prop_assert_eq!(message.data, expected);
        prop_assert_eq!(message.last_event_id, CURSOR);
    }

    #[test]
    fn a_stream_cut_anywhere_reads_as_whole_events(contents in prop::collection::vec(published(), 1..4), cut: prop::sample::Index) {
        let stream: Vec<u8> =
            contents.iter().flat_map(|content| DATA.event(&event("/a", content)).fill(CURSOR)).collect();
        let whole = interpret(&stream).messages;
        prop_assert_eq!(whole.len(), contents.len());
        let part = interpret(&stream[..cut.index(stream.len())]).messages;
        prop_assert_eq!(&part[..], &whole[..part.len()]);
    }
}
