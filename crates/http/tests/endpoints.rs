//! Every endpoint as the contract describes it, over a real socket.

use halley_http::HttpConfig;
use halley_shard::Settings;

use crate::harness::{Node, Stream};

mod harness;

#[tokio::test]
async fn an_event_is_published_polled_streamed_and_found_in_history() {
    let node = Node::start().await;
    let mut stream = Stream::open(&node, "/v1/sse/stocks/goog", "").await;
    assert_eq!(stream.head.status, 200);
    assert_eq!(stream.head.header("content-type"), "text/event-stream");
    assert_eq!(
        stream.head.header("cache-control"),
        "no-cache, no-transform"
    );
    assert_eq!(stream.head.header("x-accel-buffering"), "no");
    assert!(!stream.block().await.expect("an opening").retry.is_empty());
    let opening = stream.block().await.expect("a cursor at once");
    assert_eq!(
        (opening.event.as_str(), &opening.id),
        ("cursor", &opening.data)
    );

    let headers = "halley-event-type: quote\r\nhalley-event-id: mine\r\nhalley-header-a: b\r\n";
    let answer = node
        .post("/v1/publish/stocks/goog", headers, "{\"p\": 1.50}")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = answer.json();
    assert_eq!(
        (&result["channel"], &result["offset"]),
        (&"/stocks/goog".into(), &1.into())
    );
    assert_eq!(result["duplicate"], false);
    let cursor = result["cursor"].as_str().expect("a cursor");

    let block = stream.news().await;
    assert_eq!((block.event.as_str(), block.id.as_str()), ("quote", cursor));
    let start =
        format!("{{\"channel\":\"/stocks/goog\",\"offset\":1,\"cursor\":\"{cursor}\",\"time\":");
    assert!(block.data.starts_with(&start), "{}", block.data);
    let end =
        ",\"type\":\"quote\",\"id\":\"mine\",\"headers\":{\"a\":\"b\"},\"data\":{\"p\":1.50}}";
    assert!(block.data.ends_with(end), "{}", block.data);

    for target in [
        "/v1/poll/stocks/goog?since=earliest",
        "/v1/history/stocks/goog",
    ] {
        let answer = node.get(target, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("etag"), format!("\"{cursor}\""));
        assert_eq!(answer.header("cache-control"), "no-store");
        let whole = format!("{{\"cursor\":\"{cursor}\",\"events\":[{}]}}", block.data);
        assert_eq!(answer.text(), whole);
    }
}

#[tokio::test]
async fn a_held_poll_is_answered_by_the_next_event_and_a_quiet_one_by_304() {
    let node = Node::start().await;
    let cursor = node.publish("/a", "1").await;
    let tag = format!("if-none-match: W/\"{cursor}\"\r\n");
    let (answer, _) = tokio::join!(
        node.get("/v1/poll/a?wait=60", &tag),
        node.publish("/a", "2")
    );
    assert_eq!(answer.offsets(), [2]);

    let newest = answer.json()["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let tag = format!("if-none-match: \"{newest}\"\r\norigin: https://a.example\r\n");
    let answer = node.get("/v1/poll/a?wait=0", &tag).await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (304, &*format!("\"{newest}\""))
    );
    let answer = node
        .get(&format!("/v1/poll/a?wait=0&since={newest}"), "")
        .await;
    assert_eq!((answer.status, answer.offsets()), (200, vec![]));
    assert_eq!(answer.json()["cursor"], newest);
}

