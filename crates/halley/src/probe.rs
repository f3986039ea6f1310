//! One question to a node's ops listener: GET, and the status that comes back. Everything else of HTTP is the
//! business of real clients.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Body, as text.
    pub(crate) body: String,
}

/// Asks `address` (`host:port`) for `path`.
///
/// # Errors
/// A sentence for people: nobody listens, nothing comes in time, or it is not HTTP.
pub(crate) async fn get(address: &str, path: &str, patience: Duration) -> Result<Answer, String> {
    match tokio::time::timeout(patience, ask(address, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "{address} did not answer within {} s",
            patience.as_secs()
        )),
    }
}

async fn ask(address: &str, path: &str) -> Result<Answer, String> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("{address} cannot be reached: {error}"))?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let broken = |error| format!("{address} broke the connection: {error}");
    stream
        .write_all(question.as_bytes())
        .await
        .map_err(broken)?;
    let mut bytes = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut bytes)
        .await
        .map_err(broken)?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| format!("{address} does not speak HTTP; is it an ops listener?"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.1 ")?
        .split(' ')
        .next()?
        .lines()
        .next()?;
    Some(Answer {
        status: status.parse().ok()?,
        body: body.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read() {
        let text = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
        assert_eq!(
            parse(text),
            Some(Answer {
                status: 503,
                body: "no".into()
            })
        );
        assert_eq!(parse("SSH-2.0\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }
}
