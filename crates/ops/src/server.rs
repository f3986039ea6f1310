//! The ops listener.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use halley_env::{Env, Task};
use halley_log::NodeView;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{MetricsHandle, endpoints};

/// Connections at a time; a platform has a handful.
const CONNECTIONS_MAX: usize = 256;
/// Time for a request's head, and for the next request on a kept connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Wait after an error of accepting.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);
/// Time between foldings of histograms.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The ops listener of a node. Dropping it ends it.
#[derive(Debug)]
pub struct OpsServer {
    local_addr: SocketAddr,
    task: Task,
}

#[derive(Clone, Debug)]
struct Shared {
    view: Arc<dyn NodeView>,
    metrics: MetricsHandle,
    env: Env,
    began: Duration,
}

impl OpsServer {
    /// Serves `listener` from now on.
    ///
    /// # Panics
    /// When the listener has no local address, which one that is bound has.
    #[must_use]
    pub fn start(
        listener: TcpListener,
        view: Arc<dyn NodeView>,
        metrics: MetricsHandle,
        env: Env,
    ) -> Self {
        let local_addr = listener
            .local_addr()
            .expect("a bound listener has an address");
        let began = env.clock.monotonic();
        let spawn = Arc::clone(&env.spawn);
        let shared = Shared {
            view,
            metrics,
            env,
            began,
        };
        let task = spawn.spawn("ops", Box::pin(run(listener, shared)));
        Self { local_addr, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Ends it; the last thing of a node to end, so that probes see it go down.
    pub async fn stop(self) {
        self.task.stop().await;
    }
}

async fn run(listener: TcpListener, shared: Shared) {
    let clock = Arc::clone(&shared.env.clock);
    let mut connections = JoinSet::new();
    let mut upkeep = clock.sleep(UPKEEP_EVERY);
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, shared.clone()));
                }
                Err(error) => note_and_wait(&error, &shared).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut upkeep => {
                shared.metrics.upkeep();
                upkeep = clock.sleep(UPKEEP_EVERY);
            }
        }
    }
}

async fn note_and_wait(error: &io::Error, shared: &Shared) {
    tracing::warn!(%error, "the ops listener cannot accept connections");
    shared.env.clock.sleep(ACCEPT_BACKOFF).await;
}

async fn serve(stream: TcpStream, shared: Shared) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let uptime = shared.env.clock.monotonic().saturating_sub(shared.began);
        let answer = endpoints::answer(&request, shared.view.as_ref(), &shared.metrics, uptime);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME);
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "an ops connection broke off");
    }
}
