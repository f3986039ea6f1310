//! Reading a request's body: bounded in bytes before it is read, and in time while it is.

use bytes::{Bytes, BytesMut};
use halley_wire::Code;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Body, Incoming},
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
};

use crate::{front::Front, reject::Reject};

/// The whole body.
pub(crate) async fn read(
    front: &Front,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Bytes, Reject> {
    check_encoding(headers)?;
    let limit = front.config().body_bytes_max;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let announced: u64 = announced.unwrap_or_else(|| body.size_hint().lower());
    if announced > limit as u64 {
        return Err(too_large(&format!("has {announced}"), limit));
    }
    let time = front.config().body_time;
    tokio::select! {
        read = collect(body, limit) => read,
        () = front.env().clock.sleep(time) => {
            let detail = format!("the body did not come within {} s", time.as_secs());
            Err(Reject::new(Code::RequestTimeout, detail).closing())
        }
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Reject> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Reject::new(Code::BodyInvalid, format!("the body broke off: {error}")).closing()
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + whole.len() + data.len() > limit {
            return Err(too_large("has more", limit));
        }
        // Most bodies are one frame, which then needs no copy.
        if whole.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if !first.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

fn too_large(how: &str, limit: usize) -> Reject {
    let detail = format!("the body {how} bytes, at most {limit} are allowed");
    Reject::new(Code::PayloadTooLarge, detail).closing()
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Reject> {
    let encodings = headers.get_all(CONTENT_ENCODING);
    if encodings
        .iter()
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let detail = "a body with a Content-Encoding is not supported";
        return Err(Reject::new(Code::Unsupported, detail).closing());
    }
    Ok(())
}
