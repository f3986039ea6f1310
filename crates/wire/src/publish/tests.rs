//! Publishes, one refusal after another.

use bytes::Bytes;
use proptest::prelude::*;

use super::{PublishForm, channels_named, check, parse_json};
use crate::{Code, Rejection};

const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

fn form(content_type: Option<&str>, data: impl AsRef<[u8]>) -> PublishForm {
    PublishForm {
        channel: "/a".into(),
        data: Bytes::copy_from_slice(data.as_ref()),
        content_type: content_type.map(str::to_owned),
        ..PublishForm::default()
    }
}

fn content(content_type: Option<&str>, data: impl AsRef<[u8]>) -> Result<(String, Vec<u8>), Code> {
    let publication = check(form(content_type, data), PAYLOAD_BYTES_MAX);
    publication
        .map_err(|r| r.code)
        .map(|p| (p.content.content_type, p.content.data.to_vec()))
}

fn one(body: &str) -> Result<PublishForm, Rejection> {
    let (mut items, is_array) = parse_json(&Bytes::copy_from_slice(body.as_bytes()))?;
    assert!(!is_array);
    assert_eq!(items.len(), 1);
    items.remove(0)
}

#[test]
fn payloads_by_media_type() {
    let json = "application/json";
    let kept =
        |content_type: &str, data: &str| Ok((content_type.to_owned(), data.as_bytes().to_vec()));
    assert_eq!(
        content(None, " { \"a\" : 1.0 }\n"),
        kept(json, "{\"a\":1.0}")
    );
    let urlencoded = Some("application/x-www-form-urlencoded; charset=UTF-8");
    assert_eq!(content(urlencoded, "[ 1 ]"), kept(json, "[1]"));
    assert_eq!(content(urlencoded, "a=b"), Err(Code::BodyInvalid));
    assert_eq!(content(None, "a=b"), Err(Code::BodyInvalid));
    assert_eq!(content(None, ""), Err(Code::BodyInvalid));
    for typed in [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "Application/LD+json",
    ] {
        assert_eq!(content(Some(typed), " 1 "), kept(typed, "1"));
        assert_eq!(content(Some(typed), "\u{feff}1"), Err(Code::BodyInvalid));
    }
    assert_eq!(
        content(Some("text/plain"), " ä\r\n"),
        kept("text/plain", " ä\r\n")
    );
    assert_eq!(content(Some("text/plain"), ""), kept("text/plain", ""));
    assert_eq!(content(Some("text/plain"), b"\xff"), Err(Code::BodyInvalid));
    assert_eq!(
        content(Some("text/plain; charset=iso-8859-1"), "a"),
        Err(Code::Unsupported)
    );
    assert_eq!(
        content(Some("application/json; charset=utf-16"), "1"),
        Err(Code::Unsupported)
    );
    let binary = content(Some("image/png"), b"\xff\0").unwrap();
    assert_eq!(binary, ("image/png".to_owned(), b"\xff\0".to_vec()));
    for broken in [
        "",
        "json",
        "a/b\r\nx: y",
        "text/ä",
        &format!("a/{}", "b".repeat(254)),
    ] {
        assert_eq!(
            content(Some(broken), "1"),
            Err(Code::ParameterInvalid),
            "{broken:?}"
        );
    }
}

#[test]
fn the_payload_limit_counts_what_is_kept() {
    let text = Some("text/plain");
    assert!(content(text, "x".repeat(PAYLOAD_BYTES_MAX)).is_ok());
    assert_eq!(
        content(text, "x".repeat(PAYLOAD_BYTES_MAX + 1)),
        Err(Code::PayloadTooLarge)
    );
    assert!(content(None, format!("1{}", " ".repeat(PAYLOAD_BYTES_MAX))).is_ok());
    assert_eq!(
        content(None, format!("1{}", " ".repeat(1 << 20))),
        Err(Code::PayloadTooLarge)
    );
    let rejection = check(form(text, "123456"), 5).unwrap_err();
    assert_eq!(
        rejection.detail,
        "payload has 6 bytes, at most 5 are allowed"
    );
}

