//! Cursors that are broken, foreign or ahead, on each transport.

use halley_http::HttpConfig;
use halley_hub::HubConfig;

use crate::harness::{Node, Stream};

mod harness;

/// A cursor of another cluster.
const FOREIGN: &str = "zzz.0-1";

#[tokio::test]
async fn a_cursor_that_the_client_wrote_itself_is_refused() {
    let node = Node::start().await;
    node.publish("/a", "1").await;
    for path in ["/v1/poll/a", "/v1/sse/a", "/v1/history/a"] {
        for (since, status, code) in [
            (FOREIGN, 410, "cursor_foreign"),
            ("nonsense", 400, "cursor_invalid"),
            ("24c.9-1", 400, "cursor_invalid"),
        ] {
            let answer = node.get(&format!("{path}?since={since}"), "").await;
            assert_eq!(
                (answer.status, &*answer.code()),
                (status, code),
                "{path} {since}"
            );
        }
    }
    let answer = node
        .get(&format!("/v1/poll/a?lastEventId={FOREIGN}"), "")
        .await;
    assert_eq!((answer.status, &*answer.code()), (410, "cursor_foreign"));
    let answer = node.get("/v1/poll/a", "last-event-id: nonsense\r\n").await;
    assert_eq!((answer.status, &*answer.code()), (400, "cursor_invalid"));
}

#[tokio::test]
async fn a_tag_that_a_cache_changed_is_told_as_a_gap() {
    let node = Node::start().await;
    let cursor = node.publish("/a", "1").await;
    for tag in ["\"nonsense\"", &*format!("\"{FOREIGN}\""), "x"] {
        let answer = node
            .get("/v1/poll/a?wait=0", &format!("if-none-match: {tag}\r\n"))
            .await;
        assert_eq!((answer.status, answer.offsets()), (200, vec![1]), "{tag}");
        let gap = &answer.json()["gaps"][0];
        assert_eq!(gap["gap"]["reason"], "foreign_cursor");
        assert_eq!(gap["gap"]["channel"], "/a");
    }
    let answer = node
        .get("/v1/poll/a?wait=0&since=earliest", "if-none-match: *\r\n")
        .await;
    assert_eq!(answer.offsets(), [1], "a star says nothing");
    let newest = node.publish("/a", "2").await;
    let tags = format!("if-none-match: W/\"{cursor}\"\r\nif-none-match: *, \"{newest}\"\r\n");
    let answer = node.get("/v1/poll/a?wait=0", &tags).await;
    assert_eq!(
        (answer.status, answer.header("etag")),
        (304, &*format!("\"{newest}\""))
    );
}

#[tokio::test]
async fn an_event_source_with_a_broken_cursor_gets_a_stream() {
    let node = Node::start().await;
    node.publish("/a", "1").await;
    for id in ["nonsense", FOREIGN] {
        let header = format!("last-event-id: {id}\r\n");
        let mut stream = Stream::open(&node, "/v1/sse/a", &header).await;
        assert_eq!(stream.head.status, 200);
        let told = stream.news().await;
        assert_eq!(told.event, "gap");
        assert!(told.data.contains("foreign_cursor"), "{}", told.data);
        assert!(stream.news().await.data.contains("\"offset\":1"));
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_head_is_refused_by_a_poll_and_told_by_a_stream() {
    let node = Node::start().await;
    let cursor = node.publish("/a", "1").await;
    let (cluster, _) = cursor.split_once('.').expect("a cursor");
    let ahead = format!("{cluster}.0-zzz");
    let answer = node
        .get(&format!("/v1/poll/a?since={ahead}&wait=0"), "")
        .await;
    assert_eq!((answer.status, &*answer.code()), (409, "cursor_ahead"));
    let mut stream = Stream::open(&node, &format!("/v1/sse/a?since={ahead}"), "").await;
    assert_eq!(stream.block().await.expect("an opening").event, "");
    assert_eq!(
        stream.block().await.expect("a cursor").id,
        ahead,
        "the client's own until then"
    );
    assert!(HubConfig::default().patience < harness::PATIENCE);
    let told = stream.news().await;
    assert!(told.data.contains("foreign_cursor"), "{told:?}");
    assert!(stream.news().await.data.contains("\"offset\":1"));
}

#[tokio::test]
async fn history_ahead_of_the_leader_is_refused_after_waiting() {
    let config = HttpConfig {
        history_time: std::time::Duration::from_millis(50),
        ..HttpConfig::default()
    };
    let node = Node::configured(config).await;
    let cursor = node.publish("/a", "1").await;
    let (cluster, _) = cursor.split_once('.').expect("a cursor");
    let answer = node
        .get(&format!("/v1/history/a?since={cluster}.0-zzz"), "")
        .await;
    assert_eq!((answer.status, &*answer.code()), (409, "cursor_ahead"));
}
