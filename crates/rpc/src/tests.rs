//! The services over real sockets: a node in this process, and callers that know nothing but the protocol.

pub(crate) mod certificates;
mod cluster;
mod follow;
mod listener;
mod peers;
mod publish;
mod read;
mod stream;
mod subscribe;
mod tls;

use std::{sync::Arc, time::Duration};

use halley_env::Env;
use halley_hub::{Hub, HubConfig};
use halley_log::{ClusterAdmin, MemoryConfig, MemoryLog, Publisher, ShardLog};
use halley_shard::{ClusterId, Settings, ShardCount};
use tokio::net::TcpListener;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    GrpcConfig, GrpcServer,
    proto::v1::{self, broker_client::BrokerClient},
};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

type Client = BrokerClient<Channel>;

/// A node with its public listener.
struct Node {
    log: Arc<MemoryLog>,
    hub: Hub,
    server: GrpcServer,
    client: Client,
}

impl Node {
    async fn start() -> Self {
        Self::with(GrpcConfig::default(), Settings::default()).await
    }

    async fn with(config: GrpcConfig, settings: Settings) -> Self {
        let log = memory(settings);
        Self::over(log.clone(), log, config).await
    }

    /// The public listener with `admin` behind its service of the cluster.
    async fn administered(admin: Arc<dyn ClusterAdmin>) -> Self {
        let log = memory(Settings::default());
        Self::of(log.clone(), log, Some(admin), GrpcConfig::default()).await
    }

    /// The public listener over `seam`, which leads to `log`.
    async fn over(seam: Arc<dyn ShardLog>, log: Arc<MemoryLog>, config: GrpcConfig) -> Self {
        Self::of(seam, log, None, config).await
    }

    async fn of(
        seam: Arc<dyn ShardLog>,
        log: Arc<MemoryLog>,
        admin: Option<Arc<dyn ClusterAdmin>>,
        config: GrpcConfig,
    ) -> Self {
        let env = Env::system();
        let hub = Hub::start(Arc::clone(&seam), env.clone(), HubConfig::default());
        let publisher = Publisher::new(seam, env.clone());
        let listener = listener().await;
        let server = GrpcServer::start(listener, hub.clone(), publisher, admin, config, env)
            .expect("no TLS");
        let client = connect(&server);
        Self {
            log,
            hub,
            server,
            client,
        }
    }

    async fn stop(self) {
        self.hub.drain();
        self.server.stop().await;
        self.hub.close().await;
        self.log.close().await;
    }
}

fn memory(settings: Settings) -> Arc<MemoryLog> {
    let shards = ShardCount::new(2).expect("a shard count");
    let config = MemoryConfig {
        cluster: ClusterId::new(7),
        shards,
        settings,
    };
    MemoryLog::start(config, Env::system())
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

fn connect(server: &GrpcServer) -> Client {
    let uri = format!("http://{}", server.address());
    BrokerClient::new(
        Channel::from_shared(uri)
            .expect("an address")
            .connect_lazy(),
    )
}

/// What `future` gives, within [`PATIENCE`].
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

fn json(channel: &str, data: &'static str) -> v1::PublishRequest {
    v1::PublishRequest {
        channel: channel.to_owned(),
        data: data.as_bytes().into(),
        ..Default::default()
    }
}

/// The status and the code in its details.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no details: {status:?}"));
    assert_eq!(info.domain, "halley");
    (status.code(), info.reason)
}

async fn publish(client: &mut Client, channel: &str, data: &'static str) -> v1::PublishResult {
    within("a publish", client.publish(json(channel, data)))
        .await
        .expect("stored")
        .into_inner()
}
