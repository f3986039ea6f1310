//! Requests over HTTP: by hyper for what should work, by raw bytes for what should be refused.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, body::Bytes, body::Incoming, header::HeaderMap};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Why there is no answer.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.body))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request on a connection of its own; gives the answer once its head is there.
pub(crate) async fn open(
    at: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<hyper::Response<Incoming>, Broken> {
    let stream = TcpStream::connect(at).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its connection, which ends with the answer's body.
    tokio::spawn(async move {
        let _broken_means_ended = connection.await;
    });
    Ok(sender.send_request(request).await?)
}

/// A request and its whole answer.
pub(crate) async fn ask(at: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
    let (head, body) = open(at, request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

/// A request with headers and a body.
pub(crate) fn request(
    method: &str,
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", at.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(body.into()))
        .expect("a request that can be")
}

/// GET.
pub(crate) async fn get(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, Broken> {
    ask(at, request("GET", at, path, headers, Bytes::new())).await
}

/// The status of a GET; `None` when there is no answer.
pub(crate) async fn status(at: SocketAddr, path: &str) -> Option<u16> {
    Some(get(at, path, &[]).await.ok()?.status)
}

/// Publishes JSON under a key of the caller's, so that it may be sent again; gives the offset.
pub(crate) async fn publish(
    at: SocketAddr,
    channel: &str,
    key: &str,
    data: &Value,
) -> Result<u64, Broken> {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let path = format!("/v1/publish{channel}");
    let answer = ask(at, request("POST", at, &path, &headers, data.to_string())).await?;
    if answer.status != StatusCode::OK.as_u16() {
        return Err(format!("{}: {:?}", answer.status, answer.body).into());
    }
    answer.json()["offset"]
        .as_u64()
        .ok_or_else(|| "no offset".into())
}

/// Sends bytes as they are and reads until the answer is complete, or the other side ends.
pub(crate) async fn raw(at: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut stream = TcpStream::connect(at).await?;
    // A server that has seen enough may answer and close before everything is written.
    let _early_answer = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_complete(&answer) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(answer)
}

/// Whether an answer with a declared length is all there.
fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}
