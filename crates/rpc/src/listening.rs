//! A listener that serves until it is told to end: politely at first, then for good.

mod door;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt};
use halley_env::{BoxFuture, Env, Task};
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch};
use tracing::warn;

use door::Door;

use crate::{limits, socket::Socket};

/// Connections as they come.
pub(crate) type Incoming = BoxStream<'static, io::Result<Socket>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections and no new requests; what runs may end by itself.
    Leaving,
    /// Connections are cut.
    Cut,
}

/// A running listener; dropping it cuts all its connections.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    task: Task,
    env: Env,
}

impl Listening {
    /// Runs what `serve` makes of the connections of `listener`; the second argument completes when it should leave.
    pub(crate) fn start<F, S>(
        name: &'static str,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        env: Env,
        serve: F,
    ) -> Self
    where
        F: FnOnce(Incoming, BoxFuture<'static, ()>) -> S,
        S: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let address = listener
            .local_addr()
            .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        let (phase, phases) = watch::channel(Phase::Serving);
        let serving = serve(
            incoming(Door::new(name, listener, tls), phases.clone()),
            reaches(phases, Phase::Leaving),
        );
        let task = env.spawn.spawn(
            name,
            Box::pin(async move {
                if let Err(error) = serving.await {
                    warn!(listener = name, %error, "listener ended");
                }
            }),
        );
        Self {
            address,
            phase,
            task,
            env,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: requests that run have `grace` to end, then their connections are cut.
    pub(crate) async fn stop(self, grace: Duration) {
        let Self {
            phase, task, env, ..
        } = self;
        let mut ended = Box::pin(task.join());
        for (next, within) in [(Phase::Leaving, grace), (Phase::Cut, limits::CUT_WITHIN)] {
            phase.send_replace(next);
            tokio::select! {
                () = &mut ended => return,
                () = env.clock.sleep(within) => {}
            }
        }
    }
}

fn incoming(door: Door, phases: watch::Receiver<Phase>) -> Incoming {
    stream::unfold((door, phases), |(mut door, phases)| async move {
        let line = door.next().await;
        let socket = Socket::new(line, reaches(phases.clone(), Phase::Cut));
        Some((Ok(socket), (door, phases)))
    })
    .boxed()
}

/// Completes once the phase is `phase` or later, or the listener's owner is gone.
fn reaches(mut phases: watch::Receiver<Phase>, phase: Phase) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _gone_or_reached = phases.wait_for(|now| *now >= phase).await;
    })
}
