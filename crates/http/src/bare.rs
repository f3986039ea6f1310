//! Problem details for requests that hyper refuses by itself, before this room sees them: it answers those
//! with a status alone.
//!
//! Invariant: no answer of this room looks like one of those: refusals of ours always have a body.

use halley_wire::{Code, answer::problem};

/// The start of a bare refusal, up to the status.
const START: &[u8] = b"HTTP/1.1 ";
/// What says that it has no body.
const EMPTY: &[u8] = b"content-length: 0\r\n";
/// A bare refusal is never longer.
const BARE_BYTES_MAX: usize = 256;

/// The answer to send in place of `bytes`, if they are a bare refusal.
pub(crate) fn substitute(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > BARE_BYTES_MAX || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let status = bytes.strip_prefix(START)?.get(..3)?;
    let (status, code, detail) = match status {
        b"400" => (
            400,
            Code::ParameterInvalid,
            "these bytes are no HTTP request",
        ),
        b"414" => (414, Code::UriTooLong, "the request line is far too long"),
        b"431" => (
            431,
            Code::HeadersTooLarge,
            "the request head is far too large",
        ),
        _ => return None,
    };
    bytes
        .windows(EMPTY.len())
        .find(|window| window.eq_ignore_ascii_case(EMPTY))?;
    Some(refusal(code, status, detail))
}

/// A whole refusal in bytes, ending its connection.
pub(crate) fn refusal(code: Code, status: u16, detail: &str) -> Vec<u8> {
    let body = problem(code, status, detail);
    let reason = hyper::StatusCode::from_u16(status).ok();
    let reason = reason
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_refusals_are_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let ours = substitute(bare).expect("a bare refusal");
        assert!(ours.ends_with(b"}") && substitute(&ours).is_none());
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            b"data: HTTP/1.1 400\r\ncontent-length: 0\r\n\r\n",
            b"",
        ] {
            assert!(substitute(other).is_none());
        }
    }
}
