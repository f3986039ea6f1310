//! Time limits, bounds of connections, slow readers and going down.

use std::time::Duration;

use halley_http::HttpConfig;

use crate::harness::{Node, Stream};

mod harness;

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_head_that_does_not_come_is_answered_408() {
    let node = Node::configured(HttpConfig {
        head_time: SHORT,
        ..HttpConfig::default()
    })
    .await;
    let mut client = node.connect().await;
    client.send(b"GET /v1/poll/a HTTP/1.1\r\nhost: a\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    assert!(client.closed().await);
    let mut silent = node.connect().await;
    assert!(
        silent.closed().await,
        "a connection without a request ends as well"
    );
}

#[tokio::test]
async fn a_second_head_has_its_time_from_its_first_byte() {
    let node = Node::configured(HttpConfig {
        head_time: SHORT,
        ..HttpConfig::default()
    })
    .await;
    let mut client = node.connect().await;
    client
        .send(b"GET /v1/nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 404);
    client.send(b"G").await;
    assert_eq!(client.answer().await.status, 408);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let node = Node::configured(HttpConfig {
        body_time: SHORT,
        ..HttpConfig::default()
    })
    .await;
    let mut client = node.connect().await;
    client
        .send(b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    assert!(client.closed().await);
}

#[tokio::test]
async fn an_idle_connection_ends_quietly() {
    let node = Node::configured(HttpConfig {
        idle_time: SHORT,
        ..HttpConfig::default()
    })
    .await;
    let mut client = node.connect().await;
    client
        .send(b"GET /v1/nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 404);
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let node = Node::start().await;
    let mut client = node.connect().await;
    client
        .send(b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.code(), "payload_too_large");

    let mut client = node.connect().await;
    client
        .send(b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let mut chunk = b"10000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x1_0000, b'x');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..20 {
        client.send(&chunk).await;
    }
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (413, "payload_too_large"),
        "never ended, read so far"
    );
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_to_come_back() {
    let config = HttpConfig {
        connections_max: 1,
        ..HttpConfig::default()
    };
    let node = Node::configured(config).await;
    let stream = Stream::open(&node, "/v1/sse/a", "").await;
    let mut client = node.connect().await;
    client
        .send(b"GET /v1/poll/a HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &*answer.code()), (503, "overloaded"));
    assert!(!answer.header("retry-after").is_empty());
    assert!(client.closed().await);
    let mut refused = Stream::open(&node, "/v1/sse/a", "").await;
    assert_eq!(
        refused.head.status, 200,
        "an EventSource would give up at 503"
    );
    assert!(
        refused
            .head
            .header("content-length")
            .parse::<usize>()
            .is_ok_and(|bytes| bytes > 0)
    );
    drop(stream);
    let mut status = 503;
    while status == 503 {
        status = node.get("/v1/poll/a?wait=0", "").await.status;
    }
    assert_eq!(status, 200, "the place is free again");
    assert!(refused.block_at_end().await);
}

#[tokio::test]
async fn quiet_streams_give_signs_of_life_that_carry_the_cursor() {
    let node = Node::configured(HttpConfig {
        keepalive: SHORT,
        ..HttpConfig::default()
    })
    .await;
    let mut stream = Stream::open(&node, "/v1/sse/a?padding=100", "").await;
    stream.block().await.expect("an opening");
    let first = stream.block().await.expect("a cursor at once");
    let elsewhere = node.publish("/b", "1").await;
    let mut last = first.clone();
    while last.id == first.id {
        last = stream.block().await.expect("a sign of life");
        assert_eq!(last.event, "cursor");
    }
    assert_eq!(last.id, elsewhere, "it moves on in quiet channels too");
}

#[tokio::test]
async fn a_reader_that_stops_does_not_hold_up_others_and_is_told_what_it_missed() {
    let node = Node::keeping(20).await;
    let mut slow = Stream::open(&node, "/v1/sse/a?since=earliest", "").await;
    let mut fast = Stream::open(&node, "/v1/sse/a?since=earliest", "").await;
    slow.block().await.expect("an opening");
    let data = format!("\"{}\"", "x".repeat(50 * 1024));
    for offset in 1..=400_u64 {
        node.publish("/a", &data).await;
        let news = fast.news().await;
        assert!(
            news.data.contains(&format!("\"offset\":{offset},")),
            "{offset}"
        );
    }
    // Sockets hold some of the first events; then comes the gap, and then the newest to the end.
    let mut seen = 0;
    let mut gaps = 0;
    while seen < 400 {
        let news = slow.news().await;
        let value: serde_json::Value = serde_json::from_str(&news.data).expect("JSON");
        if news.event == "gap" {
            gaps += 1;
            assert_eq!(value["gap"]["reason"], "trimmed");
            let next = value["gap"]["next"].as_u64().expect("an offset");
            assert!(next > seen + 1, "a gap of nothing");
            seen = next - 1;
        } else {
            assert_eq!(value["offset"].as_u64(), Some(seen + 1));
            seen += 1;
        }
    }
    assert!(gaps >= 1, "20 MB do not fit into two sockets");
}

#[tokio::test]
async fn going_down_answers_polls_ends_streams_and_refuses_what_is_new() {
    let node = Node::start().await;
    let cursor = node.publish("/a", "1").await;
    let mut stream = Stream::open(&node, "/v1/sse/a", "").await;
    stream.block().await.expect("an opening");
    stream.block().await.expect("a cursor");
    let mut poll = node.connect().await;
    let request = format!("GET /v1/poll/a?wait=120&since={cursor} HTTP/1.1\r\nhost: a\r\n\r\n");
    poll.send(request.as_bytes()).await;
    let mut idle = node.connect().await;
    idle.send(b"GET /v1/nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(idle.answer().await.status, 404);

    let address = node.address;
    let drained = tokio::spawn(node.server.drain(Duration::from_secs(2)));
    let answer = poll.answer().await;
    assert_eq!(
        (answer.status, answer.json()["cursor"].as_str()),
        (200, Some(&*cursor))
    );
    assert!(idle.closed().await);
    // The stream's turn comes within the drain's time; until then the listener answers.
    let mut late = harness::Client::to(address).await;
    late.send(b"GET /v1/poll/a HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let ending = stream.block().await.expect("a time to come back");
    assert!(!ending.retry.is_empty());
    assert!(stream.block().await.is_none());
    drained.await.expect("the drain ends");
}

#[tokio::test]
async fn a_request_that_comes_while_going_down_is_answered() {
    let node = Node::start().await;
    let address = node.address;
    let mut idle = node.connect().await;
    let mut busy = node.connect().await;
    for client in [&mut idle, &mut busy] {
        client
            .send(b"GET /v1/nowhere HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.status, 404);
    }
    busy.send(b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\n")
        .await;
    let drained = tokio::spawn(node.server.drain(Duration::from_secs(3_600)));
    // What says nothing is closed, what has begun to speak is heard out.
    assert!(idle.closed().await);
    busy.send(b"content-length: 1\r\n\r\n1").await;
    let mut late = harness::Client::to(address).await;
    late.send(b"POST /v1/publish/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1")
        .await;
    for client in [&mut busy, &mut late] {
        let answer = client.answer().await;
        assert_eq!((answer.status, &*answer.code()), (503, "draining"));
        assert_eq!(answer.header("connection"), "close");
        assert!(client.closed().await);
    }
    drained.await.expect("the drain ends");
}