#[test]
fn type_id_and_key() {
    let with = |change: &dyn Fn(&mut PublishForm)| {
        let mut form = form(None, "1");
        change(&mut form);
        check(form, PAYLOAD_BYTES_MAX).map_err(|rejection| rejection.code)
    };
    let invalid = Err(Code::ParameterInvalid);
    for reserved in [
        "cursor",
        "gap",
        "error",
        "open",
        "message",
        "keepalive",
        "end",
    ] {
        assert_eq!(
            with(&|form| form.event_type = Some(reserved.into())),
            invalid,
            "{reserved}"
        );
    }
    for bad in ["", "a\nb", "a\0", "a\u{7f}", "a\u{85}", &"x".repeat(65)] {
        assert_eq!(
            with(&|form| form.event_type = Some(bad.into())),
            invalid,
            "{bad:?}"
        );
        assert_eq!(with(&|form| form.id = Some(bad.into())), invalid, "{bad:?}");
    }
    for good in ["Cursor", "größe", "a b", &"x".repeat(64)] {
        let content = with(&|form| form.event_type = Some(good.into()))
            .unwrap()
            .content;
        assert_eq!(content.event_type.as_deref(), Some(good));
        assert!(with(&|form| form.id = Some(good.into())).is_ok());
    }
    let key = |key: &str, producer: Option<&str>| {
        let publication = with(&|form| {
            form.key = Some(key.into());
            form.producer = producer.map(str::to_owned);
        });
        publication.map(|p| p.key.map(|key| (key.scope, key.key)).unwrap())
    };
    assert_eq!(key("k", None), Ok((String::new(), "k".into())));
    assert_eq!(key("\"k\"", Some("p")), Ok(("p".into(), "k".into())));
    assert_eq!(key("\"", None), Ok((String::new(), "\"".into())));
    assert!(key(&format!("\"{}\"", "k".repeat(128)), None).is_ok());
    for (bad, producer) in [("", None), ("\"\"", None), ("a\tb", None), ("k", Some(""))] {
        assert_eq!(key(bad, producer), Err(Code::ParameterInvalid));
    }
    assert_eq!(key(&"k".repeat(129), None), Err(Code::ParameterInvalid));
    assert_eq!(
        with(&|form| form.producer = Some("p".into())).unwrap().key,
        None
    );
    assert_eq!(
        with(&|form| form.channel = "/a/*".into()),
        Err(Code::ChannelInvalid)
    );
}

#[test]
fn headers() {
    let checked = |headers: &[(&str, &str)]| {
        let mut form = form(None, "1");
        form.headers = headers
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        check(form, PAYLOAD_BYTES_MAX)
            .map_err(|rejection| rejection.code)
            .map(|p| p.content.headers)
    };
    let kept = checked(&[("Trace-Id", "ä b"), ("x", "")]).unwrap();
    assert_eq!(
        kept,
        [
            ("trace-id".to_owned(), "ä b".to_owned()),
            ("x".to_owned(), String::new())
        ]
    );
    let long = "v".repeat(1022);
    for good in [&[("ab", &long[..])][..], &[("a", "1"), ("b", "2")]] {
        assert!(checked(good).is_ok());
    }
    let nine: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .map(|name| (name, ""))
        .into();
    assert!(checked(&nine[..8]).is_ok());
    let bad: [&[(&str, &str)]; 8] = [
        &nine,
        &[("abc", &long)],
        &[("a", "1"), ("A", "2")],
        &[("", "1")],
        &[("a b", "1")],
        &[("ä", "1")],
        &[("a:", "1")],
        &[("a", "1\r\n2")],
    ];
    for headers in bad {
        assert_eq!(checked(headers), Err(Code::ParameterInvalid), "{headers:?}");
    }
}

