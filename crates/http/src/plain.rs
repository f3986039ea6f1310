//! The plain dialect: requests as the contract's own URLs, headers and JSON bodies say them.

use halley_hub::SubscribeRequest;
use halley_wire::request::{RequestParts, SinceSource, SubscribeForm, parse, parse_body};
use hyper::{
    HeaderMap,
    header::{HeaderName, IF_NONE_MATCH},
    http::request::Parts,
};

use crate::reject::Reject;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What kind of transport asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One answer: a broken cursor is refused.
    Once,
    /// A stream, opened by browsers that take any refusal as final: a broken cursor is told in it.
    Streamed,
}

/// Reads a subscribe request from its head, and from `body` where it has one; `path` is what stands behind
/// the transport's own.
pub(crate) fn understand(
    parts: &Parts,
    path: &str,
    kind: Kind,
    body: Option<&[u8]>,
) -> Result<SubscribeForm, Reject> {
    let last_event_id = joined(&parts.headers, &LAST_EVENT_ID);
    let if_none_match = joined(&parts.headers, &IF_NONE_MATCH);
    let request = RequestParts {
        path,
        query: parts.uri.query().unwrap_or_default(),
        last_event_id: last_event_id.as_deref(),
        if_none_match: if_none_match.as_deref(),
        streamed: kind == Kind::Streamed,
        data_format: true,
    };
    let form = match body {
        None => parse(request)?,
        Some(body) => parse_body(request, body)?,
    };
    Ok(form)
}

/// What the hub is asked. A foreign cursor is refused only where the client wrote it itself: caches and
/// browsers that send one along cannot be told by a status.
pub(crate) fn request(form: &SubscribeForm, kind: Kind) -> SubscribeRequest {
    let tell_foreign = match form.source {
        SinceSource::IfNoneMatch => true,
        SinceSource::LastEventId => kind == Kind::Streamed,
        SinceSource::Default | SinceSource::Since => false,
    };
    SubscribeRequest {
        interests: form.interests.clone(),
        since: form.since.clone(),
        tell_foreign,
        unreadable: form.unreadable,
    }
}

/// A header that may come in several fields, as one list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let fields: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes())
        .collect();
    (!fields.is_empty()).then(|| fields.join(&b","[..]))
}
