//! The listener for other nodes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use halley_env::Env;
use halley_log::ShardLog;
use tokio::net::TcpListener;
use tonic::transport::Server;

use crate::{limits, listening::Listening, observe::Observe, peer::Peer, proto::peer::peer_server};

/// Bounds of the peer services.
#[derive(Clone, Copy, Debug)]
pub struct PeerConfig {
    /// How long a call may take that does not say so itself, and the most it may ask for. 30 s.
    pub deadline: Duration,
    /// How long calls that run may take to end when the listener stops; follow streams never end by themselves. 2 s.
    pub grace: Duration,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            grace: Duration::from_secs(2),
        }
    }
}

/// The running listener; dropping it cuts every connection, [`PeerServer::stop`] ends it properly.
#[derive(Debug)]
pub struct PeerServer {
    listening: Listening,
    grace: Duration,
}

impl PeerServer {
    /// Serves `log` on `listener`. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        listener: TcpListener,
        log: Arc<dyn ShardLog>,
        config: PeerConfig,
        env: Env,
    ) -> Self {
        let observe = Observe::new(Arc::clone(&env.clock));
        let service = peer_server::PeerServer::new(Peer::new(log, config.deadline))
            .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
        let listening = Listening::start("peer listener", listener, env, |incoming, leave| {
            let router = builder().layer(observe).add_service(service);
            router.serve_with_incoming_shutdown(incoming, leave)
        });
        Self {
            listening,
            grace: config.grace,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Ends it: no new calls, [`PeerConfig::grace`] for those that run, then connections are cut.
    pub async fn stop(self) {
        self.listening.stop(self.grace).await;
    }
}

/// The listener's transport. Mutual TLS goes in here, as PEM bytes in [`PeerConfig`].
fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::PEER_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .http2_keepalive_interval(Some(limits::PEER_KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(limits::PEER_KEEP_ALIVE_WITHIN))
}