#[test]
fn one_object() {
    let form = one(
        r#" {"channel":"/a","data":{ "n" : 1.10 },"type":"t","id":"i","headers":{"b":"1","a":"2"},
            "key":"k","producer":"p","content_type":"application/ld+json"} "#,
    );
    let form = form.unwrap();
    assert_eq!(&form.data[..], b"{ \"n\" : 1.10 }");
    assert_eq!(form.content_type.as_deref(), Some("application/ld+json"));
    assert_eq!(
        form.headers,
        [("b".into(), "1".into()), ("a".into(), "2".into())]
    );
    let members = (form.event_type, form.id, form.key, form.producer);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(members, (some("t"), some("i"), some("k"), some("p")));

    let data = |body: &str| one(body).map(|form| (form.content_type.unwrap(), form.data.to_vec()));
    let json = || "application/json".to_owned();
    assert_eq!(
        data(r#"{"channel":"/a","data":null}"#),
        Ok((json(), b"null".to_vec()))
    );
    assert_eq!(
        data(r#"{"channel":"/a","data":1,"type":null}"#),
        Ok((json(), b"1".to_vec()))
    );
    let text = r#"{"channel":"/a","text":"\u00e4\n"}"#;
    assert_eq!(
        data(text),
        Ok(("text/plain;charset=utf-8".into(), "ä\n".into()))
    );
    for base64 in ["/+8=", "/+8"] {
        let body = format!(r#"{{"channel":"/a","base64":"{base64}"}}"#);
        assert_eq!(
            data(&body),
            Ok(("application/octet-stream".into(), b"\xff\xef".to_vec()))
        );
    }
}

#[test]
fn data_shares_the_body() {
    let body = Bytes::from_static(br#"[{"channel":"/a","data":[1]}]"#);
    let (items, is_array) = parse_json(&body).unwrap();
    assert!(is_array);
    let data = &items[0].as_ref().unwrap().data;
    assert_eq!(data.as_ptr(), body[24..].as_ptr());
}

#[test]
fn refused_objects() {
    let cases = [
        ("", Code::BodyInvalid),
        ("1", Code::BodyInvalid),
        ("{", Code::BodyInvalid),
        ("{}", Code::BodyInvalid),
        (r#"{"channel":"/a"}"#, Code::BodyInvalid),
        (r#"{"data":1}"#, Code::BodyInvalid),
        (r#"{"channel":"/a","data":1,"x":1}"#, Code::BodyInvalid),
        (r#"{"channel":"/a","data":1,"data":2}"#, Code::BodyInvalid),
        (
            r#"{"channel":"/a","channel":"/b","data":2}"#,
            Code::BodyInvalid,
        ),
        (r#"{"channel":7,"data":1}"#, Code::BodyInvalid),
        (
            r#"{"channel":"/a","data":1,"headers":{"a":1}}"#,
            Code::BodyInvalid,
        ),
        (
            r#"{"channel":"/a","data":1,"headers":["a"]}"#,
            Code::BodyInvalid,
        ),
        (r#"{"channel":"/a","text":1}"#, Code::BodyInvalid),
        (r#"{"channel":"/a","text":"\ud800"}"#, Code::BodyInvalid),
        (r#"{"channel":"/a","base64":"?"}"#, Code::BodyInvalid),
        (r#"{"channel":"/a","data":1} 2"#, Code::BodyInvalid),
        ("\u{feff}{\"channel\":\"/a\",\"data\":1}", Code::BodyInvalid),
        (
            r#"{"channel":"/a","data":1,"text":"a"}"#,
            Code::ParameterInvalid,
        ),
        (
            r#"{"channel":"/a","data":1,"base64":"aa"}"#,
            Code::ParameterInvalid,
        ),
        (
            r#"{"channel":"/a","data":null,"text":"a"}"#,
            Code::ParameterInvalid,
        ),
        (
            r#"{"channel":"/a","text":"a","base64":"aa"}"#,
            Code::ParameterInvalid,
        ),
        (
            r#"{"channel":"/a","data":1,"content_type":"text/plain"}"#,
            Code::ParameterInvalid,
        ),
    ];
    for (body, code) in cases {
        assert_eq!(
            one(body).map(|_| ()).map_err(|rejection| rejection.code),
            Err(code),
            "{body}"
        );
    }
    // What `data` says in detail is checked with the rest of the publish.
    let form = one(r#"{"channel":"/a","data":"\ud800"}"#).unwrap();
    assert_eq!(
        check(form, PAYLOAD_BYTES_MAX).unwrap_err().code,
        Code::BodyInvalid
    );
}

#[test]
fn arrays() {
    let parse = |body: &str| parse_json(&Bytes::copy_from_slice(body.as_bytes()));
    let (items, is_array) =
        parse(r#" [{"channel":"/a","data":1},{"channel":"/b"},7,{"channel":"c","text":""}]"#)
            .unwrap();
    assert!(is_array);
    let codes: Vec<_> = items
        .iter()
        .map(|item| item.as_ref().map(|_| ()).map_err(|r| r.code))
        .collect();
    assert_eq!(
        codes,
        [
            Ok(()),
            Err(Code::BodyInvalid),
            Err(Code::BodyInvalid),
            Ok(())
        ]
    );
    // Members by position, as serde would take them.
    let (items, _) = parse(r#"[["/a",1,null,null,null,null,null,{},null,null]]"#).unwrap();
    assert_eq!(items[0].as_ref().unwrap_err().code, Code::BodyInvalid);
    let odd = r#"[{"x":1e999,"channel":"/a"},["/b"],{"y":"\ud800","channel":"/c"},{}]"#;
    assert_eq!(channels_named(odd.as_bytes()), ["/a", "", "/c", ""]);
    let many = |count: usize| {
        format!(
            "[{}]",
            vec![r#"{"channel":"/a","data":1}"#; count].join(",")
        )
    };
    assert_eq!(parse(&many(512)).unwrap().0.len(), 512);
    let rejection = parse(&many(513)).unwrap_err();
    assert_eq!(rejection.code, Code::PayloadTooLarge);
    assert_eq!(rejection.detail, "513 events, at most 512 are allowed");
    for body in [
        "[]",
        "[",
        "[{}",
        "[1]]",
        "[{\"channel\":\"/a\",\"data\":1},]",
    ] {
        assert_eq!(parse(body).unwrap_err().code, Code::BodyInvalid, "{body}");
    }
    assert_eq!(
        parse(&" ".repeat((1 << 20) + 1)).unwrap_err().code,
        Code::PayloadTooLarge
    );
}

proptest! {
    #[test]
    fn nothing_panics(body: Vec<u8>) {
        let _ = parse_json(&Bytes::from(body));
    }

    #[test]
    fn mutated_bodies_never_panic(at: prop::sample::Index, byte: u8, insert: bool) {
        let mut body = br#"[{"channel":"/a","data":{"n":[1,"x"]},"headers":{"a":"b"}},{"channel":"/b","base64":"AA=="}]"#.to_vec();
        let at = at.index(body.len());
        if insert { body.insert(at, byte) } else { body[at] = byte }
        if let Ok((items, _)) = parse_json(&Bytes::from(body)) {
            for form in items.into_iter().flatten() {
                let _ = check(form, PAYLOAD_BYTES_MAX);
            }
        }
    }

    #[test]
    fn whatever_passes_has_no_control_characters(event_type: String, id: String, value: String) {
        let mut form = form(None, "1");
        form.event_type = Some(event_type);
        form.id = Some(id);
        form.headers = vec![("a".into(), value)];
        if let Ok(publication) = check(form, PAYLOAD_BYTES_MAX) {
            let content = publication.content;
            let texts = [content.event_type.unwrap(), content.id.unwrap(), content.headers[0].1.clone()];
            prop_assert!(!texts.concat().contains(char::is_control));
        }
    }
}
