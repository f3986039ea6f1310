//! What a request's head may be: its size, one host, and no token.

use halley_wire::Code;
use hyper::{
    Uri, Version,
    header::{AUTHORIZATION, HOST},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;

use crate::{HttpConfig, reject::Reject};

/// Blanks, version and line end of a request line.
const LINE_SYNTAX_BYTES: usize = " ".len() + " HTTP/1.1\r\n".len();
/// Colon, blank and line end of a header.
const HEADER_SYNTAX_BYTES: usize = ": ".len() + "\r\n".len();

/// Refuses heads beyond the limits. HTTP/2 heads are measured as if they had come by HTTP/1.1.
pub(crate) fn check_size(parts: &Parts, config: &HttpConfig) -> Result<(), Reject> {
    let line = parts.method.as_str().len() + target_bytes(&parts.uri) + LINE_SYNTAX_BYTES;
    let limit = config.request_line_bytes_max;
    if line > limit {
        let detail = format!("the request line has {line} bytes, at most {limit} are allowed");
        return Err(Reject::new(Code::UriTooLong, detail).closing());
    }
    let (count, limit) = (parts.headers.len(), config.headers_max);
    if count > limit {
        let detail = format!("{count} header fields, at most {limit} are allowed");
        return Err(Reject::new(Code::HeadersTooLarge, detail).closing());
    }
    let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_SYNTAX_BYTES
    };
    let bytes = line + parts.headers.iter().map(field).sum::<usize>();
    let limit = config.head_bytes_max;
    if bytes > limit {
        let detail = format!("the request head has {bytes} bytes, at most {limit} are allowed");
        return Err(Reject::new(Code::HeadersTooLarge, detail).closing());
    }
    Ok(())
}

/// Refuses what names no host or several (RFC 9112, 3.2): whoever forwarded it may have understood another one.
pub(crate) fn check_host(parts: &Parts) -> Result<(), Reject> {
    let count = parts.headers.get_all(HOST).iter().count();
    if count == 1 || (count == 0 && parts.version != Version::HTTP_11) {
        return Ok(());
    }
    let detail = format!("the request has {count} Host fields, one is needed");
    Err(Reject::new(Code::ParameterInvalid, detail).closing())
}

/// Refuses tokens, which mean nothing yet: a request must not believe that it is protected by one.
pub(crate) fn check_token(parts: &Parts) -> Result<(), Reject> {
    let in_query = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .any(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            percent_decode_str(name).eq(b"token".iter().copied())
        });
    if in_query || parts.headers.contains_key(AUTHORIZATION) {
        let detail = "tokens are not supported yet, so none is accepted";
        return Err(Reject::new(Code::ParameterInvalid, detail));
    }
    Ok(())
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path_and_query()
        .map_or(1, |target| target.as_str().len())
}
