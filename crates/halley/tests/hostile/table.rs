//! The hostile requests, as bytes, with the status and code that contract.md documents for each.

/// One request.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
}

/// All of them; `cursor` is one that the node gave out, of a single shard.
pub(crate) fn cases(cursor: &str) -> Vec<Case> {
    [
        names(),
        parameters(),
        cursors(cursor),
        paths(),
        heads(),
        bodies(),
        publishes(),
        syntax(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(name: String, bytes: Vec<u8>, status: u16, code: &'static str) -> Case {
    Case {
        name,
        bytes,
        status,
        code,
    }
}

fn head(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: halley\r\n{headers}\r\n").into_bytes()
}

fn get(target: &str, status: u16, code: &'static str) -> Case {
    let shown: String = target.chars().take(80).collect();
    case(
        format!("GET {shown}"),
        head("GET", target, ""),
        status,
        code,
    )
}

fn post(
    name: &str,
    target: &str,
    headers: &str,
    body: &[u8],
    status: u16,
    code: &'static str,
) -> Case {
    let headers = format!("{headers}Content-Length: {}\r\n", body.len());
    let mut bytes = head("POST", target, &headers);
    bytes.extend_from_slice(body);
    case(format!("POST {target}: {name}"), bytes, status, code)
}

const JSON: &str = "Content-Type: application/json\r\n";

fn names() -> Vec<Case> {
    let many_segments = format!("/v1/poll{}?wait=0", "/a".repeat(17));
    let long = format!("/v1/poll/{}?wait=0", "a".repeat(255));
    let channels = "/v1/poll?wait=0&channel=/a";
    let too_many: String = (0..65).map(|n| format!("&channel=/a{n}")).collect();
    let patterns: String = (0..17).map(|n| format!("&channel=/a{n}/*")).collect();
    let mut cases = vec![
        get(&many_segments, 400, "channel_invalid"),
        get(&long, 400, "channel_invalid"),
        get(&format!("{channels}{too_many}"), 400, "too_many_channels"),
        get(&format!("{channels}{patterns}"), 400, "too_many_channels"),
        get("/v1/poll?channel=/a/*/b", 400, "pattern_invalid"),
        get("/v1/poll?channel=/a*", 400, "pattern_invalid"),
        get("/v1/poll/a/***", 400, "pattern_invalid"),
        get("/v1/history/a/*", 400, "channel_invalid"),
        get("/v1/poll?channel=a", 400, "channel_invalid"),
        get("/v1/poll?channel=", 400, "channel_invalid"),
    ];
    for name in [
        "/a//b",
        "/a/",
        "/a/../b",
        "/a/./b",
        "/a%2Fb",
        "/a%2fb",
        "/%ff",
        "/%zz",
        "/%",
        "/a%00b",
        "/a%0Ab",
        "/e%CC%81",
        "/%E2%80%AE",
        "/a%20b",
        "/a%23b",
        "/a%3Fb",
        "/a%5Cb",
        "/meta/x",
        "/service/x",
        "/$sys/x",
        "/a/%2E%2E/b",
    ] {
        cases.push(get(
            &format!("/v1/poll{name}?wait=0"),
            400,
            "channel_invalid",
        ));
    }
    cases
}

fn parameters() -> Vec<Case> {
    let cases = [
        "wait=1.5",
        "wait=121",
        "wait=-1",
        "wait=",
        "wait=9999999999999999999999",
        "limit=0",
        "limit=1001",
        "limit=x",
        "format=xml",
        "padding=4097",
        "padding=-1",
        "since=last:1001",
        "since=last:-1",
        "since=last:x",
        "wait=1&wait=2",
        "limit=1&limit=1",
        "since=latest&since=earliest",
        "token=abc",
    ];
    let mut cases: Vec<Case> = cases
        .iter()
        .map(|query| get(&format!("/v1/poll/a?{query}"), 400, "parameter_invalid"))
        .collect();
    cases.push(get(
        "/v1/history/a?consistency=eventual",
        400,
        "parameter_invalid",
    ));
    cases.push(get("/v1/sse/a?token=abc", 400, "parameter_invalid"));
    let bearer = head("GET", "/v1/poll/a?wait=0", "Authorization: Bearer abc\r\n");
    cases.push(case(
        "a token in a header".into(),
        bearer,
        400,
        "parameter_invalid",
    ));
    cases
}

fn cursors(cursor: &str) -> Vec<Case> {
    let (cluster, place) = cursor.split_once('.').expect("a cluster and a place");
    let (shard, _) = place.split_once('-').expect("a shard and a revision");
    let poll = |since: &str| format!("/v1/poll/hostile/a?wait=0&since={since}");
    vec![
        get(&poll("nonsense"), 400, "cursor_invalid"),
        get(&poll(&format!("{cluster}.")), 400, "cursor_invalid"),
        get(&poll(&format!("{cluster}.{shard}-")), 400, "cursor_invalid"),
        get(
            &poll(&format!("{cluster}.{shard}-zzzzzzzzzzzzzzzzzzzz")),
            400,
            "cursor_invalid",
        ),
        get(&poll(&cursor.to_uppercase()), 400, "cursor_invalid"),
        get(&poll(&format!("{cluster}.f-1")), 400, "cursor_invalid"),
        get(&poll(&"a".repeat(1_025)), 400, "cursor_invalid"),
        get(&poll("1.0-1"), 410, "cursor_foreign"),
        get(
            &poll(&format!("{cluster}.{shard}-zzzz")),
            409,
            "cursor_ahead",
        ),
        get(
            "/v1/poll/a?wait=0&lastEventId=nonsense",
            400,
            "cursor_invalid",
        ),
        get("/v1/history/a?since=nonsense", 400, "cursor_invalid"),
        get("/v1/history/a?since=1.0-1", 410, "cursor_foreign"),
        get("/v1/sse/a?since=nonsense", 400, "cursor_invalid"),
        get("/v1/sse/a?since=1.0-1", 410, "cursor_foreign"),
    ]
}

fn paths() -> Vec<Case> {
    let mut cases = vec![
        get("/nothing", 404, "not_found"),
        get("/v1", 404, "not_found"),
        get("/v1/nothing/a", 404, "not_found"),
        get("/v2/poll/a", 404, "not_found"),
        get("/demo/nothing", 404, "not_found"),
        get("//v1/poll/a", 404, "not_found"),
        get("/../etc/passwd", 404, "not_found"),
    ];
    for (method, target) in [
        ("PUT", "/v1/poll/a"),
        ("POST", "/v1/sse/a"),
        ("DELETE", "/v1/publish/a"),
        ("GET", "/v1/publish/a"),
        ("GET", "/v1/channels/a"),
        ("PATCH", "/v1/history/a"),
        ("TRACE", "/v1/poll/a"),
        ("BREW", "/v1/poll/a"),
    ] {
        let bytes = head(method, target, "");
        cases.push(case(
            format!("{method} {target}"),
            bytes,
            405,
            "method_not_allowed",
        ));
    }
    for target in ["/v1/channels/a//b", "/v1/channels/$sys/a"] {
        let bytes = head("DELETE", target, "");
        cases.push(case(
            format!("DELETE {target}"),
            bytes,
            400,
            "channel_invalid",
        ));
    }
    cases
}

fn heads() -> Vec<Case> {
    let long = format!("/v1/poll/a?x={}", "y".repeat(8 * 1024));
    let big = format!("X-Big: {}\r\n", "y".repeat(16 * 1024));
    let many: String = (0..70).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        get(&long, 414, "uri_too_long"),
        case(
            "a big header".into(),
            head("GET", "/v1/poll/a", &big),
            431,
            "headers_too_large",
        ),
        case(
            "many headers".into(),
            head("GET", "/v1/poll/a", &many),
            431,
            "headers_too_large",
        ),
    ]
}

fn bodies() -> Vec<Case> {
    let deep = format!("{}1{}", "[".repeat(129), "]".repeat(129));
    let mut cases = Vec::new();
    for (name, body) in [
        ("nothing", b"".as_slice()),
        ("no JSON", b"hello"),
        ("two values", b"1 2"),
        ("a trailing comma", b"[1,]"),
        ("a number that is none", b"NaN"),
        ("a leading zero", b"01"),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("a lone surrogate", b"\"\\ud800\""),
        ("no UTF-8", b"\"\xff\""),
        ("a raw line break in a string", b"\"a\nb\""),
        ("too deep", deep.as_bytes()),
    ] {
        cases.push(post(name, "/v1/publish/a", JSON, body, 400, "body_invalid"));
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    cases.push(post(
        "a form",
        "/v1/publish/a",
        form,
        b"a=b",
        400,
        "body_invalid",
    ));
    let text = "Content-Type: text/plain\r\n";
    cases.push(post(
        "no text",
        "/v1/publish/a",
        text,
        b"\xff\xfe",
        400,
        "body_invalid",
    ));
    let big = [b"\"".as_slice(), &[b'x'; 64 * 1024], b"\""].concat();
    cases.push(post(
        "a big payload",
        "/v1/publish/a",
        JSON,
        &big,
        413,
        "payload_too_large",
    ));
    let huge = head("POST", "/v1/publish/a", "Content-Length: 99999999999\r\n");
    cases.push(case("a huge length".into(), huge, 413, "payload_too_large"));
    let mut chunked = head("POST", "/v1/publish", "Transfer-Encoding: chunked\r\n");
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    cases.push(case(
        "a huge chunked body".into(),
        chunked,
        413,
        "payload_too_large",
    ));
    for (name, body) in [
        ("no JSON", b"{".as_slice()),
        ("an array", b"[]"),
        ("channels that are no list", b"{\"channels\":\"/a\"}"),
    ] {
        cases.push(post(name, "/v1/poll", JSON, body, 400, "body_invalid"));
    }
    cases
}

fn publishes() -> Vec<Case> {
    let mut cases = Vec::new();
    let many = format!(
        "[{}]",
        vec!["{\"channel\":\"/a\",\"data\":1}"; 513].join(",")
    );
    for (name, body, status, code) in [
        ("an empty array", "[]", 400, "body_invalid"),
        ("a number", "1", 400, "body_invalid"),
        ("no payload", "{\"channel\":\"/a\"}", 400, "body_invalid"),
        ("no channel", "{\"data\":1}", 400, "body_invalid"),
        (
            "a member of no meaning",
            "{\"channel\":\"/a\",\"data\":1,\"ttl\":1}",
            400,
            "body_invalid",
        ),
        (
            "broken base64",
            "{\"channel\":\"/a\",\"base64\":\"***\"}",
            400,
            "body_invalid",
        ),
        (
            "two payloads",
            "{\"channel\":\"/a\",\"data\":1,\"text\":\"x\"}",
            400,
            "parameter_invalid",
        ),
        (
            "a reserved channel",
            "{\"channel\":\"/meta/a\",\"data\":1}",
            400,
            "channel_invalid",
        ),
        (
            "a pattern",
            "{\"channel\":\"/a/*\",\"data\":1}",
            400,
            "channel_invalid",
        ),
        ("too many", &many, 413, "payload_too_large"),
    ] {
        cases.push(post(
            name,
            "/v1/publish",
            JSON,
            body.as_bytes(),
            status,
            code,
        ));
    }
    let invalid = "parameter_invalid";
    let array = b"[{\"channel\":\"/a\",\"data\":1}]";
    let key = format!("{JSON}Idempotency-Key: k\r\n");
    cases.push(post(
        "a key beside an array",
        "/v1/publish",
        &key,
        array,
        400,
        invalid,
    ));
    let beside = b"{\"channel\":\"/a\",\"data\":1,\"key\":\"k\"}";
    cases.push(post(
        "a key beside a key",
        "/v1/publish",
        &key,
        beside,
        400,
        invalid,
    ));
    for (name, header) in [
        ("a reserved type", "Halley-Event-Type: cursor".to_owned()),
        ("an empty type", "Halley-Event-Type: ".to_owned()),
        (
            "a long type",
            format!("Halley-Event-Type: {}", "t".repeat(65)),
        ),
        ("a long id", format!("Halley-Event-Id: {}", "i".repeat(65))),
        (
            "a long key",
            format!("Idempotency-Key: {}", "k".repeat(129)),
        ),
        (
            "a long header",
            format!("Halley-Header-A: {}", "h".repeat(1_100)),
        ),
        (
            "many headers",
            (0..9)
                .map(|n| format!("Halley-Header-{n}: x\r\n"))
                .collect(),
        ),
    ] {
        let headers = format!("{JSON}{}\r\n", header.trim_end());
        cases.push(post(name, "/v1/publish/a", &headers, b"1", 400, invalid));
    }
    let keyed = format!("{JSON}Idempotency-Key: first\r\n");
    cases.push(post(
        "a used key",
        "/v1/publish/hostile/a",
        &keyed,
        b"2",
        409,
        "key_conflict",
    ));
    cases
}

/// What is no HTTP at all.
fn syntax() -> Vec<Case> {
    let cases: [(&str, &[u8]); 9] = [
        ("noise", b"\x00\x01\x02\x03\r\n\r\n"),
        ("a broken request line", b"GET\r\n\r\n"),
        ("another protocol", b"EHLO halley\r\n\r\n"),
        ("an unknown version", b"GET /v1/poll/a HTTP/9.9\r\nHost: a\r\n\r\n"),
        ("a null byte in a header", b"GET /v1/poll/a HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n"),
        ("a blank in a header's name", b"GET /v1/poll/a HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n"),
        ("a negative length", b"POST /v1/publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n1"),
        (
            "two lengths",
            b"POST /v1/publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        ),
        (
            "an encoding that is none",
            b"POST /v1/publish/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n1",
        ),
    ];
    let case =
        |(name, bytes): (&str, &[u8])| case(name.into(), bytes.into(), 400, "parameter_invalid");
    cases.into_iter().map(case).collect()
}
