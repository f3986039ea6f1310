//! The public gRPC listener: `halley.v1.Broker`, `halley.v1.Cluster`, health and reflection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use halley_env::Env;
use halley_hub::Hub;
use halley_log::{ClusterAdmin, Publisher};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{
    TlsError, TlsServer,
    broker::Broker,
    cluster::Cluster,
    limits,
    listening::Listening,
    observe::Observe,
    proto::{
        PUBLIC_DESCRIPTORS,
        v1::{broker_server::BrokerServer, cluster_server::ClusterServer},
    },
};

/// The services whose health is told; the empty one is the node.
const HEALTH_OF: [&str; 3] = ["", "halley.v1.Broker", "halley.v1.Cluster"];

/// Bounds of the public services.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Bytes of one event's payload, 1 to [`halley_shard::limits::PAYLOAD_BYTES_CEILING`]. 64 KiB.
    pub payload_bytes_max: usize,
    /// How long a call may take that does not say so itself, and the most it may ask for. 30 s.
    pub deadline: Duration,
    /// A subscriber hears of its cursor at least this often. 15 s.
    pub progress_every: Duration,
    /// How long history waits for a cursor that this node has not reached. 10 s.
    pub patience: Duration,
    /// How long calls that run may take to end when the listener stops. 10 s.
    pub grace: Duration,
    /// TLS; plain text without it. None.
    pub tls: Option<TlsServer>,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            payload_bytes_max: halley_shard::limits::PAYLOAD_BYTES_DEFAULT,
            deadline: Duration::from_secs(30),
            progress_every: Duration::from_secs(15),
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// The running listener; dropping it cuts every connection, [`GrpcServer::stop`] ends it properly.
#[derive(Debug)]
pub struct GrpcServer {
    listening: Listening,
    health: HealthReporter,
    grace: Duration,
}

impl GrpcServer {
    /// Serves on `listener`. Without `admin` every call of `halley.v1.Cluster` is refused as `unsupported`. Must be called
    /// within a tokio runtime.
    ///
    /// # Panics
    /// When the descriptors built into this program are unreadable, which its tests exclude.
    pub fn start(
        listener: TcpListener,
        hub: Hub,
        publisher: Publisher,
        admin: Option<Arc<dyn ClusterAdmin>>,
        config: GrpcConfig,
        env: Env,
    ) -> Result<Self, TlsError> {
        let health = HealthReporter::new();
        let grace = config.grace;
        let tls = config.tls.as_ref().map(TlsServer::config).transpose()?;
        let observe = Observe::new(Arc::clone(&env.clock));
        let cluster = ClusterServer::new(Cluster::new(admin, config.deadline, &env));
        let broker = BrokerServer::new(Broker::new(hub, publisher, config, env.clone()))
            .max_decoding_message_size(limits::DECODED_BYTES_MAX);
        let told = health.clone();
        let listening = Listening::start("grpc listener", listener, tls, env, |incoming, leave| {
            let router = builder()
                .layer(observe)
                .add_service(broker)
                .add_service(cluster)
                .add_service(HealthServer::new(HealthService::from_health_reporter(
                    told.clone(),
                )))
                .add_service(
                    reflection()
                        .build_v1()
                        .expect("built-in descriptors are readable"),
                )
                .add_service(
                    reflection()
                        .build_v1alpha()
                        .expect("built-in descriptors are readable"),
                );
            async move {
                set_health(&told, ServingStatus::Serving).await;
                router.serve_with_incoming_shutdown(incoming, leave).await
            }
        });
        Ok(Self {
            listening,
            health,
            grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Says `NOT_SERVING` from now on, and goes on serving: callers that look elsewhere have time to.
    pub async fn drain(&self) {
        set_health(&self.health, ServingStatus::NotServing).await;
    }

    /// Ends it: no new calls, `grace` for those that run, then connections are cut. Subscriptions end early only if
    /// the hub was drained before.
    pub async fn stop(self) {
        self.drain().await;
        self.listening.stop(self.grace).await;
    }
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in HEALTH_OF {
        health.set_service_status(service, status).await;
    }
}

/// The listener's transport.
fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .http2_keepalive_interval(Some(limits::KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(limits::KEEP_ALIVE_WITHIN))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(PUBLIC_DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
