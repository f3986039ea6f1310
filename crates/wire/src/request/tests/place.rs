//! Where a subscription starts, by whatever said so.

use halley_shard::Since;

use super::{at, code, get, sse};
use crate::{
    Code,
    request::{RequestParts, SinceSource, parse, since},
};

#[test]
fn since_in_text() {
    assert_eq!(since("latest"), Ok(Since::Latest));
    assert_eq!(since("earliest"), Ok(Since::Earliest));
    assert_eq!(since("last:0"), Ok(Since::Latest));
    assert_eq!(since("last:1"), Ok(Since::Last(1)));
    assert_eq!(since("last:1000"), Ok(Since::Last(1000)));
    assert_eq!(since("1.0-5"), Ok(at(5)));
    for text in ["", "Latest", "5", "1.0-05", "last", "now"] {
        assert_eq!(code(since(text)), Code::CursorInvalid, "{text}");
    }
    assert_eq!(code(parse(get("/a", "since="))), Code::CursorInvalid);
    assert_eq!(code(parse(get("/a", "since=%ff"))), Code::CursorInvalid);
    assert_eq!(code(parse(sse("since=x", None))), Code::CursorInvalid);
}

#[test]
fn last_event_id_wins_over_since() {
    let place = |parts| parse(parts).map(|form| (form.since, form.source, form.unreadable));
    let source = SinceSource::LastEventId;
    assert_eq!(
        place(sse("since=1.0-1", Some(b"1.0-9"))),
        Ok((at(9), source, false))
    );
    assert_eq!(
        place(sse("since=broken", Some(b"1.0-9"))),
        Ok((at(9), source, false))
    );
    assert_eq!(
        place(sse("lastEventId=1.0-8", Some(b" 1.0-9 "))),
        Ok((at(9), source, false))
    );
    assert_eq!(
        place(sse("lastEventId=1.0-8&since=latest", Some(b""))),
        Ok((at(8), source, false))
    );
    for empty in [
        sse("lastEventId=&since=earliest", None),
        sse("since=earliest", Some(b" ")),
    ] {
        assert_eq!(
            place(empty),
            Ok((Since::Earliest, SinceSource::Since, false))
        );
    }
    for broken in [
        sse("since=latest", Some(b"what")),
        sse("lastEventId=1.0-8", Some(b"\xff")),
        sse("lastEventId=%ff", None),
        sse("lastEventId=%", None),
        sse("lastEventId=latest", None),
    ] {
        assert_eq!(
            place(broken),
            Ok((Since::Earliest, source, true)),
            "{broken:?}"
        );
        let poll = RequestParts {
            streamed: false,
            ..broken
        };
        assert_eq!(code(parse(poll)), Code::CursorInvalid, "{broken:?}");
    }
}

#[test]
fn the_newest_tag_counts_and_none_is_an_error() {
    let place = |tags: &'static [u8], query| {
        let parts = RequestParts {
            if_none_match: Some(tags),
            ..get("/a", query)
        };
        let form = parse(parts).unwrap();
        (form.since, form.source, form.unreadable)
    };
    let source = SinceSource::IfNoneMatch;
    for tags in [
        &b"\"1.0-9\""[..],
        b"W/\"1.0-9\"",
        b" \"1.0-9\" , W/\"1.0-3\",*",
        b"\"1.0-3\",,\"1.0-9\"",
        b"\"broken\", \"1.0-9\"",
        b"\"a,b\", \"1.0-9\"",
    ] {
        assert_eq!(
            place(tags, "since=1.0-99"),
            (at(9), source, false),
            "{tags:?}"
        );
    }
    for tags in [
        &b"\"x\""[..],
        b"1.0-9",
        b"\"1.0-9",
        b"w/\"1.0-9\"",
        b"\xff",
        b"\"1.0-9-gzip\"",
        b"\"",
    ] {
        assert_eq!(
            place(tags, "since=1.0-99"),
            (Since::Earliest, source, true),
            "{tags:?}"
        );
    }
    for tags in [&b"*"[..], b"", b" ", b"*,*"] {
        assert_eq!(
            place(tags, "since=1.0-9"),
            (at(9), SinceSource::Since, false),
            "{tags:?}"
        );
    }
}

#[test]
fn tag_and_event_id_together() {
    let both = |streamed, id: &'static [u8]| {
        let parts = RequestParts {
            last_event_id: Some(id),
            if_none_match: Some(b"\"1.0-1\""),
            streamed,
            ..get("/a", "")
        };
        parse(parts).map(|form| (form.since, form.source))
    };
    assert_eq!(both(true, b"1.0-2"), Ok((at(2), SinceSource::LastEventId)));
    assert_eq!(both(true, b""), Ok((at(1), SinceSource::IfNoneMatch)));
    assert_eq!(both(false, b"1.0-2"), Ok((at(1), SinceSource::IfNoneMatch)));
    assert_eq!(
        both(false, b"broken"),
        Ok((at(1), SinceSource::IfNoneMatch))
    );
}
