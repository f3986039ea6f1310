//! Requests that nobody should send: each gets the documented status and code, never a 5xx, and the node goes on.

#[path = "hostile/table.rs"]
mod table;

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{http, process::Node, within};
use table::Case;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What came back: the status, and the code of the problem details if there are any.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    status: Option<u16>,
    code: Option<String>,
}

fn verdict(answer: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let code = serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|problem| {
            let code = problem["type"]
                .as_str()?
                .strip_prefix("urn:halley:error:")?
                .to_owned();
            assert!(
                problem["title"].is_string() && problem["detail"].is_string(),
                "{problem}"
            );
            assert_eq!(
                problem["status"].as_u64(),
                status.map(u64::from),
                "{problem}"
            );
            let lower = text.to_lowercase();
            assert!(
                lower.contains("content-type: application/problem+json"),
                "{text}"
            );
            Some(code)
        });
    Verdict { status, code }
}

async fn send(at: SocketAddr, case: &Case) -> Verdict {
    let answer = within(&case.name, http::raw(at, &case.bytes)).await;
    verdict(&answer.expect("the node accepts connections"))
}

async fn still_serves(node: &Node) {
    assert_eq!(http::status(node.at.ops, "/readyz").await, Some(200));
    let published = http::publish(node.at.http, "/after", "after", &json!(1)).await;
    published.expect("publishes as before");
    let said = node.process.said();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_get_the_documented_answer() {
    let node = Node::replica(&[]).await;
    let cases = table::cases(&cursor(node.at.http).await);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = Verdict {
            status: Some(case.status),
            code: Some(case.code.into()),
        };
        let verdict = send(node.at.http, case).await;
        let server_error = verdict.status.is_some_and(|status| status >= 500);
        if verdict != expected || server_error {
            wrong.push(format!(
                "{}: {verdict:?} instead of {expected:?}",
                case.name
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    still_serves(&node).await;
    println!("{} hostile requests", cases.len());
}

/// A cursor of this node, to be tampered with.
async fn cursor(at: SocketAddr) -> String {
    http::publish(at, "/hostile/a", "first", &json!(1))
        .await
        .expect("is stored");
    let answer = http::get(at, "/v1/poll/hostile/a?wait=0", &[])
        .await
        .expect("an answer");
    answer.json()["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_that_never_end_are_timed_out() {
    let node = Node::replica(&[]).await;
    let head = b"GET /v1/poll/a HTTP/1.1\r\nHost: a\r\nX-Slow: ".as_slice();
    let body = b"POST /v1/publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{".as_slice();
    let at = node.at.http;
    let (head, body) = tokio::join!(
        within("the end of a slow head", trickle(at, head)),
        within("the end of a slow body", trickle(at, body)),
    );
    let expected = || Verdict {
        status: Some(408),
        code: Some("request_timeout".into()),
    };
    assert_eq!(
        verdict(&body),
        expected(),
        "{}",
        String::from_utf8_lossy(&body)
    );
    // A head that never came may be answered or not: nobody is known to listen.
    assert!(
        head.is_empty() || verdict(&head).status == Some(408),
        "{head:?}"
    );
    still_serves(&node).await;
}

/// Sends the beginning of a request and nothing more; gives what comes until the other side closes.
async fn trickle(at: SocketAddr, beginning: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.expect("connects");
    stream.write_all(beginning).await.expect("sends");
    let mut answer = Vec::new();
    let _reset_is_an_end_too = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_every_listener_ends_nothing() {
    let node = Node::replica(&[]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    let frame = [0xff_u8; 64];
    let noise: [&[u8]; 4] = [
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
        &[0; 4096],
        b"\r\n\r\n\r\n\r\n",
        &[preface, &frame].concat(),
    ];
    for at in [node.at.http, node.at.grpc, node.at.peer, node.at.ops] {
        for bytes in noise {
            let mut stream = TcpStream::connect(at).await.expect("connects");
            let _closed_early = stream.write_all(bytes).await;
            let _closed_early = stream.shutdown().await;
            let mut answer = Vec::new();
            let _reset_is_an_end_too = within(
                &format!("the end of noise on {at}"),
                stream.read_to_end(&mut answer),
            )
            .await;
            let status = verdict(&answer).status;
            assert!(
                status.is_none_or(|status| (400..500).contains(&status)),
                "{at}: {status:?}"
            );
        }
    }
    still_serves(&node).await;
}
