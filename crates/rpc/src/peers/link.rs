//! One HTTP/2 connection to a replica, from connecting to its end.
//!
//! Invariant: a link that is down stays down, and whoever waited for it is told why; another one is made by who
//! asks next. So many waiters share one attempt, and none waits for that of another.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use halley_env::{BoxFuture, Spawn, Task, TokioSpawn};
use halley_replica::PeerError;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{sync::watch, time::timeout};
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response, Uri},
};
use tower::Service;
use tracing::debug;

use crate::{
    dial::Dial,
    limits,
    peer_status::{self, NotSent, with_causes},
};

/// A connection, or the attempt; dropping it ends it and all its streams.
pub(super) struct Link {
    state: watch::Receiver<State>,
    uses: Arc<Uses>,
    origin: Uri,
    _task: Task,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(SendRequest<Body>),
    Down(String),
}

/// What a connection is used for, in numbers.
#[derive(Debug, Default)]
struct Uses {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// One use of a connection, which keeps it open.
#[derive(Debug)]
pub(super) struct Use(Arc<Uses>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Link {
    /// Begins to connect. Ends once a sign of life is missing for `within`.
    pub(super) fn start(dial: Dial, origin: Uri, within: Duration) -> Self {
        let (told, state) = watch::channel(State::Connecting);
        let uses = Arc::new(Uses::default());
        let running = run(dial, within, told, Arc::clone(&uses));
        let task = TokioSpawn.spawn("connection to a replica", Box::pin(running));
        Self {
            state,
            uses,
            origin,
            _task: task,
        }
    }

    /// Whether it has ended.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down(_)) || self.state.has_changed().is_err()
    }

    /// Waits until it is there.
    pub(super) fn up(&self) -> BoxFuture<'static, Result<(Requests, Use), PeerError>> {
        self.uses.begun.fetch_add(1, Ordering::Relaxed);
        let used = Use(Arc::clone(&self.uses));
        let mut state = self.state.clone();
        let fate = self.state.clone();
        let origin = self.origin.clone();
        Box::pin(async move {
            let connected = state
                .wait_for(|state| !matches!(state, State::Connecting))
                .await;
            let reason = match connected.as_deref() {
                Ok(State::Up(sender)) => {
                    let requests = Requests {
                        sender: sender.clone(),
                        origin,
                        fate,
                    };
                    return Ok((requests, used));
                }
                Ok(State::Down(reason)) => reason.clone(),
                Ok(State::Connecting) | Err(_) => "the connection was given up".to_owned(),
            };
            Err(PeerError::Unreachable(reason))
        })
    }
}

/// Connects, says so, and runs the connection until it ends or nobody uses it.
async fn run(dial: Dial, within: Duration, told: watch::Sender<State>, uses: Arc<Uses>) {
    let line = match dial.connect().await {
        Ok(line) => line,
        Err(error) => {
            told.send_replace(State::Down(error.to_string()));
            return;
        }
    };
    let shaken = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::PEER_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits::RAFT_KEEP_ALIVE_EVERY)
        .keep_alive_timeout(within)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(line))
        .await;
    let (sender, mut connection) = match shaken {
        Ok(shaken) => shaken,
        Err(error) => {
            told.send_replace(State::Down(with_causes(error.to_string(), error.source())));
            return;
        }
    };
    told.send_replace(State::Up(sender));
    let reason = tokio::select! {
        ended = &mut connection => match ended {
            Ok(()) => "closed by the other side".to_owned(),
            Err(error) => with_causes(error.to_string(), error.source()),
        },
        () = unused(&uses) => "not used for long".to_owned(),
    };
    debug!(to = ?dial, reason, "connection to a replica ended");
    // Said before it is gone: who asks from now on connects anew.
    told.send_replace(State::Down(reason));
}

/// Completes after a time without any use.
async fn unused(uses: &Uses) {
    let mut seen = u64::MAX;
    loop {
        tokio::time::sleep(limits::RAFT_UNUSED_MAX).await;
        let ended = uses.ended.load(Ordering::Relaxed);
        let begun = uses.begun.load(Ordering::Relaxed);
        if begun == seen && begun == ended {
            return;
        }
        seen = begun;
    }
}

/// Sends requests over a connection; what could not be sent says so.
#[derive(Clone)]
pub(super) struct Requests {
    sender: SendRequest<Body>,
    origin: Uri,
    fate: watch::Receiver<State>,
}

impl Requests {
    /// Where they go.
    pub(super) fn origin(&self) -> Uri {
        self.origin.clone()
    }

    /// What a failed call means for its caller. When the connection has ended, why is added: streams only know that.
    pub(super) async fn explain(&self, status: &Status) -> PeerError {
        let error = peer_status::to_peer_error(status);
        if Error::source(status).is_none() {
            // The other side's own words.
            return error;
        }
        let mut fate = self.fate.clone();
        let ended = fate.wait_for(|state| matches!(state, State::Down(_)));
        let Ok(Ok(ended)) = timeout(limits::RAFT_ENDED_WITHIN, ended).await else {
            return error;
        };
        let State::Down(reason) = &*ended else {
            return error;
        };
        let told = |text: String| format!("{text}; the connection: {reason}");
        match error {
            PeerError::Unreachable(text) => PeerError::Unreachable(told(text)),
            PeerError::NoAnswer(text) => PeerError::NoAnswer(told(text)),
        }
    }
}

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Streams beyond the other side's bound wait in the connection.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sent = self.sender.try_send_request(request);
        Box::pin(async move {
            sent.await
                .map_err(|mut failed| match failed.take_message() {
                    Some(_still_here) => Box::new(NotSent(failed.into_error())) as Self::Error,
                    None => failed.into_error().into(),
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_as_long_as_it_is_used() {
        let uses = Arc::new(Uses::default());
        let take = || {
            uses.begun.fetch_add(1, Ordering::Relaxed);
            Use(Arc::clone(&uses))
        };
        let mut idle = Box::pin(unused(&uses));
        let held = take();
        let long = limits::RAFT_UNUSED_MAX * 10;
        assert!(timeout(long, &mut idle).await.is_err());
        drop(held);
        for _ in 0..10 {
            drop(take());
            let a_while = limits::RAFT_UNUSED_MAX / 2;
            assert!(timeout(a_while, &mut idle).await.is_err());
        }
        idle.await;
    }
}
