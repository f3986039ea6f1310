//! Compaction against `serde_json`, and the refusals by hand.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{compact, number, string};
use crate::Code;

fn compacted(text: &str) -> Result<String, String> {
    match compact(&Bytes::copy_from_slice(text.as_bytes())) {
        Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
        Err(rejection) => {
            assert_eq!(rejection.code, Code::BodyInvalid);
            Err(rejection.detail)
        }
    }
}

#[test]
fn white_space_goes_and_nothing_else() {
    let cases = [
        (
            " { \"a\" : [ 1 , 2.50 , 1E5 , -0 ] , \"b c\" : \" \\n \" }\r\n",
            "{\"a\":[1,2.50,1E5,-0],\"b c\":\" \\n \"}",
        ),
        ("\t\"x\"\t", "\"x\""),
        ("[]", "[]"),
        ("[ ]", "[]"),
        ("{ }", "{}"),
        ("[[ ],{ }]", "[[],{}]"),
        ("12345678901234567890.10", "12345678901234567890.10"),
        ("null", "null"),
        (" true\n", "true"),
        (
            "\"\\ud83d\\ude00\\/\\u0000\"",
            "\"\\ud83d\\ude00\\/\\u0000\"",
        ),
        ("\"\u{2028}\u{7f}ä\"", "\"\u{2028}\u{7f}ä\""),
        ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
    ];
    for (text, kept) in cases {
        assert_eq!(compacted(text), Ok(kept.to_owned()), "{text:?}");
    }
}

#[test]
fn nothing_to_remove_shares_the_bytes() {
    for text in ["{\"a\":[1]}", " {\"a\":[1]}\n "] {
        let text = Bytes::from(text);
        let kept = compact(&text).unwrap();
        let offset = text.iter().position(|byte| *byte == b'{').unwrap();
        assert_eq!(kept.as_ptr(), text[offset..].as_ptr());
    }
}

#[test]
fn refusals_name_the_byte() {
    let cases = [
        ("", "the end of the text at byte 0"),
        ("  ", "the end of the text at byte 2"),
        ("[1,]", "no value at byte 3"),
        ("{\"a\":1,}", "no member's name at byte 7"),
        (
            "[1 2]",
            "neither a comma nor the end of what is open at byte 3",
        ),
        (
            "[1}",
            "neither a comma nor the end of what is open at byte 2",
        ),
        ("{\"a\" 1}", "no colon after a member's name at byte 5"),
        ("1 2", "more after the value at byte 2"),
        ("01", "more after the value at byte 1"),
        ("-", "the end of the text at byte 1"),
        ("1.", "the end of the text at byte 2"),
        ("1.e3", "no digit at byte 2"),
        ("+1", "no value at byte 0"),
        ("nulL", "neither true, false nor null at byte 3"),
        ("NaN", "no value at byte 0"),
        ("'a'", "no value at byte 0"),
        ("\"a", "the end of the text at byte 2"),
        ("\"a\nb\"", "a control character in a string at byte 2"),
        ("\"\\x\"", "an unknown escape at byte 2"),
        ("\"\\u12g4\"", "no hexadecimal digit at byte 5"),
        ("\"\\ud800\"", "a lone surrogate at byte 1"),
        ("\"\\udc00\"", "a lone surrogate at byte 1"),
        ("\"\\ud800\\ud800\"", "a lone surrogate at byte 1"),
        ("\"\\ud800x\"", "a lone surrogate at byte 1"),
        ("\u{feff}1", "a byte order mark at byte 0"),
        ("1\u{a0}", "more after the value at byte 1"),
    ];
    for (text, what) in cases {
        assert_eq!(
            compacted(text),
            Err(format!("not JSON: {what}")),
            "{text:?}"
        );
    }
    let detail = compact(&Bytes::from_static(b"\"a\xff\""))
        .unwrap_err()
        .detail;
    assert_eq!(detail, "not UTF-8 at byte 2");
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(compacted(&nested(128)).is_ok());
    assert_eq!(
        compacted(&nested(129)),
        Err("not JSON: more than 128 levels at byte 128".into())
    );
    assert!(compacted(&"{\"a\":".repeat(100_000)).is_err());
    let objects = format!("{}1{}", "{\"a\":[".repeat(64), "]}".repeat(64));
    assert!(compacted(&objects).is_ok());
}

#[test]
fn strings_and_numbers_are_written() {
    let mut out = Vec::new();
    string(
        &mut out,
        "a\"\\\n\r\t\u{1}\u{1f}\u{2028}\u{2029}\u{2027}/ä😀",
    );
    let text = std::str::from_utf8(&out).unwrap();
    assert_eq!(
        text,
        "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f\\u2028\\u2029\u{2027}/ä😀\""
    );
    for value in [0, 9, 10, 1_795_219_200_123, u64::MAX] {
        let mut out = Vec::new();
        number(&mut out, value);
        assert_eq!(out, value.to_string().into_bytes());
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_survives(value in value()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let kept = compacted(&pretty).unwrap();
        prop_assert!(!kept.contains('\n'));
        prop_assert_eq!(&kept, &serde_json::to_string(&value).unwrap());
        prop_assert_eq!(compacted(&kept), Ok(kept.clone()));
    }

    #[test]
    fn mutated_text_is_judged_as_serde_json_does(
        value in value(),
        at: prop::sample::Index,
        byte in prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"[]{}:,\"\\u0189dDeE+-. \n"[..]),
        ],
        insert: bool,
    ) {
        let mut text = serde_json::to_vec_pretty(&value).unwrap();
        let at = at.index(text.len());
        if insert { text.insert(at, byte) } else { text[at] = byte }
        let ours = compact(&Bytes::from(text.clone()));
        match serde_json::from_slice::<Value>(&text) {
            Ok(theirs) => {
                let kept = ours.unwrap();
                prop_assert!(!kept.contains(&b'\n'));
                prop_assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), theirs);
            }
            // Numbers beyond a double are JSON; only reading them into one fails.
            Err(error) => prop_assert!(ours.is_err() || error.to_string().contains("out of range")),
        }
    }

    #[test]
    fn nothing_panics(text: Vec<u8>) {
        let _ = compact(&Bytes::from(text));
    }

    #[test]
    fn written_strings_read_back(text: String) {
        let mut out = Vec::new();
        string(&mut out, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