#[tokio::test]
async fn several_channels_patterns_and_a_body_make_one_subscription() {
    let node = Node::with(HttpConfig::default(), 4, Settings::default()).await;
    for channel in ["/a", "/b/c", "/b/d", "/e"] {
        node.publish(channel, "1").await;
    }
    let answer = node
        .get(
            "/v1/poll?channel=/a&channel=/b/**&since=earliest&wait=0",
            "",
        )
        .await;
    assert_eq!(answer.offsets(), [1, 1, 1]);
    let body = "{\"channels\":[\"/a\",\"/e\"],\"since\":\"earliest\",\"wait\":0,\"limit\":1}";
    let first = node
        .post("/v1/poll", "content-type: application/json\r\n", body)
        .await;
    assert_eq!(first.offsets(), [1]);
    let cursor = first.json()["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let second = body.replace("earliest", &cursor);
    let second = node.post("/v1/poll", "", &second).await;
    assert_eq!(second.offsets(), [1]);
    assert_ne!(
        first.json()["events"][0]["channel"],
        second.json()["events"][0]["channel"]
    );
    let answer = node
        .get("/v1/poll?channel=/a&channel=/b/*&since=last:2&wait=0", "")
        .await;
    assert_eq!(answer.offsets().len(), 2);
}

#[tokio::test]
async fn payloads_alone_come_with_their_cursor_as_a_tag() {
    let node = Node::start().await;
    node.publish("/a", "{\"n\": 1}").await;
    node.post(
        "/v1/publish/a",
        "content-type: text/plain\r\n",
        "two\nlines",
    )
    .await;
    let answer = node
        .post("/v1/publish/a", "content-type: image/png\r\n", "\u{1}")
        .await;
    let cursor = answer.json()["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let answer = node.get("/v1/poll/a?since=earliest&format=data", "").await;
    assert_eq!(
        answer.text(),
        "[{\"n\":1},\"two\\nlines\",{\"base64\":\"AQ==\"}]"
    );
    assert_eq!(answer.header("etag"), format!("\"{cursor}\""));
    let mut stream = Stream::open(&node, "/v1/sse/a?since=earliest&format=data", "").await;
    for data in ["{\"n\":1}", "twolines", "AQ=="] {
        assert_eq!(stream.news().await.data, data);
    }
}

#[tokio::test]
async fn batches_answer_each_item_in_order_and_abort_a_channel_after_its_first_failure() {
    let node = Node::start().await;
    let body = "[{\"channel\":\"/a\",\"data\":1},{\"channel\":\"/b\",\"data\":1,\"text\":\"x\"},\
                {\"channel\":\"/b\",\"data\":2},{\"channel\":\"/a\",\"text\":\"t\",\"type\":\"cursor\"},\
                {\"channel\":\"/a\",\"data\":3},{\"channel\":\"/c\",\"base64\":\"AQ==\"}]";
    let answer = node.post("/v1/publish", "", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let seen = json.as_array().expect("results").iter().map(|result| {
        let code = result["error"]["code"].as_str().unwrap_or("ok");
        (result["channel"].as_str().expect("a channel"), code)
    });
    let seen: Vec<_> = seen.collect();
    assert_eq!(
        seen,
        [
            ("/a", "ok"),
            ("/b", "parameter_invalid"),
            ("/b", "aborted"),
            ("/a", "parameter_invalid"),
            ("/a", "aborted"),
            ("/c", "ok"),
        ]
    );
}

#[tokio::test]
async fn a_refused_item_aborts_its_channel_whatever_else_the_array_holds() {
    let node = Node::start().await;
    for odd in [
        "\"\\ud800\"",
        "1e999",
        &format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ] {
        let body = format!(
            "[{{\"channel\":\"/a\",\"dat\":1}},{{\"channel\":\"/b\",\"data\":{odd}}},\
              {{\"channel\":\"/a\",\"data\":2}},7,{{\"data\":1}},[\"/c\",1,null,null,null,null,null,{{}},null,null]]"
        );
        let answer = node.post("/v1/publish", "", &body).await;
        let json = answer.json();
        let seen = |index: usize| {
            let code = json[index]["error"]["code"].as_str().unwrap_or("ok");
            (json[index]["channel"].as_str().expect("a channel"), code)
        };
        assert_eq!(seen(0), ("/a", "body_invalid"), "{answer:?}");
        assert_eq!(seen(2), ("/a", "aborted"), "{answer:?}");
        for nameless in 3..6 {
            assert_eq!(seen(nameless), ("", "body_invalid"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_key_makes_the_second_publish_a_duplicate_and_another_content_a_conflict() {
    let node = Node::start().await;
    let key = "idempotency-key: \"k 1\"\r\nhalley-producer: me\r\n";
    let first = node.post("/v1/publish/a", key, "1").await.json();
    let body = "{\"channel\":\"/a\",\"data\":1,\"key\":\"k 1\",\"producer\":\"me\"}";
    let second = node.post("/v1/publish", "", body).await.json();
    assert_eq!(
        (&second["cursor"], &second["offset"]),
        (&first["cursor"], &first["offset"])
    );
    assert_eq!(
        (&first["duplicate"], &second["duplicate"]),
        (&false.into(), &true.into())
    );
    let answer = node.post("/v1/publish/a", key, "2").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (409, "key_conflict")
    );
    let other = node
        .post("/v1/publish/a", "idempotency-key: \"k 1\"\r\n", "2")
        .await;
    assert_eq!(
        other.json()["duplicate"],
        false,
        "another scope is another key"
    );
}

#[tokio::test]
async fn a_deleted_channel_is_told_as_a_gap_and_goes_on_above() {
    let node = Node::start().await;
    node.publish("/a", "1").await;
    for _ in 0..2 {
        let delete = "DELETE /v1/channels/a HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(node.request(delete).await.status, 204);
    }
    let answer = node.get("/v1/history/a", "").await.json();
    assert_eq!(answer["gaps"][0]["gap"]["reason"], "trimmed");
    assert_eq!(answer["gaps"][0]["gap"]["next"], 2);
    node.publish("/a", "2").await;
    assert_eq!(
        node.get("/v1/poll/a?since=earliest&wait=0", "")
            .await
            .offsets(),
        [2]
    );
    assert!(node.get("/v1/history/never", "").await.offsets().is_empty());
}

#[tokio::test]
async fn trimmed_events_are_told_before_the_oldest_retained_one() {
    let node = Node::keeping(2).await;
    let cursor = node.publish("/a", "1").await;
    for data in ["2", "3", "4", "5"] {
        node.publish("/a", data).await;
    }
    let target = format!("/v1/poll/a?since={cursor}&wait=0&format=data");
    let answer = node.get(&target, "").await;
    let json = answer.json();
    assert_eq!(
        answer.offsets(),
        [4, 5],
        "an array of payloads could not tell the gap"
    );
    let gap = &json["gaps"][0];
    assert_eq!(
        gap["gap"],
        serde_json::json!({"channel": "/a", "next": 4, "reason": "trimmed"})
    );

    let mut stream = Stream::open(&node, &format!("/v1/sse/a?since={cursor}"), "").await;
    let told = stream.news().await;
    assert_eq!(
        (told.event.as_str(), told.id.as_str()),
        ("gap", gap["cursor"].as_str().unwrap_or(""))
    );
    let answer = node
        .get(&format!("/v1/poll/a?since={}&wait=0", told.id), "")
        .await;
    assert_eq!(answer.json()["gaps"], serde_json::Value::Null, "told once");
}

#[tokio::test]
async fn history_reads_from_where_it_is_asked() {
    let node = Node::start().await;
    let mut cursors = Vec::new();
    for data in ["1", "2", "3", "4"] {
        cursors.push(node.publish("/a", data).await);
    }
    for (query, offsets) in [
        ("?limit=2", vec![1, 2]),
        ("?since=last:2", vec![3, 4]),
        ("?since=latest", vec![]),
        ("?consistency=linearizable", vec![1, 2, 3, 4]),
        (
            &*format!("?since={}&consistency=local", cursors[2]),
            vec![4],
        ),
    ] {
        let answer = node.get(&format!("/v1/history/a{query}"), "").await;
        assert_eq!(answer.offsets(), offsets, "{query}");
    }
    let first = node.get("/v1/history/a?limit=2", "").await;
    assert_eq!(first.header("etag"), format!("\"{}\"", cursors[1]));
}

#[tokio::test]
async fn big_answers_stop_at_a_megabyte_and_go_on_from_there() {
    let node = Node::start().await;
    let data = format!("\"{}\"", "x".repeat(60 * 1024));
    for _ in 0..17 {
        node.publish("/a", &data).await;
    }
    let mut offsets = Vec::new();
    let mut since = "earliest".to_owned();
    while offsets.len() < 17 {
        let answer = node
            .get(&format!("/v1/poll/a?since={since}&wait=0&limit=1000"), "")
            .await;
        assert!(
            answer.body.len() < 1024 * 1024 + 1024,
            "{}",
            answer.body.len()
        );
        assert!(!answer.offsets().is_empty());
        offsets.extend(answer.offsets());
        since = answer.json()["cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned();
    }
    assert_eq!(offsets, (1..=17).collect::<Vec<u64>>());
}

#[tokio::test]
async fn pages_for_people_are_served_where_they_are_enabled() {
    let config = HttpConfig {
        demos: true,
        node: "n<1>".to_owned(),
        ..HttpConfig::default()
    };
    let node = Node::configured(config).await;
    let page = node.get("/demo/stocks", "").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.text().contains("content=\"n&lt;1&gt;\""));
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for (target, status) in [("/", 200), ("/demo/stocks.js", 200), ("/demo/x", 404)] {
        assert_eq!(node.get(target, "").await.status, status, "{target}");
    }
    assert_eq!(
        Node::start().await.get("/demo/stocks", "").await.code(),
        "not_found"
    );
}
