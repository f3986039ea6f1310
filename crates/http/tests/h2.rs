//! HTTP/2 without TLS, with prior knowledge: the same answers, many requests on one connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::Node;

mod harness;

type Sender = http2::SendRequest<Full<Bytes>>;

async fn connect(node: &Node) -> Sender {
    let stream = TcpStream::connect(node.address)
        .await
        .expect("the listener is there");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = handshake.expect("HTTP/2 is spoken");
    tokio::spawn(connection);
    sender
}

async fn get(sender: &mut Sender, target: &str) -> Response<Incoming> {
    let request = Request::get(format!("http://a{target}")).body(Full::default());
    sender
        .send_request(request.expect("a request"))
        .await
        .expect("an answer")
}

async fn text(response: Response<Incoming>) -> String {
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("bodies are UTF-8")
}

#[tokio::test]
async fn one_connection_carries_streams_polls_and_publishes() {
    let node = Node::start().await;
    let mut sender = connect(&node).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let response = get(&mut sender, "/v1/sse/a?since=earliest").await;
        assert_eq!(response.status(), 200);
        streams.push(response.into_body());
    }
    let request = Request::post("http://a/v1/publish/a").body(Full::from("{\"n\":1}"));
    let answer = sender
        .send_request(request.expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    for stream in &mut streams {
        let mut seen = String::new();
        while !seen.contains("\"data\":{\"n\":1}") {
            let frame = stream
                .frame()
                .await
                .expect("the stream goes on")
                .expect("a frame");
            seen += std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8");
        }
    }
    let poll = get(&mut sender, "/v1/poll/a?since=earliest&wait=0").await;
    assert!(text(poll).await.contains("\"offset\":1"));
}

#[tokio::test]
async fn heads_are_measured_as_by_http_1() {
    let node = Node::start().await;
    let mut sender = connect(&node).await;
    let long = get(&mut sender, &format!("/v1/poll/{}", "a".repeat(9_000))).await;
    assert_eq!(long.status(), 414);
    assert!(text(long).await.contains("uri_too_long"));
    let mut request = Request::get("http://a/v1/poll/a");
    for index in 0..70 {
        request = request.header(format!("x-{index}"), "y");
    }
    let request = request.body(Full::default()).expect("a request");
    let many = sender.send_request(request).await.expect("an answer");
    assert_eq!(many.status(), 431);
    assert_eq!(
        get(&mut sender, "/v1/nowhere").await.status(),
        404,
        "the connection goes on"
    );
}

#[tokio::test]
async fn head_has_no_body() {
    let node = Node::start().await;
    let mut sender = connect(&node).await;
    for (target, status) in [("/v1/poll/a", 405), ("/", 200)] {
        let request = Request::head(format!("http://a{target}")).body(Full::default());
        let request = request.expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
        assert_ne!(answer.headers()["content-length"], "0");
        assert_eq!(text(answer).await, "");
    }
}

#[tokio::test]
async fn going_down_ends_the_connection_after_its_requests() {
    let node = Node::start().await;
    let mut sender = connect(&node).await;
    assert_eq!(get(&mut sender, "/v1/nowhere").await.status(), 404);
    let mut stream = get(&mut sender, "/v1/sse/a").await.into_body();
    let drained = tokio::spawn(node.server.drain(std::time::Duration::from_secs(2)));
    let mut seen = String::new();
    while let Some(frame) = stream.frame().await {
        let frame = frame.expect("the stream ends in order");
        seen += std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8");
    }
    assert_eq!(seen.matches("retry:").count(), 2, "{seen}");
    drained.await.expect("the drain ends");
}
