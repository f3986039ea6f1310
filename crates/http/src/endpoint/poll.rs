//! `/v1/poll`: long polling. Invariant: every answer names a cursor, in the body or as its tag.

use std::time::Duration;

use halley_hub::EndReason;
use halley_wire::{
    cursor::format,
    limits::WAIT_SECONDS_DEFAULT,
    request::{SinceSource, SubscribeForm},
};
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, ETAG, HeaderValue},
    http::request::Parts,
};

use crate::{
    answer::{Answer, JSON, X_ACCEL_BUFFERING, empty, whole},
    carrier::once::{self, Failure},
    front::Front,
    limits::answer_budget,
    plain::{self, Kind},
    reject::Reject,
};

/// Holds the request until there is something, at most for its `wait`.
pub(crate) async fn poll(
    front: &Front,
    parts: &Parts,
    path: &str,
    body: Option<&[u8]>,
) -> Result<Answer, Reject> {
    let form = plain::understand(parts, path, Kind::Once, body)?;
    front.admit()?;
    let request = plain::request(&form, Kind::Once);
    let wait = Duration::from_secs(form.wait_seconds.unwrap_or(WAIT_SECONDS_DEFAULT));
    let budget = answer_budget(form.limit);
    let mut held = front.meters().poll.open();
    let given = match once::read(front, request, wait, budget, form.data_only).await {
        Ok(given) => given,
        Err(failure) => {
            held.because("refused");
            return Err(match failure {
                Failure::Refused(error) => error.into(),
                Failure::Ended(reason) => refuse(reason),
            });
        }
    };
    held.because("answered");
    if let Some(stamped) = given.stamped_ms {
        front
            .meters()
            .note_trip(front.env().clock.wall_ms(), stamped);
    }
    let cursor = format(&given.cursor);
    if given.batch.is_empty()
        && let Some(tag) = unchanged(&form)
    {
        return Ok(tagged(empty(StatusCode::NOT_MODIFIED), &tag));
    }
    let events = given.batch.events();
    let body = given.batch.finish(&cursor);
    front.meters().poll.note_delivered(events, body.len());
    Ok(tagged(whole(StatusCode::OK, JSON, body), &cursor))
}

/// The tag that the request brought, if it brought a readable one.
fn unchanged(form: &SubscribeForm) -> Option<String> {
    match &form.since {
        halley_shard::Since::Cursor(cursor) if form.source == SinceSource::IfNoneMatch => {
            Some(format(cursor))
        }
        _ => None,
    }
}

/// Adds what every answer that names a cursor says.
pub(crate) fn tagged(mut answer: Answer, cursor: &str) -> Answer {
    let tag = HeaderValue::try_from(format!("\"{cursor}\"")).expect("cursors are URL-safe ASCII");
    let headers = answer.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}

fn refuse(reason: EndReason) -> Reject {
    reason.into()
}
