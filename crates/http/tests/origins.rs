//! Pages of other origins (contract.md, Fine print, CORS).

use halley_http::HttpConfig;

use crate::harness::Node;

mod harness;

async fn node(origins: &[&str]) -> Node {
    let cors_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    Node::configured(HttpConfig {
        cors_origins,
        ..HttpConfig::default()
    })
    .await
}

#[tokio::test]
async fn every_answer_under_v1_says_who_may_read_it() {
    let node = node(&["https://a.example"]).await;
    let cursor = node.publish("/a", "1").await;
    let tag = format!("if-none-match: \"{cursor}\"\r\n");
    let targets = [
        "/v1/poll/a?wait=0",
        "/v1/poll/a?wait=200",
        "/v1/nowhere",
        "/v1/history/a",
        "/v1/sse//",
    ];
    for target in targets {
        for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
            let answer = node
                .get(target, &format!("origin: {origin}\r\n{tag}"))
                .await;
            let said = answer.header("access-control-allow-origin") == origin;
            assert_eq!(said, allowed, "{target} {answer:?}");
            assert_eq!(answer.header("vary"), "origin");
            if allowed {
                assert_eq!(
                    answer.header("access-control-expose-headers"),
                    "etag, retry-after"
                );
            }
        }
    }
    let answer = node.get("/", "origin: https://a.example\r\n").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_star_is_without_credentials_and_none_is_none() {
    let answer = node(&["*"])
        .await
        .get("/v1/poll/a?wait=0", "origin: https://a.example\r\n")
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let answer = node(&[])
        .await
        .get("/v1/poll/a?wait=0", "origin: https://a.example\r\n")
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn preflights_are_answered_even_with_a_token_and_never_allow_delete() {
    let node = node(&["*"]).await;
    let answer = node
        .request(
            "OPTIONS /v1/channels/a?token=x HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\n\
             authorization: Bearer x\r\naccess-control-request-method: DELETE\r\n\
             access-control-request-headers: halley-event-type,idempotency-key\r\n\r\n",
        )
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
    let headers = answer.header("access-control-allow-headers");
    for name in [
        "authorization",
        "content-type",
        "if-none-match",
        "last-event-id",
        "cache-control",
        "idempotency-key",
        "halley-event-type",
    ] {
        assert!(headers.contains(name), "{name} is missing of {headers}");
    }
}
