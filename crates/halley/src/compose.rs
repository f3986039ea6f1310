//! The one place that knows what a replica and an edge are made of.
//!
//! Both are the same rooms over another log: a replica's log is its own, an edge's lies behind the peer
//! listener of a replica. Invariant: nothing outside of this file asks for a node's role to decide anything.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use halley_env::{Disk, Env};
use halley_http::{HttpConfig, HttpServer, OtherNode};
use halley_hub::{Hub, HubConfig};
use halley_log::{Check, ClusterAdmin, Publisher, RemoteLog, ShardLog, Upstream};
use halley_ops::{MetricsHandle, OpsServer};
use halley_replica::{
    Addresses, Answering, Bootstrap, Fatal, Keeping, Replica, ReplicaConfig, StartError,
};
use halley_rpc::{
    EndpointError, GrpcConfig, GrpcPeers, GrpcServer, GrpcUpstream, PeerConfig, PeerServer,
    TlsClient, TlsError,
};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{
    exits::Exits,
    settings::{DemoNode, ReplicaSettings, Settings},
    tls::{self, Mutual, TlsFileError},
    view::{Checked, View},
};

/// Longest that handing leadership over may take; it needs milliseconds when somebody can take it.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);

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
    /// A certificate or key cannot be read.
    #[error("TLS: {0}")]
    TlsFile(#[from] TlsFileError),
    /// A certificate or key is none.
    #[error("the {listener} listener: {reason}")]
    Tls {
        /// For which listener.
        listener: &'static str,
        /// What is wrong.
        reason: TlsError,
    },
    /// The disk cannot be used.
    #[error(transparent)]
    Replica(#[from] StartError),
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
    Replica(Arc<Replica>),
    Remote(Arc<RemoteLog>),
}

impl OwnLog {
    fn seam(&self) -> Arc<dyn ShardLog> {
        match self {
            Self::Replica(log) => Arc::clone(log) as _,
            Self::Remote(log) => Arc::clone(log) as _,
        }
    }

    fn admin(&self, settings: &Settings) -> Arc<dyn ClusterAdmin> {
        match self {
            Self::Replica(replica) => replica.admin(),
            Self::Remote(log) => log.admin(settings.name.clone(), &settings.upstream),
        }
    }

    fn answering(&self) -> Option<Arc<dyn Answering>> {
        match self {
            Self::Replica(replica) => Some(replica.answering()),
            Self::Remote(_) => None,
        }
    }

    fn checked(&self) -> Option<Arc<dyn Checked>> {
        match self {
            Self::Replica(replica) => Some(Arc::clone(replica) as _),
            Self::Remote(_) => None,
        }
    }

    async fn hand_over(&self) {
        if let Self::Replica(replica) = self {
            replica.hand_over(HAND_OVER_WITHIN).await;
        }
    }

    async fn close(&self) {
        match self {
            Self::Replica(log) => log.close().await,
            Self::Remote(log) => log.close().await,
        }
    }
}

impl Checked for Replica {
    fn checks(&self) -> Vec<Check> {
        self.checks()
    }
}

async fn replica(
    settings: &Settings,
    own: &ReplicaSettings,
    bound: &Listening,
    tls: Option<&TlsClient>,
    exits: &Arc<Exits>,
    disk: Arc<dyn Disk>,
    env: &Env,
) -> Result<OwnLog, ComposeError> {
    let told = |given: &Option<String>, bound: Option<&Bound>| {
        let bound = bound.map(|(_, address, _)| address.to_string());
        given.clone().or(bound).unwrap_or_default()
    };
    let config = ReplicaConfig {
        name: settings.name.clone(),
        addresses: Addresses {
            peer: told(&own.advertise.peer, bound.peer.as_ref()),
            grpc: told(&own.advertise.grpc, Some(&bound.grpc)),
            http: told(&own.advertise.http, Some(&bound.http)),
        },
        data: own.data.clone(),
        bootstrap: Bootstrap {
            members: own.members.clone(),
            shards: settings.shards,
            settings: settings.shard.clone(),
        },
        peers: own.peers.clone(),
        timing: own.timing,
        replace_after: own.replace_after,
        disk: own.disk,
        keeping: Keeping::default(),
        catalogue: true,
    };
    let peers = GrpcPeers::new(tls).map_err(|reason| of_tls("peer", reason))?;
    let exits = Arc::clone(exits);
    let fatal: Fatal = Arc::new(move |reason| exits.end(&reason));
    let replica = Replica::start(config, env.clone(), disk, Arc::new(peers), fatal).await?;
    Ok(OwnLog::Replica(replica))
}

fn remote(settings: &Settings, tls: Option<&TlsClient>, env: &Env) -> Result<OwnLog, ComposeError> {
    let upstream = |address: &String| {
        let upstream =
            GrpcUpstream::new(address, tls).map_err(|reason| ComposeError::Upstream {
                address: address.clone(),
                reason,
            })?;
        Ok(Arc::new(upstream) as Arc<dyn Upstream>)
    };
    let upstreams = settings.upstream.iter().map(upstream);
    let upstreams = upstreams.collect::<Result<_, ComposeError>>()?;
    Ok(OwnLog::Remote(RemoteLog::new(upstreams, env.clone())))
}

fn of_tls(listener: &'static str, reason: TlsError) -> ComposeError {
    ComposeError::Tls { listener, reason }
}

impl Node {
    /// Opens the listeners, then starts the rooms, from the log upward. An end for an error inside is noted in `exits`.
    ///
    /// # Errors
    /// [`ComposeError`]
    pub(crate) async fn start(
        settings: &Settings,
        exits: Arc<Exits>,
        disk: Arc<dyn Disk>,
        metrics: MetricsHandle,
        env: &Env,
    ) -> Result<Self, ComposeError> {
        let bound = Listening::open(settings).await?;
        let listeners = bound.addresses();
        let mutual = settings.tls.peer.as_ref().map(tls::mutual).transpose()?;
        let client = mutual.as_ref().map(|mutual| &mutual.client);
        let log = match &settings.replica {
            Some(own) => replica(settings, own, &bound, client, &exits, disk, env).await?,
            None => remote(settings, client, env)?,
        };
        let parts = std::iter::once(exits as _).chain(log.checked()).collect();
        let view = View::new(settings.name.clone(), settings.role, log.seam(), parts);
        let view = Arc::new(view);
        let ops = OpsServer::start(bound.ops.2, Arc::clone(&view) as _, metrics, env.clone());
        let peer = match bound.peer {
            Some(listener) => Some(peer(listener, &log, mutual, env)?),
            None => None,
        };
        let hub = Hub::start(log.seam(), env.clone(), HubConfig::default());
        let publisher = Publisher::new(log.seam(), env.clone());
        let (said, admin) = (publisher.clone(), Some(log.admin(settings)));
        let config = grpc_config(settings)?;
        let grpc = GrpcServer::start(bound.grpc.2, hub.clone(), said, admin, config, env.clone());
        let grpc = grpc.map_err(|reason| of_tls("grpc", reason))?;
        let config = http_config(settings);
        let http = HttpServer::start(bound.http.2, hub.clone(), publisher, config, env.clone());
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

    /// Goes down in order: not ready at once; leadership to others, so that publishes go on there; subscribers over
    /// HTTP told to come back elsewhere within `max`, running calls answered within their grace; then the rooms are
    /// ended from the top downward, the disk last.
    pub(crate) async fn drain(self, max: Duration) {
        self.view.drain();
        self.grpc.drain().await;
        tokio::join!(self.log.hand_over(), self.http.drain(max));
        self.hub.drain();
        self.grpc.stop().await;
        self.hub.close().await;
        if let Some(peer) = self.peer {
            peer.stop().await;
        }
        self.log.close().await;
        self.ops.stop().await;
    }
}

fn peer(
    listener: Bound,
    log: &OwnLog,
    mutual: Option<Mutual>,
    env: &Env,
) -> Result<PeerServer, ComposeError> {
    let config = PeerConfig {
        tls: mutual.map(|mutual| mutual.server),
        ..PeerConfig::default()
    };
    PeerServer::start(listener.2, log.seam(), log.answering(), config, env.clone())
        .map_err(|reason| of_tls("peer", reason))
}

/// The listeners of a node, open and not served yet.
struct Listening {
    http: Bound,
    grpc: Bound,
    peer: Option<Bound>,
    ops: Bound,
}

impl Listening {
    async fn open(settings: &Settings) -> Result<Self, ComposeError> {
        let listen = settings.listen;
        Ok(Self {
            http: bind("http", listen.http).await?,
            grpc: bind("grpc", listen.grpc).await?,
            peer: match settings.replica {
                Some(_) => Some(bind("peer", listen.peer).await?),
                None => None,
            },
            ops: bind("ops", listen.ops).await?,
        })
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let all = [
            Some(&self.http),
            Some(&self.grpc),
            self.peer.as_ref(),
            Some(&self.ops),
        ];
        let all = all.into_iter().flatten();
        all.map(|(name, address, _)| (*name, *address)).collect()
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

fn grpc_config(settings: &Settings) -> Result<GrpcConfig, ComposeError> {
    let defaults = GrpcConfig::default();
    Ok(GrpcConfig {
        payload_bytes_max: settings.payload_bytes_max,
        grace: defaults.grace.min(settings.drain_max),
        tls: settings.tls.grpc.as_ref().map(tls::server).transpose()?,
        ..defaults
    })
}

fn http_config(settings: &Settings) -> HttpConfig {
    HttpConfig {
        node: settings.name.clone(),
        cors_origins: settings.cors_origins.clone(),
        demos: settings.demos,
        nodes: settings.demos_nodes.iter().map(other).collect(),
        payload_bytes_max: settings.payload_bytes_max,
        ..HttpConfig::default()
    }
}

fn other(node: &DemoNode) -> OtherNode {
    OtherNode {
        name: node.name.clone(),
        http: node.http,
    }
}
