//! One connection: which HTTP it speaks, its time limits, and its end.
//!
//! Invariant: a connection ends with everything it started; a client that was answered can read the answer.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use halley_env::BoxFuture;
use halley_wire::Code;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    bare,
    drain::Drain,
    front::{Front, Service},
    limits, meters,
    pulse::{Overdue, Pulse},
    reject::status,
    socket::Socket,
};

/// What an HTTP/2 client with prior knowledge begins with, as far as no HTTP/1.1 request does.
const H2_BEGINNING: &[u8] = b"PRI ";
/// A watch looks again after this long even if no limit counts.
const WATCH_EVERY: Duration = Duration::from_secs(60);

/// Serves a connection to its end.
pub(crate) async fn serve(mut stream: TcpStream, front: Arc<Front>) {
    // Without it small events wait for the acknowledgement of earlier ones.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let head_time = front.config().head_time;
    let first = tokio::select! {
        first = beginning(&mut stream) => first,
        () = front.env().clock.sleep(head_time) => return,
        () = front.drain().last_word() => return,
    };
    match first {
        None => {}
        Some(first) if first.starts_with(H2_BEGINNING) => serve_h2(stream, first, &front).await,
        Some(first) => serve_h1(stream, first, &front).await,
    }
}

/// The first bytes: enough to know which HTTP it is. `None` when the client goes before.
async fn beginning(stream: &mut TcpStream) -> Option<Bytes> {
    let mut first = BytesMut::with_capacity(1024);
    loop {
        match stream.read_buf(&mut first).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        if first.len() >= H2_BEGINNING.len() || !H2_BEGINNING.starts_with(&first) {
            return Some(first.freeze());
        }
    }
}

async fn serve_h1(stream: TcpStream, first: Bytes, front: &Arc<Front>) {
    let pulse = Pulse::new(Arc::clone(&front.env().clock), true);
    let socket = Socket::new(stream, first, Arc::clone(&pulse));
    let service = Service {
        front: Arc::clone(front),
        pulse: Arc::clone(&pulse),
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::CONNECTION_BUFFER_BYTES);
    let mut connection = H1(builder.serve_connection(socket, service));
    let overdue = watch(&mut connection, &pulse, front).await;
    let stream = connection.0.into_parts().io.into_stream();
    match overdue {
        None => {}
        Some(Overdue::Head) => {
            // A client that cannot be written to now is not waited for.
            let sent = stream.try_write(&head_timeout(front.config().head_time));
            tracing::debug!(?sent, "a request head did not come in time");
        }
        Some(Overdue::Idle) => {}
        Some(Overdue::Stalled) => return,
    }
    linger(stream, front).await;
}

async fn serve_h2(stream: TcpStream, first: Bytes, front: &Arc<Front>) {
    let pulse = Pulse::new(Arc::clone(&front.env().clock), false);
    let socket = Socket::new(stream, first, Arc::clone(&pulse));
    let service = Service {
        front: Arc::clone(front),
        pulse: Arc::clone(&pulse),
    };
    let head_bytes = u32::try_from(front.config().head_bytes_max).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(Streams::default());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_MAX)
        // Somewhat more than is allowed, so that a problem of ours can say what the limit is.
        .max_header_list_size(head_bytes.saturating_mul(2))
        .max_pending_accept_reset_streams(limits::RESETS_MAX)
        .max_local_error_reset_streams(limits::RESETS_MAX)
        .keep_alive_interval(limits::H2_PING)
        .keep_alive_timeout(limits::H2_PING);
    let mut connection = H2(Box::pin(builder.serve_connection(socket, service)));
    if watch(&mut connection, &pulse, front).await == Some(Overdue::Idle) {
        connection.leave();
        let goodbye = std::future::poll_fn(|cx| connection.poll(cx));
        tokio::select! {
            () = goodbye => {}
            () = front.env().clock.sleep(limits::LINGER_TIME) => {}
        }
    }
}

