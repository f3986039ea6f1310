//! Requests, form by form: what is understood, what is refused and under which code.

mod body;
mod place;

use halley_shard::{ChannelName, ClusterId, Cursor, Interest, Revision, ShardId, Since};
use proptest::prelude::*;

use super::{
    HistoryForm, RequestParts, SinceSource, SubscribeForm, channel_in_path, interests, parse,
    parse_body, parse_history,
};
use crate::{Code, Rejection};

fn get<'a>(path: &'a str, query: &'a str) -> RequestParts<'a> {
    RequestParts {
        path,
        query,
        ..RequestParts::default()
    }
}

fn sse<'a>(query: &'a str, last_event_id: Option<&'a [u8]>) -> RequestParts<'a> {
    RequestParts {
        path: "/a",
        query,
        last_event_id,
        streamed: true,
        data_format: true,
        ..RequestParts::default()
    }
}

fn names(form: &SubscribeForm) -> Vec<String> {
    let name = |interest: &Interest| match interest {
        Interest::Channel(name) => name.to_string(),
        Interest::Pattern(pattern) => pattern.to_string(),
    };
    form.interests.iter().map(name).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, Rejection>) -> Code {
    result.unwrap_err().code
}

fn at(revision: u64) -> Since {
    Since::Cursor(Cursor::single(
        ClusterId::new(1),
        ShardId::new(0),
        Revision::new(revision),
    ))
}

#[test]
fn nothing_but_a_channel() {
    let form = parse(get("/stocks/goog", "")).unwrap();
    let expected = SubscribeForm {
        interests: vec![Interest::Channel(
            ChannelName::parse("/stocks/goog").unwrap(),
        )],
        since: Since::Latest,
        source: SinceSource::Default,
        unreadable: false,
        wait_seconds: None,
        limit: 100,
        data_only: false,
        padding: 0,
        dom_event_stream: false,
    };
    assert_eq!(form, expected);
}

#[test]
fn channels_from_path_and_query() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("/chat/**", "", &["/chat/**"]),
        // Decoded once: what is left of a double encoding is part of the name.
        ("/a%252Fb", "", &["/a%2Fb"]),
        ("/gr%C3%BC%C3%9Fe", "", &["/grüße"]),
        ("/a+b", "", &["/a+b"]),
        ("", "channel=/b&channel=/a/*&channel=/b", &["/a/*", "/b"]),
        ("", "channel=%2Fa%2fb", &["/a/b"]),
        ("", "&&channel=/a&&x&=y&", &["/a"]),
        ("", "ch%61nnel=/a", &["/a"]),
        ("", "channel=/%24a", &["/$a"]),
    ];
    for (path, query, expected) in cases {
        let form = parse(get(path, query)).unwrap();
        assert_eq!(names(&form), expected, "{path:?} {query:?}");
    }
}

#[test]
fn channels_that_are_refused() {
    let cases = [
        ("", "", Code::ParameterInvalid),
        ("/a", "channel=/a", Code::ParameterInvalid),
        ("/", "", Code::ChannelInvalid),
        ("/a%2Fb", "", Code::ChannelInvalid),
        ("/a%2fb", "", Code::ChannelInvalid),
        ("/a%zzb", "", Code::ChannelInvalid),
        ("/a%4", "", Code::ChannelInvalid),
        ("/a%ff", "", Code::ChannelInvalid),
        ("/a%20b", "", Code::ChannelInvalid),
        ("/a%00", "", Code::ChannelInvalid),
        ("/u%CC%88", "", Code::ChannelInvalid),
        ("/meta/connect", "", Code::ChannelInvalid),
        ("/a/../b", "", Code::ChannelInvalid),
        ("", "channel=", Code::ChannelInvalid),
        ("", "channel", Code::ChannelInvalid),
        ("", "channel=a", Code::ChannelInvalid),
        ("", "channel=/a+b", Code::ChannelInvalid),
        ("", "channel=/a%", Code::ChannelInvalid),
        ("", "channel=/u%CC%88", Code::ChannelInvalid),
        ("", "channel=/$sys/x", Code::ChannelInvalid),
        ("/*/a", "", Code::PatternInvalid),
        ("", "channel=/a*", Code::PatternInvalid),
        ("", "channel=/meta/**", Code::PatternInvalid),
        ("", "channel=/service/*", Code::PatternInvalid),
    ];
    for (path, query, expected) in cases {
        assert_eq!(
            code(parse(get(path, query))),
            expected,
            "{path:?} {query:?}"
        );
    }
    assert_eq!(code(channel_in_path("/chat/**")), Code::ChannelInvalid);
    assert_eq!(
        channel_in_path("/a%20b").unwrap_err().code,
        Code::ChannelInvalid
    );
    assert_eq!(channel_in_path("/%61").unwrap().as_str(), "/a");
}

