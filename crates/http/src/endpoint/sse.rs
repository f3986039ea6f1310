//! `/v1/sse`: Server-Sent Events. Invariant: a passing condition is never an error status, which an
//! EventSource would take as final.

use std::sync::Arc;

use halley_hub::SubscribeError;
use halley_wire::framing::{DomEventStream, Framing, Sse};
use hyper::{
    Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    http::request::Parts,
};

use crate::{
    answer::{Answer, AnswerBody, X_ACCEL_BUFFERING},
    carrier::streamed::{self, Opening, retry_ms},
    front::Front,
    limits::RETRY_LATER_MS,
    plain::{self, Kind},
    reject::Reject,
};

/// Opens a stream.
pub(crate) async fn sse(front: &Arc<Front>, parts: &Parts, path: &str) -> Result<Answer, Reject> {
    let form = plain::understand(parts, path, Kind::Streamed, None)?;
    let data_only = form.data_only;
    let (framing, content_type): (Box<dyn Framing>, _) = if form.dom_event_stream {
        (
            Box::new(DomEventStream { data_only }),
            "application/x-dom-event-stream",
        )
    } else {
        (Box::new(Sse { data_only }), "text/event-stream")
    };
    let content_type = HeaderValue::from_static(content_type);
    if front.admit().is_err() {
        return Ok(later(front, framing.as_ref(), content_type));
    }
    let request = plain::request(&form, Kind::Streamed);
    let subscription = match front.hub().subscribe(request.clone()).await {
        Ok(subscription) => subscription,
        Err(SubscribeError::NotReady | SubscribeError::Draining) => {
            return Ok(later(front, framing.as_ref(), content_type));
        }
        Err(error) => return Err(error.into()),
    };
    let opening = Opening {
        request,
        subscription,
        framing,
        padding: form.padding,
    };
    let chunks = streamed::chunks(Arc::clone(front), opening);
    Ok(stream(AnswerBody::streamed(chunks), content_type))
}

/// Says when to come back, and ends.
fn later(front: &Front, framing: &dyn Framing, content_type: HeaderValue) -> Answer {
    let ending = framing.ending(retry_ms(front, RETRY_LATER_MS));
    stream(AnswerBody::once(ending), content_type)
}

fn stream(body: AnswerBody, content_type: HeaderValue) -> Answer {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}