/// A connection of either kind.
trait Served {
    /// Completes when it should leave after the drain began.
    fn leaves(drain: &Drain) -> BoxFuture<'static, ()>;
    /// Drives it; ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Ends it after the requests under way.
    fn leave(&mut self);
}

struct H1(http1::Connection<Socket, Service>);

impl Served for H1 {
    /// Closing an idle connection crosses the request that may be on its way, and nobody could tell whether that one
    /// was answered (RFC 9112, section 9.5). Every answer of a draining node closes its connection; only those that
    /// stay idle are closed without.
    fn leaves(drain: &Drain) -> BoxFuture<'static, ()> {
        drain.last_word()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_without_shutdown(cx).map(note_end)
    }

    fn leave(&mut self) {
        Pin::new(&mut self.0).graceful_shutdown();
    }
}

struct H2(Pin<Box<http2::Connection<Socket, Service, Streams>>>);

impl Served for H2 {
    /// At once: the last stream that will be answered is told (RFC 9113, section 6.8).
    fn leaves(drain: &Drain) -> BoxFuture<'static, ()> {
        let begins = drain.begins();
        Box::pin(async move {
            begins.await;
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx).map(note_end)
    }

    fn leave(&mut self) {
        self.0.as_mut().graceful_shutdown();
    }
}

fn note_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
        if error.is_parse() {
            meters::note_connection_rejected("malformed");
        }
    }
}

enum Woke {
    Over,
    Draining,
    Due,
    /// A nearer limit counts now.
    Nearer,
}

/// Drives a connection until it is over (`None`) or overdue.
async fn watch<S: Served>(connection: &mut S, pulse: &Pulse, front: &Front) -> Option<Overdue> {
    let (clock, config) = (&front.env().clock, front.config());
    let mut leaves = S::leaves(front.drain());
    let mut leaving = false;
    loop {
        let now = clock.monotonic();
        let alarm = match pulse.due(config) {
            Some((due, why)) if due <= now => return Some(why),
            Some((due, _)) => due,
            None => now + WATCH_EVERY,
        };
        let mut timer = clock.sleep(alarm - now);
        let woke = std::future::poll_fn(|cx| {
            if connection.poll(cx).is_ready() {
                Poll::Ready(Woke::Over)
            } else if !leaving && leaves.as_mut().poll(cx).is_ready() {
                Poll::Ready(Woke::Draining)
            } else if timer.as_mut().poll(cx).is_ready() {
                Poll::Ready(Woke::Due)
            } else if pulse.due(config).is_some_and(|(due, _)| due < alarm) {
                Poll::Ready(Woke::Nearer)
            } else {
                Poll::Pending
            }
        });
        match woke.await {
            Woke::Over => return None,
            Woke::Draining => {
                leaving = true;
                // The answer to a request that has begun to come ends the connection.
                if !pulse.is_in_head() {
                    connection.leave();
                }
            }
            Woke::Due | Woke::Nearer => {}
        }
    }
}

/// A whole answer in bytes, for a client whose request nobody could read.
fn head_timeout(limit: Duration) -> Vec<u8> {
    let detail = format!("the request head did not come within {} s", limit.as_secs());
    let code = Code::RequestTimeout;
    bare::refusal(code, status(code).as_u16(), &detail)
}

/// Closes so that the client can read the last answer: a socket closed over unread bytes is reset, and what
/// the client has not read yet is lost with it.
async fn linger(mut stream: TcpStream, front: &Front) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let discard = async {
        let mut left = limits::LINGER_BYTES_MAX;
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = stream.read(&mut buffer).await {
            left = left.saturating_sub(count);
            if count == 0 || left == 0 {
                return;
            }
        }
    };
    tokio::select! {
        () = discard => {}
        () = front.env().clock.sleep(limits::LINGER_TIME) => {}
    }
}

/// The tasks of one HTTP/2 connection's requests; they end with it.
#[derive(Clone, Debug, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, request: F) {
        let mut tasks = self
            .0
            .lock()
            .expect("nobody panics while holding a connection's tasks");
        while tasks.try_join_next().is_some() {}
        tasks.spawn(request);
    }
}
