//! The listener for other nodes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use halley_env::Env;
use halley_log::ShardLog;
use halley_replica::Answering;
use tokio::net::TcpListener;
use tonic::transport::Server;

use crate::{
    TlsError, TlsServer, limits,
    listening::Listening,
    observe::Observe,
    peer::Peer,
    proto::peer::{peer_server, raft_server},
    raft::Raft,
};

/// Bounds of the peer services.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// How long a call may take that does not say so itself, and the most it may ask for. 30 s.
    pub deadline: Duration,
    /// How long calls that run may take to end when the listener stops; follow streams never end by themselves. 2 s.
    pub grace: Duration,
    /// TLS, which here is mutual: a node without a certificate by [`TlsServer::client_authority`] is refused. Plain
    /// text without it. None.
    pub tls: Option<TlsServer>,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            tls: None,
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
    /// Serves `log` on `listener`, and what `answering` is to other replicas if it is given: without it their calls are
    /// refused. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`TlsError`] when [`PeerConfig::tls`] is bad.
    pub fn start(
        listener: TcpListener,
        log: Arc<dyn ShardLog>,
        answering: Option<Arc<dyn Answering>>,
        config: PeerConfig,
        env: Env,
    ) -> Result<Self, TlsError> {
        let PeerConfig {
            deadline,
            grace,
            tls,
        } = config;
        let tls = tls.map(|tls| tls.mutual_config()).transpose()?;
        let observe = Observe::new(Arc::clone(&env.clock));
        let service = peer_server::PeerServer::new(Peer::new(log, deadline))
            .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
        let raft = answering.map(|answering| {
            raft_server::RaftServer::new(Raft::new(answering))
                .max_decoding_message_size(limits::RAFT_FRAME_BYTES_MAX)
                .max_encoding_message_size(limits::RAFT_FRAME_BYTES_MAX)
        });
        let listening = Listening::start("peer listener", listener, tls, env, |incoming, leave| {
            let router = builder()
                .layer(observe)
                .add_service(service)
                .add_optional_service(raft);
            router.serve_with_incoming_shutdown(incoming, leave)
        });
        Ok(Self { listening, grace })
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

/// The listener's transport.
fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::PEER_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .http2_keepalive_interval(Some(limits::PEER_KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(limits::PEER_KEEP_ALIVE_WITHIN))
}
