//! Answers as they leave an endpoint: a body given once or streamed, and the headers that all of a kind share.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
};

use crate::pulse::Busy;

/// A response of this room.
pub(crate) type Answer = Response<AnswerBody>;

/// Keeps nginx and its like from buffering a stream.
pub(crate) const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The media type of poll, history and publish.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body, and the mark that its connection is busy as long as it lives.
pub(crate) struct AnswerBody {
    kind: Kind,
    busy: Option<Busy>,
}

enum Kind {
    Once(Option<Bytes>),
    Streamed(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl AnswerBody {
    /// A whole body.
    pub(crate) fn once(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let kind = Kind::Once(if bytes.is_empty() { None } else { Some(bytes) });
        Self { kind, busy: None }
    }

    /// A body that is asked for its next chunk whenever the socket can take it; dropped when the client goes.
    pub(crate) fn streamed(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self {
            kind: Kind::Streamed(Box::pin(chunks)),
            busy: None,
        }
    }

    /// The same body, keeping its connection busy.
    pub(crate) fn keeping(self, busy: Busy) -> Self {
        Self {
            kind: self.kind,
            busy: Some(busy),
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Once(_) => "Once",
            Kind::Streamed(_) => "Streamed",
        };
        f.debug_struct(kind)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.get_mut().kind {
            Kind::Once(bytes) => Poll::Ready(bytes.take()),
            Kind::Streamed(chunks) => chunks.as_mut().poll_next(cx),
        };
        next.map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Once(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Once(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Streamed(_) => SizeHint::default(),
        }
    }
}

/// An answer with a body of `content_type` that nobody may store.
pub(crate) fn whole(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(AnswerBody::once(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::once(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// The same answer for HEAD: its headers alone. HTTP/1.1 needs no help of ours, but over HTTP/2 hyper would send
/// the body, which clients take for an error of the protocol.
pub(crate) fn head_only(answer: Answer) -> Answer {
    let (mut parts, body) = answer.into_parts();
    if let Some(bytes) = body.size_hint().exact().filter(|bytes| *bytes > 0) {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    Response::from_parts(parts, AnswerBody::once(Bytes::new()))
}
