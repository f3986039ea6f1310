//! Requests that nobody means well: each has its status and code, and the node stays up.

use crate::harness::{Answer, Client, Node};

mod harness;

/// What is sent, and the status and code expected.
type Case = (String, u16, &'static str);

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn with(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

fn post(target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    with(
        &format!("POST {target}"),
        &format!("content-length: {length}\r\n{headers}"),
    ) + body
}

fn publish(body: &str) -> String {
    post("/v1/publish", "", body)
}

async fn run(cases: Vec<Case>) {
    let node = Node::start().await;
    let cursor = node.publish("/alive", "1").await;
    for (request, status, code) in cases {
        let answer = node.request(&request).await;
        let shown: String = request.chars().take(200).collect();
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{shown}\n{answer:?}"
        );
        assert!(answer.status < 500, "{shown}");
        if !code.is_empty() {
            assert_eq!(
                answer.header("x-content-type-options"),
                "nosniff",
                "{shown}"
            );
        }
    }
    let answer = node.get("/v1/poll/alive?since=earliest&wait=0", "").await;
    assert_eq!(
        answer.json()["cursor"],
        cursor,
        "the node is up and untouched"
    );
}

#[tokio::test]
async fn names_and_parameters() {
    let mut cases: Vec<Case> = Vec::new();
    for name in [
        "/v1/poll/",
        "/v1/poll//a",
        "/v1/poll/a/",
        "/v1/poll/a/../b",
        "/v1/poll/./a",
        "/v1/poll/a%2Fb",
        "/v1/poll/a%2fb",
        "/v1/poll/%zz",
        "/v1/poll/%ff",
        "/v1/poll/a%00b",
        "/v1/poll/a%20b",
        "/v1/poll/e%CC%81",
        "/v1/poll/%E2%80%AE",
        "/v1/poll/meta/x",
        "/v1/poll/$sys/x",
        "/v1/poll/a%23",
        "/v1/poll/a%5Cb",
        "/v1/sse/a%3Fb",
        "/v1/history//",
        "/v1/history/",
        "/v1/poll?channel=a",
        "/v1/poll?channel=",
        "/v1/poll?channel=/a%zz",
    ] {
        cases.push((get(name), 400, "channel_invalid"));
    }
    cases.push((
        get(&format!("/v1/poll/{}", "a".repeat(256))),
        400,
        "channel_invalid",
    ));
    cases.push((
        get(&format!("/v1/poll{}", "/a".repeat(17))),
        400,
        "channel_invalid",
    ));
    for pattern in [
        "/v1/poll?channel=/a/*/b",
        "/v1/poll?channel=*",
        "/v1/poll?channel=/a**",
        "/v1/sse/a*b",
    ] {
        cases.push((get(pattern), 400, "pattern_invalid"));
    }
    for target in [
        "/v1/poll",
        "/v1/poll/a?channel=/b",
        "/v1/poll/a?wait=1.5",
        "/v1/poll/a?wait=121",
        "/v1/poll/a?wait=-1",
        "/v1/poll/a?wait=",
        "/v1/poll/a?wait=1&wait=1",
        "/v1/poll/a?limit=0",
        "/v1/poll/a?limit=1001",
        "/v1/poll/a?limit=99999999999999999999",
        "/v1/poll/a?since=last:1001",
        "/v1/poll/a?since=last:-1",
        "/v1/poll/a?since=latest&since=latest",
        "/v1/poll/a?format=xml",
        "/v1/sse/a?padding=4097",
        "/v1/sse/a?dialect=other",
        "/v1/history/a?consistency=strong",
        "/v1/history/a?channel=/b",
        "/v1/poll/a?token=x",
        "/v1/poll/a?%74oken=x",
        "/v1/sse/a?token",
        "/v1/history/a?token=",
    ] {
        cases.push((get(target), 400, "parameter_invalid"));
    }
    for since in [
        "",
        "x",
        "a.0",
        "a.0-",
        "a.0-1_",
        "a.0-1_0-2",
        "A.0-1",
        "a.0-1%20",
        "%ff",
    ] {
        cases.push((
            get(&format!("/v1/poll/a?since={since}")),
            400,
            "cursor_invalid",
        ));
    }
    let many = |count: usize, name: &str| {
        let names: Vec<_> = (0..count)
            .map(|index| format!("channel=/{index}{name}"))
            .collect();
        get(&format!("/v1/poll?{}", names.join("&")))
    };
    cases.push((many(65, ""), 400, "too_many_channels"));
    cases.push((many(17, "/*"), 400, "too_many_channels"));
    run(cases).await;
}

#[tokio::test]
async fn methods_paths_and_heads() {
    let mut cases: Vec<Case> = vec![
        (get("/v1/nowhere"), 404, "not_found"),
        (get("/v1"), 404, "not_found"),
        (get("/v1/pollx/a"), 404, "not_found"),
        (get("/etc/passwd"), 404, "not_found"),
        (get("//v1/poll/a"), 404, "not_found"),
        (get("/v1/ws/a"), 404, "not_found"),
        (with("POST /v1/sse/a", ""), 405, "method_not_allowed"),
        (with("PUT /v1/publish/a", ""), 405, "method_not_allowed"),
        (with("GET /v1/publish/a", ""), 405, "method_not_allowed"),
        (with("GET /v1/channels/a", ""), 405, "method_not_allowed"),
        (with("DELETE /v1/poll/a", ""), 405, "method_not_allowed"),
        (with("BREW /v1/poll/a", ""), 405, "method_not_allowed"),
        (with("POST /", ""), 405, "method_not_allowed"),
        (
            with("GET /v1/poll/a", "authorization: Bearer x\r\n"),
            400,
            "parameter_invalid",
        ),
        (
            with("GET /v1/sse/a", "authorization: Basic eDp5\r\n"),
            400,
            "parameter_invalid",
        ),
        (
            with("DELETE /v1/channels/a", "authorization: x\r\n"),
            400,
            "parameter_invalid",
        ),
        (
            with("DELETE /v1/channels/a%2Fb", ""),
            400,
            "channel_invalid",
        ),
        (with("DELETE /v1/channels", ""), 400, "channel_invalid"),
    ];
    for bytes in [8 * 1024, 20_000, 60_000] {
        cases.push((
            get(&format!("/v1/poll/{}", "a".repeat(bytes))),
            414,
            "uri_too_long",
        ));
    }
    let headers: String = (0..70).map(|index| format!("x-{index}: y\r\n")).collect();
    cases.push((with("GET /v1/poll/a", &headers), 431, "headers_too_large"));
    let header = format!("x: {}\r\n", "y".repeat(17_000));
    cases.push((with("GET /v1/poll/a", &header), 431, "headers_too_large"));
    run(cases).await;
}

#[tokio::test]
async fn bodies() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let item = "{\"channel\":\"/a\",\"data\":1}";
    let mut cases: Vec<Case> = Vec::new();
    for body in [
        "",
        "{",
        "nul",
        "[]",
        "[1]x",
        "{\"channel\":\"/a\"}",
        "{\"channel\":\"/a\",\"data\":1,\"x\":1}",
        "{\"channel\":\"/a\",\"data\":\"\\ud800\"}",
        "\u{feff}{\"channel\":\"/a\",\"data\":1}",
        "\"text\"",
    ] {
        cases.push((publish(body), 400, "body_invalid"));
    }
    for body in [
        "",
        "{",
        "01",
        "{\"a\":1}{",
        "\"\\ud800\"",
        "\u{feff}1",
        "NaN",
        &deep,
    ] {
        cases.push((post("/v1/publish/a", "", body), 400, "body_invalid"));
    }
    let key = "idempotency-key: k\r\n";
    let array = format!("[{item}]");
    let keyed = "{\"channel\":\"/a\",\"data\":1,\"key\":\"k\"}";
    cases.push((post("/v1/publish", key, &array), 400, "parameter_invalid"));
    cases.push((post("/v1/publish", key, keyed), 400, "parameter_invalid"));
    let twice = "{\"channel\":\"/a\",\"data\":1,\"text\":\"x\"}";
    cases.push((publish(twice), 400, "parameter_invalid"));
    cases.push((
        publish("{\"channel\":\"a\",\"data\":1}"),
        400,
        "channel_invalid",
    ));
    cases.push((
        publish("{\"channel\":\"/a/*\",\"data\":1}"),
        400,
        "channel_invalid",
    ));
    let long = "k".repeat(129);
    for header in [
        &format!("idempotency-key: {long}\r\n"),
        "idempotency-key: a\r\nidempotency-key: b\r\n",
        "halley-event-type: cursor\r\n",
        "halley-event-type: end\r\n",
        &format!("halley-event-id: {}\r\n", "i".repeat(65)),
        &format!("halley-event-type: {}\r\n", "t".repeat(65)),
        &format!("halley-header-a: {}\r\n", "v".repeat(1025)),
    ] {
        cases.push((post("/v1/publish/a", header, "1"), 400, "parameter_invalid"));
    }
    let big = format!("\"{}\"", "x".repeat(64 * 1024));
    cases.push((post("/v1/publish/a", "", &big), 413, "payload_too_large"));
    let many = format!("[{}]", [item; 513].join(","));
    cases.push((publish(&many), 413, "payload_too_large"));
    let huge = " ".repeat(1024 * 1024 + 1);
    cases.push((post("/v1/publish/a", "", &huge), 413, "payload_too_large"));
    cases.push((post("/v1/poll", "", &huge), 413, "payload_too_large"));
    cases.push((
        post("/v1/publish", "content-type: text/xml\r\n", item),
        415,
        "unsupported",
    ));
    cases.push((
        post("/v1/publish/a", "content-encoding: gzip\r\n", "1"),
        415,
        "unsupported",
    ));
    for body in [
        "",
        "[]",
        "{\"channels\":\"/a\"}",
        "{\"channels\":[\"/a\"],\"x\":1}",
        "{\"channels\":[1]}",
    ] {
        cases.push((post("/v1/poll", "", body), 400, "body_invalid"));
    }
    cases.push((
        post("/v1/poll", "", "{\"channels\":[]}"),
        400,
        "parameter_invalid",
    ));
    cases.push((
        post("/v1/poll", "", "{\"channels\":[\"/a\"],\"wait\":1.5}"),
        400,
        "parameter_invalid",
    ));
    cases.push((
        post(
            "/v1/poll?since=latest",
            "",
            "{\"channels\":[\"/a\"],\"since\":\"latest\"}",
        ),
        400,
        "parameter_invalid",
    ));
    run(cases).await;
}

#[tokio::test]
async fn bytes_that_are_no_requests() {
    let node = Node::start().await;
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /v1/poll/a HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /v1/poll/a HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/poll/a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET /v1/poll/\x01 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n1", 400),
        (b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12", 400),
        (b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n1", 400),
        (b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n", 400),
    ] {
        let mut client = Client::to(node.address).await;
        client.send(bytes).await;
        let answer: Answer = client.answer().await;
        assert!(!answer.code().is_empty(), "{answer:?}");
        assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(bytes));
    }
    let mut client = Client::to(node.address).await;
    client
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all")
        .await;
    assert!(client.closed().await);
    node.publish("/a", "1").await;
}

#[tokio::test]
async fn refusals_name_the_methods_that_would_do() {
    let node = Node::start().await;
    let answer = node.request(&with("PATCH /v1/publish/a", "")).await;
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    let mut client = node.connect().await;
    client.send(with("HEAD /v1/poll/a", "").as_bytes()).await;
    let head = client.head().await;
    assert_eq!(
        (head.status, head.header("allow")),
        (405, "GET, POST, OPTIONS")
    );
}
