//! `POST /v1/poll`.

use halley_shard::Since;

use super::{at, code, get, names};
use crate::{
    Code,
    request::{RequestParts, parse_body},
};

#[test]
fn bodies() {
    let body = br#" {"channels":["/b","/a/**"],"since":"last:5","wait":3,"limit":7} "#;
    let form = parse_body(get("", "padding=1"), body).unwrap();
    assert_eq!(names(&form), ["/a/**", "/b"]);
    assert_eq!(
        (form.since, form.wait_seconds, form.limit, form.padding),
        (Since::Last(5), Some(3), 7, 1)
    );
    let form = parse_body(get("", "wait=9"), br#"{"channels":["/a"],"since":null}"#).unwrap();
    assert_eq!((form.since, form.wait_seconds), (Since::Latest, Some(9)));
    let tagged = RequestParts {
        if_none_match: Some(b"\"1.0-9\""),
        ..RequestParts::default()
    };
    let form = parse_body(tagged, br#"{"channels":["/a"],"since":"1.0-1"}"#).unwrap();
    assert_eq!(form.since, at(9));
}

#[test]
fn bodies_that_are_refused() {
    let cases: [(&str, &str, &[u8], Code); 22] = [
        ("", "", b"", Code::BodyInvalid),
        ("", "", b"[]", Code::BodyInvalid),
        ("", "", b"[[\"/a\"],null,null,null]", Code::BodyInvalid),
        ("", "", b"{", Code::BodyInvalid),
        ("", "", b"{\"channels\":\"/a\"}", Code::BodyInvalid),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"x\":1}",
            Code::BodyInvalid,
        ),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"format\":\"data\"}",
            Code::BodyInvalid,
        ),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"wait\":1,\"wait\":1}",
            Code::BodyInvalid,
        ),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"wait\":\"1\"}",
            Code::BodyInvalid,
        ),
        (
            "",
            "",
            b"\xef\xbb\xbf{\"channels\":[\"/a\"]}",
            Code::BodyInvalid,
        ),
        ("", "", b"{\"channels\":[\"/a\xff\"]}", Code::BodyInvalid),
        ("", "", b"{\"channels\":[\"/a\"]} x", Code::BodyInvalid),
        ("", "", b"{}", Code::ParameterInvalid),
        ("", "", b"{\"channels\":[]}", Code::ParameterInvalid),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"wait\":1.5}",
            Code::ParameterInvalid,
        ),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"wait\":-1}",
            Code::ParameterInvalid,
        ),
        (
            "",
            "",
            b"{\"channels\":[\"/a\"],\"limit\":0}",
            Code::ParameterInvalid,
        ),
        ("/a", "", b"{\"channels\":[\"/a\"]}", Code::ParameterInvalid),
        (
            "",
            "channel=/a",
            b"{\"channels\":[\"/a\"]}",
            Code::ParameterInvalid,
        ),
        (
            "",
            "since=latest",
            b"{\"channels\":[\"/a\"],\"since\":\"latest\"}",
            Code::ParameterInvalid,
        ),
        (
            "",
            "token=x",
            b"{\"channels\":[\"/a\"]}",
            Code::ParameterInvalid,
        ),
        ("", "", b"{\"channels\":[\"a\"]}", Code::ChannelInvalid),
    ];
    for (path, query, body, expected) in cases {
        let text = String::from_utf8_lossy(body);
        assert_eq!(
            code(parse_body(get(path, query), body)),
            expected,
            "{path} {query} {text}"
        );
    }
    let huge = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(code(parse_body(get("", ""), &huge)), Code::PayloadTooLarge);
}
