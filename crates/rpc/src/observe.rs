//! What every gRPC call leaves behind: a count by method and status, and how long it took.
//!
//! Also the place where tonic's own refusals are put into our words, so that no caller sees two tables.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use halley_env::Clock;
use http_body_util::BodyExt;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use crate::status;

/// Methods that are counted by name; a name made up by a caller must not become a label.
const METHODS: &[&str] = &[
    "/halley.v1.Broker/Publish",
    "/halley.v1.Broker/PublishBatch",
    "/halley.v1.Broker/PublishStream",
    "/halley.v1.Broker/Subscribe",
    "/halley.v1.Broker/History",
    "/halley.v1.Broker/GetChannel",
    "/halley.v1.Broker/ListChannels",
    "/halley.v1.Broker/DeleteChannel",
    "/halley.v1.Cluster/Status",
    "/halley.v1.Cluster/Set",
    "/halley.v1.Cluster/Replace",
    "/halley.peer.v1.Peer/Hello",
    "/halley.peer.v1.Peer/Submit",
    "/halley.peer.v1.Peer/Read",
    "/halley.peer.v1.Peer/Barrier",
    "/halley.peer.v1.Peer/Follow",
    "/halley.peer.v1.Raft/Ask",
    "/halley.peer.v1.Raft/Append",
    "/halley.peer.v1.Raft/Submit",
    "/halley.peer.v1.Raft/Snapshot",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.health.v1.Health/List",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The layer around all services of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Observe {
    clock: Arc<dyn Clock>,
}

impl Observe {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// A service whose calls are observed.
#[derive(Clone, Debug)]
pub(crate) struct Observed<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut call = Call::begin(request.uri().path(), Arc::clone(&self.clock));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = in_our_words(answer.await?);
            call.see(response.headers());
            let body_watched = |body: Body| {
                Body::new(body.map_frame(move |frame| {
                    if let Some(trailers) = frame.trailers_ref() {
                        call.see(trailers);
                    }
                    frame
                }))
            };
            Ok(response.map(body_watched))
        })
    }
}

/// An answer without a body, by which tonic refuses what it cannot read, as our table has it.
fn in_our_words(response: Response<Body>) -> Response<Body> {
    let theirs = Status::from_header_map(response.headers());
    match theirs.and_then(|theirs| status::of_transport(&theirs)) {
        Some(ours) => ours.into_http(),
        None => response,
    }
}

/// One call from its request to its last frame; counted when it ends, however it does.
#[derive(Debug)]
struct Call {
    method: &'static str,
    began: Duration,
    clock: Arc<dyn Clock>,
    /// The status once it was said; a call that ends without one was given up by its caller.
    code: Option<Code>,
}

impl Call {
    fn begin(path: &str, clock: Arc<dyn Clock>) -> Self {
        let known = METHODS.iter().find(|method| **method == path);
        let method = known.map_or("other", |method| method.trim_start_matches('/'));
        Self {
            method,
            began: clock.monotonic(),
            clock,
            code: None,
        }
    }

    fn see(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = name(self.code.unwrap_or(Code::Cancelled));
        let took = self.clock.monotonic().saturating_sub(self.began);
        metrics::counter!("halley_grpc_handled_total", "method" => self.method, "code" => code)
            .increment(1);
        metrics::histogram!("halley_grpc_duration_seconds", "method" => self.method)
            .record(took.as_secs_f64());
    }
}

/// A status as gRPC writes it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