#[test]
fn a_subscription_has_at_most_64_channels_and_16_patterns() {
    let channels: Vec<_> = (0..65).map(|n| format!("/c/{n}")).collect();
    let patterns: Vec<_> = (0..17).map(|n| format!("/p/{n}/*")).collect();
    let some = |channel_count: usize, pattern_count: usize| {
        let texts = channels[..channel_count]
            .iter()
            .chain(&patterns[..pattern_count]);
        interests(texts.map(String::as_str))
    };
    assert_eq!(some(64, 16).unwrap().len(), 80);
    assert_eq!(code(some(65, 0)), Code::TooManyChannels);
    let detail = some(0, 17).unwrap_err().detail;
    assert!(
        detail.contains("17 patterns") && detail.contains("16"),
        "{detail}"
    );
    assert_eq!(
        interests(std::iter::repeat_n("/a", 1_000)).unwrap().len(),
        1
    );
}

#[test]
fn parameters() {
    let form = parse(RequestParts {
        data_format: true,
        ..get("/a", "wait=0&limit=1000&format=data&padding=4096")
    });
    let form = form.unwrap();
    assert_eq!(
        (form.wait_seconds, form.limit, form.data_only, form.padding),
        (Some(0), 1000, true, 4096)
    );
    let form = parse(get(
        "/a",
        "wait=120&format=envelope&unknown=1&unknown=2&dialect=x&%ff=1",
    ))
    .unwrap();
    assert_eq!((form.wait_seconds, form.data_only), (Some(120), false));
    assert!(
        parse(sse("dialect=dom-event-stream", None))
            .unwrap()
            .dom_event_stream
    );
    assert!(
        !parse(get("/a", "dialect=dom-event-stream"))
            .unwrap()
            .dom_event_stream
    );
    assert_eq!(code(parse(sse("dialect=x", None))), Code::ParameterInvalid);
    for query in [
        "wait=121",
        "wait=1.5",
        "wait=-1",
        "wait=",
        "wait=%2B1",
        "wait=1e1",
        "wait=99999999999999999999",
        "limit=0",
        "limit=1001",
        "limit=x",
        "padding=4097",
        "padding=+1",
        "format=data",
        "format=xml",
        "wait=1&wait=1",
        "limit=1&limit=2",
        "since=latest&since=latest",
        "format=envelope&format=envelope",
        "padding=0&padding=0",
        "lastEventId=&lastEventId=",
        "dialect=a&dialect=b",
        "token=x",
        "token=",
        "tok%65n=x",
        "wait=%zz",
        "since=last:1001",
        "since=last:",
        "since=last:-1",
        "since=last:1.0",
        "since=last:99999999999",
    ] {
        assert_eq!(
            code(parse(get("/a", query))),
            Code::ParameterInvalid,
            "{query}"
        );
    }
}

#[test]
fn history() {
    let channel = ChannelName::parse("/a").unwrap();
    let expected = HistoryForm {
        channel,
        since: Since::Earliest,
        limit: 100,
        linearizable: false,
    };
    assert_eq!(parse_history(get("/a", "")), Ok(expected.clone()));
    assert_eq!(
        parse_history(get("/a", "consistency=local&wait=x")),
        Ok(expected.clone())
    );
    let query = "consistency=linearizable&since=1.0-5&limit=3";
    let asked = HistoryForm {
        since: at(5),
        limit: 3,
        linearizable: true,
        ..expected
    };
    assert_eq!(parse_history(get("/a", query)), Ok(asked));
    for query in [
        "consistency=strong",
        "consistency=local&consistency=local",
        "channel=/b",
        "token=x",
        "limit=0",
    ] {
        assert_eq!(
            code(parse_history(get("/a", query))),
            Code::ParameterInvalid,
            "{query}"
        );
    }
    assert_eq!(code(parse_history(get("/a/*", ""))), Code::ChannelInvalid);
    assert_eq!(code(parse_history(get("", ""))), Code::ChannelInvalid);
    assert_eq!(
        code(parse_history(get("/a", "since=x"))),
        Code::CursorInvalid
    );
}

proptest! {
    #[test]
    fn nothing_panics(
        path in "(/[a*.%2fF\\PC]{0,6}){0,3}",
        query in "((channel|since|wait|lastEventId|limit|x)=[/a0-9.%+*:\\PC]{0,12}&){0,4}",
        header: Option<Vec<u8>>,
        tags: Option<Vec<u8>>,
        streamed: bool,
    ) {
        let parts = RequestParts {
            path: &path,
            query: &query,
            last_event_id: header.as_deref(),
            if_none_match: tags.as_deref(),
            streamed,
            data_format: true,
        };
        let _ = (parse(parts), parse_history(parts), channel_in_path(&path));
        let _ = parse_body(parts, query.as_bytes());
    }

    #[test]
    fn mutated_bodies_never_panic(at: prop::sample::Index, byte: u8) {
        let mut body = br#"{"channels":["/b","/a/**"],"since":"last:5","wait":3,"limit":7}"#.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = parse_body(RequestParts::default(), &body);
    }

    #[test]
    fn a_broken_tag_is_never_refused(tags: Vec<u8>) {
        let parts = RequestParts { path: "/a", if_none_match: Some(&tags), ..RequestParts::default() };
        prop_assert!(parse(parts).is_ok());
    }

    #[test]
    fn any_channel_can_be_named_in_a_query(name in "(/[a-z0-9äß+&=%]{1,5}){1,3}") {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = parse(get("", &format!("channel={encoded}"))).unwrap();
        prop_assert_eq!(names(&form), vec![name]);
    }
}
