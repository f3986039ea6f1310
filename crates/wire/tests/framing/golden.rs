//! Golden files: `tests/golden/<framing>/<case>`, the whole frame as it goes to the socket.

use std::{collections::BTreeSet, fs, path::PathBuf};

use halley_shard::{
    ChannelName, ChannelPattern, Content, Gap, GapReason, Interest, Offset, Revision,
};
use halley_wire::framing::{DomEventStream, Framing, Json, Sse};

use super::{CURSOR, content, event};

const FRAMINGS: [(&str, &dyn Framing); 5] = [
    ("json", &Json),
    ("sse-envelope", &Sse { data_only: false }),
    ("sse-data", &Sse { data_only: true }),
    ("dom-envelope", &DomEventStream { data_only: false }),
    ("dom-data", &DomEventStream { data_only: true }),
];

fn contents() -> Vec<(&'static str, Content)> {
    let json = "application/json";
    let full = Content {
        event_type: Some("quote".into()),
        id: Some("page-7".into()),
        headers: vec![
            ("trace-id".into(), "a\"b".into()),
            ("x".into(), String::new()),
        ],
        ..content(json, "{\"price\":1.10,\"at\":\"\\u00e4\"}")
    };
    let odd = Content {
        event_type: Some("größe \"x\"".into()),
        ..content(json, "\"\u{2028}</script>\"")
    };
    let full_binary = Content {
        event_type: Some("blob".into()),
        id: Some("b".into()),
        ..content("image/png", b"\x89PNG\r\n\0\xff")
    };
    vec![
        ("bare", content(json, "null")),
        ("full", full),
        ("odd-text", odd),
        (
            "json-parameter",
            content("application/json; charset=utf-8", "[1,2]"),
        ),
        ("json-suffix", content("application/ld+json", "{\"@id\":1}")),
        ("text", content("text/plain", "one")),
        ("text-empty", content("text/plain", "")),
        (
            "text-lines",
            content(
                "text/plain;charset=utf-8",
                "one\ntwo\r\n\r three\r\r\u{1}\u{2028}end\n",
            ),
        ),
        ("binary", full_binary),
        ("binary-empty", content("application/octet-stream", "")),
    ]
}

fn gaps() -> Vec<(&'static str, Gap)> {
    let channel = Interest::Channel(ChannelName::parse("/a/\"b").expect("a name"));
    let pattern = Interest::Pattern(ChannelPattern::parse("/a/**").expect("a pattern"));
    let gap = |subject: &Interest, next: Option<u64>, reason| Gap {
        subject: subject.clone(),
        next: next.map(Offset::new),
        reason,
        revision: Revision::new(9),
    };
    vec![
        ("gap-trimmed", gap(&channel, Some(10), GapReason::Trimmed)),
        (
            "gap-recreated",
            gap(&channel, Some(11), GapReason::Recreated),
        ),
        ("gap-unknown", gap(&pattern, None, GapReason::Unknown)),
        ("gap-foreign", gap(&channel, None, GapReason::ForeignCursor)),
    ]
}

fn frames(framing: &dyn Framing) -> Vec<(&'static str, Vec<u8>)> {
    let mut frames = Vec::new();
    for (name, content) in contents() {
        let fragment = framing.event(&event("/stocks/goog", &content));
        let filled = fragment.fill(CURSOR);
        let mut appended = b"before".to_vec();
        fragment.fill_into(CURSOR, &mut appended);
        assert_eq!(appended, [b"before", &filled[..]].concat(), "{name}");
        assert_eq!(fragment.filled_bytes(CURSOR), filled.len(), "{name}");
        frames.push((name, filled.to_vec()));
    }
    for (name, gap) in gaps() {
        frames.push((name, framing.gap(&gap, CURSOR).to_vec()));
    }
    frames.push(("progress", framing.progress(CURSOR).to_vec()));
    frames.push(("opening", framing.opening(0, 2_500).to_vec()));
    frames.push(("opening-padded", framing.opening(40, 2_500).to_vec()));
    frames.push(("ending", framing.ending(2_500).to_vec()));
    frames
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "golden files are read, and on demand written"
)]
fn frames_are_those_of_the_golden_files() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut differing = Vec::new();
    for (framing_name, framing) in FRAMINGS {
        let folder = golden.join(framing_name);
        if update {
            fs::create_dir_all(&folder).expect("the folder can be made");
        }
        for (case, frame) in frames(framing) {
            let file = folder.join(case);
            if update {
                fs::write(&file, &frame).expect("the file can be written");
            } else if fs::read(&file).ok().as_ref() != Some(&frame) {
                let shown = String::from_utf8_lossy(&frame);
                differing.push(format!("{framing_name}/{case} is now:\n{shown}"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_form_has_a_slot_of_its_own() {
    let slots: BTreeSet<_> = FRAMINGS.iter().map(|(_, framing)| framing.slot()).collect();
    assert_eq!(slots.len(), FRAMINGS.len());
    assert!(slots.iter().all(|slot| *slot < 8));
}

#[test]
fn padding_has_exactly_the_bytes_asked_for() {
    let sse = Sse { data_only: false };
    for bytes in [0, 1, 2, 3, 4_096] {
        assert_eq!(sse.opening(bytes, 1).len() - sse.opening(0, 1).len(), bytes);
    }
}
