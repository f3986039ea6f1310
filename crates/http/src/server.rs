//! The listener: accepts within bounds, owns every connection, and goes down in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use halley_env::{Env, Task};
use halley_hub::Hub;
use halley_log::Publisher;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    HttpConfig, connection,
    drain::{self, Drain, DrainSwitch},
    front::Front,
    limits, meters,
};

/// The http listener of a node. Dropping it ends every connection at once.
#[derive(Debug)]
pub struct HttpServer {
    local_addr: SocketAddr,
    drain: DrainSwitch,
    task: Task,
}

impl HttpServer {
    /// Serves `listener` from now on.
    ///
    /// # Panics
    /// When the listener has no local address, which one that is bound has.
    #[must_use]
    pub fn start(
        listener: TcpListener,
        hub: Hub,
        publisher: Publisher,
        config: HttpConfig,
        env: Env,
    ) -> Self {
        let local_addr = listener
            .local_addr()
            .expect("a bound listener has an address");
        let (switch, drain) = drain::channel(&env);
        let spawn = Arc::clone(&env.spawn);
        let connections_max = config.connections_max;
        let front = Front::new(hub, publisher, config, drain.clone(), env);
        let accepting = Accepting {
            listener,
            refusing: Arc::new(front.refusing()),
            front: Arc::new(front),
            connections: JoinSet::new(),
            connections_max,
            drain,
        };
        let task = spawn.spawn("http", Box::pin(accepting.run()));
        Self {
            local_addr,
            drain: switch,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Goes down within `max`: held polls are answered with their cursor, streams end one by one with a time
    /// to come back, new requests are refused with `draining`; then connections are closed. To be called
    /// before [`Hub::drain`], which ends all streams at once.
    pub async fn drain(self, max: Duration) {
        self.drain.begin(max);
        self.task.join().await;
    }
}

struct Accepting {
    listener: TcpListener,
    front: Arc<Front>,
    refusing: Arc<Front>,
    connections: JoinSet<()>,
    connections_max: usize,
    drain: Drain,
}

impl Accepting {
    /// Accepts until everybody has gone after the drain began, or its time is over.
    async fn run(mut self) {
        let clock = Arc::clone(&self.front.env().clock);
        let mut begins = self.drain.begins();
        let mut over = clock.sleep(Duration::MAX / 4);
        let mut draining = false;
        let mut backoff = Duration::from_millis(5);
        loop {
            if draining && self.connections.is_empty() {
                // Whoever has connected is answered; closing the listener would reset them.
                match self.listener.accept().now_or_never() {
                    Some(Ok((stream, _))) => self.take(stream),
                    Some(Err(_)) => {}
                    None => break,
                }
            }
            tokio::select! {
                biased;
                max = &mut begins, if !draining => {
                    draining = true;
                    over = clock.sleep(max);
                }
                () = &mut over, if draining => break,
                Some(ended) = self.connections.join_next() => note_end(ended),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        backoff = Duration::from_millis(5);
                        self.take(stream);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        // Out of descriptors, mostly: waiting lets some be closed.
                        tracing::warn!(%error, ?backoff, "cannot accept connections");
                        meters::note_connection_rejected("accept_error");
                        clock.sleep(backoff).await;
                        backoff = (backoff * 2).min(limits::ACCEPT_BACKOFF_MAX);
                    }
                },
            }
        }
        self.connections.shutdown().await;
    }

    fn take(&mut self, stream: TcpStream) {
        let count = self.connections.len();
        if count >= self.connections_max.saturating_add(limits::REFUSALS_MAX) {
            meters::note_connection_rejected("overloaded_silently");
            return;
        }
        let front = if count < self.connections_max {
            &self.front
        } else {
            meters::note_connection_rejected("overloaded");
            &self.refusing
        };
        self.connections
            .spawn(connection::serve(stream, Arc::clone(front)));
    }
}

/// Errors of the connection that was to be accepted, not of accepting.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
