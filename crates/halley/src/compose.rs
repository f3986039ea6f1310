//! The one place that knows what a replica and an edge are made of.
//!
//! Both are the same rooms over another log: a replica's log is its own, an edge's lies behind the peer
//! listener of a replica. Invariant: nothing outside of this file asks for a node's role to decide anything.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use halley_env::Env;
use halley_http::{HttpConfig, HttpServer};
use halley_hub::{Hub, HubConfig};
use halley_log::{MemoryConfig, MemoryLog, Publisher, RemoteLog, Role, ShardLog, Upstream};
use halley_ops::{MetricsHandle, OpsServer};
use halley_rpc::{EndpointError, GrpcConfig, GrpcServer, GrpcUpstream, PeerConfig, PeerServer};
use halley_shard::ClusterId;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{settings::Settings, view::View};

/// Why there is no node.
#[derive(Debug, Error)]
pub(crate) enum ComposeError {
    /// A listener cannot be opened.
    #[error("the {listener} listener cannot be opened on {address}: {reason}")]
    Listener {
        /// Which.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// An upstream has no address that can be.
    #[error("upstream {address}: {reason}")]
    Upstream {
        /// The address.
        address: String,
        /// Why.
        reason: EndpointError,
    },
}

/// A node with all its rooms. [`Node::drain`] ends it; dropping it cuts everything off.
#[derive(Debug)]
pub(crate) struct Node {
    log: OwnLog,
    hub: Hub,
    http: HttpServer,
    grpc: GrpcServer,
    peer: Option<PeerServer>,
    ops: OpsServer,
    view: Arc<View>,
    listeners: Vec<(&'static str, SocketAddr)>,
}

/// The log, as the one who ends it knows it.
#[derive(Debug)]
enum OwnLog {
    Memory(Arc<MemoryLog>),
    Remote(Arc<RemoteLog>),
}

impl OwnLog {
    fn start(settings: &Settings, env: &Env) -> Result<Self, ComposeError> {
        match settings.role {
            Role::Replica => {
                let config = MemoryConfig {
                    cluster: ClusterId::new(env.rng.next_u64()),
                    shards: settings.shards,
                    settings: settings.shard.clone(),
                };
                Ok(Self::Memory(MemoryLog::start(config, env.clone())))
            }
            Role::Edge => {
                let upstreams = settings.upstream.iter().map(|address| upstream(address));
                let upstreams = upstreams.collect::<Result<_, _>>()?;
                Ok(Self::Remote(RemoteLog::new(upstreams, env.clone())))
            }
        }
    }

    fn seam(&self) -> Arc<dyn ShardLog> {
        match self {
            Self::Memory(log) => Arc::clone(log) as _,
            Self::Remote(log) => Arc::clone(log) as _,
        }
    }

    async fn close(&self) {
        match self {
            Self::Memory(log) => log.close().await,
            Self::Remote(log) => log.close().await,
        }
    }
}

fn upstream(address: &str) -> Result<Arc<dyn Upstream>, ComposeError> {
    let upstream = GrpcUpstream::new(address).map_err(|reason| ComposeError::Upstream {
        address: address.into(),
        reason,
    })?;
    Ok(Arc::new(upstream))
}

impl Node {
    /// Opens the listeners, then starts the rooms, from the log upward.
    ///
    /// # Errors
    /// [`ComposeError`]
    pub(crate) async fn start(
        settings: &Settings,
        metrics: MetricsHandle,
        env: &Env,
    ) -> Result<Self, ComposeError> {
        let listen = settings.listen;
        let http = bind("http", listen.http).await?;
        let grpc = bind("grpc", listen.grpc).await?;
        let peer = match settings.role {
            Role::Replica => Some(bind("peer", listen.peer).await?),
            Role::Edge => None,
        };
        let ops = bind("ops", listen.ops).await?;
        let listeners = [Some(&http), Some(&grpc), peer.as_ref(), Some(&ops)];
        let listeners = listeners
            .into_iter()
            .flatten()
            .map(|(name, at, _)| (*name, *at))
            .collect();

        let log = OwnLog::start(settings, env)?;
        let view = Arc::new(View::new(settings.name.clone(), settings.role, log.seam()));
        let ops = OpsServer::start(ops.2, Arc::clone(&view) as _, metrics, env.clone());
        let hub = Hub::start(log.seam(), env.clone(), HubConfig::default());
        let publisher = Publisher::new(log.seam(), env.clone());
        let defaults = GrpcConfig::default();
        let grpc_config = GrpcConfig {
            payload_bytes_max: settings.payload_bytes_max,
            grace: defaults.grace.min(settings.drain_max),
            ..defaults
        };
        let grpc = GrpcServer::start(
            grpc.2,
            hub.clone(),
            publisher.clone(),
            grpc_config,
            env.clone(),
        );
        let peer = peer.map(|(_, _, peer)| {
            PeerServer::start(peer, log.seam(), PeerConfig::default(), env.clone())
        });
        let http = HttpServer::start(
            http.2,
            hub.clone(),
            publisher,
            http_config(settings),
            env.clone(),
        );
        view.started();
        Ok(Self {
            log,
            hub,
            http,
            grpc,
            peer,
            ops,
            view,
            listeners,
        })
    }

    /// Where it listens, by name.
    pub(crate) fn listeners(&self) -> &[(&'static str, SocketAddr)] {
        &self.listeners
    }

    /// Goes down in order: not ready, subscribers over HTTP told to come back elsewhere within `max`, running
    /// calls answered within their grace, rooms ended from the top downward.
    pub(crate) async fn drain(self, max: Duration) {
        self.view.drain();
        self.grpc.drain().await;
        self.http.drain(max).await;
        self.hub.drain();
        self.grpc.stop().await;
        if let Some(peer) = self.peer {
            peer.stop().await;
        }
        self.hub.close().await;
        self.log.close().await;
        self.ops.stop().await;
    }
}

type Bound = (&'static str, SocketAddr, TcpListener);

async fn bind(listener: &'static str, address: SocketAddr) -> Result<Bound, ComposeError> {
    let failed = |reason| ComposeError::Listener {
        listener,
        address,
        reason,
    };
    let bound = TcpListener::bind(address).await.map_err(failed)?;
    let address = bound.local_addr().map_err(failed)?;
    Ok((listener, address, bound))
}

fn http_config(settings: &Settings) -> HttpConfig {
    HttpConfig {
        node: settings.name.clone(),
        cors_origins: settings.cors_origins.clone(),
        demos: settings.demos,
        payload_bytes_max: settings.payload_bytes_max,
        ..HttpConfig::default()
    }
}
