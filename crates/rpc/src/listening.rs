//! A listener that serves until it is told to end: politely at first, then for good.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt};
use halley_env::{BoxFuture, Env, Task};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tracing::{debug, warn};

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
    pub(crate) fn start<F, S>(name: &'static str, listener: TcpListener, env: Env, serve: F) -> Self
    where
        F: FnOnce(Incoming, BoxFuture<'static, ()>) -> S,
        S: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let address = listener
            .local_addr()
            .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        let (phase, phases) = watch::channel(Phase::Serving);
        let serving = serve(
            incoming(listener, phases.clone()),
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

fn incoming(listener: TcpListener, phases: watch::Receiver<Phase>) -> Incoming {
    stream::unfold((listener, phases), |(listener, phases)| async move {
        let stream = accept(&listener).await;
        let socket = Socket::new(stream, reaches(phases.clone(), Phase::Cut));
        Some((Ok(socket), (listener, phases)))
    })
    .boxed()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "a connection without nodelay");
                }
                return stream;
            }
            Err(error) => {
                warn!(%error, "accepting failed");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Completes once the phase is `phase` or later, or the listener's owner is gone.
fn reaches(mut phases: watch::Receiver<Phase>, phase: Phase) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let _gone_or_reached = phases.wait_for(|now| *now >= phase).await;
    })
}
