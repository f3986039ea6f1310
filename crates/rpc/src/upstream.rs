//! The transport to another node's peer listener: what `log::RemoteLog` follows and forwards over.

mod submissions;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use halley_env::BoxFuture;
use halley_log::{Cluster, FollowEnd, Upstream, UpstreamError, UpstreamFollow};
use halley_shard::{ClusterId, Revision, ShardCount, ShardId};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    codegen::http::Uri,
    transport::{Channel, Endpoint},
};

use submissions::Submissions;

use crate::{
    TlsClient, TlsError,
    dial::{Dial, host},
    limits, peer_status,
    proto::peer::{self, peer_client::PeerClient},
};

/// Why an address cannot be an upstream.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// It is no host and port.
    #[error("{address:?} is no address of an upstream: {source}")]
    Address {
        /// The address.
        address: String,
        /// Why not.
        source: tonic::codegen::http::uri::InvalidUri,
    },
    /// What is configured of TLS is bad.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// One upstream node. Connects when first asked, and again whenever the connection is gone.
#[derive(Clone)]
pub struct GrpcUpstream {
    address: String,
    client: PeerClient<Channel>,
    submissions: Arc<Submissions>,
}

impl GrpcUpstream {
    /// The upstream at `address` (`host:port`), through TLS if it is given. Must be called within a tokio runtime;
    /// connects to nothing yet.
    ///
    /// # Errors
    /// [`EndpointError`] when `address` is no host and port, or `tls` is bad.
    pub fn new(address: &str, tls: Option<&TlsClient>) -> Result<Self, EndpointError> {
        let uri = Uri::try_from(format!("http://{address}"));
        let uri = uri.map_err(|source| EndpointError::Address {
            address: address.to_owned(),
            source,
        })?;
        let trust = tls.map(TlsClient::trust).transpose()?;
        if let Some(trust) = &trust {
            trust.name_of(host(address))?;
        }
        let dial = Dial::new(address, trust, limits::CONNECT_WITHIN);
        let connector = tower::service_fn(move |_: Uri| {
            let dial = dial.clone();
            async move { dial.connect().await.map(TokioIo::new) }
        });
        let channel = endpoint(uri).connect_with_connector_lazy(connector);
        let client = PeerClient::new(channel)
            .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
        let submissions = Arc::new(Submissions::new(client.clone()));
        Ok(Self {
            address: address.to_owned(),
            client,
            submissions,
        })
    }
}

/// The client's transport; how long connecting may take is the dialler's affair.
fn endpoint(uri: Uri) -> Endpoint {
    Endpoint::from(uri)
        .initial_stream_window_size(limits::PEER_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(limits::PEER_KEEP_ALIVE_EVERY)
        .keep_alive_timeout(limits::PEER_KEEP_ALIVE_WITHIN)
        .keep_alive_while_idle(true)
}

impl fmt::Debug for GrpcUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcUpstream")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn target(cluster: Cluster, shard: ShardId) -> peer::Target {
    peer::Target {
        cluster: cluster.id.get(),
        shard: u32::from(shard.get()),
    }
}

fn request<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// The answer to a call, or what its absence means: after `deadline` nothing is known of it any more.
async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, UpstreamError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(peer_status::to_upstream_error(&status)),
        Err(_) => Err(UpstreamError::NoAnswer(format!(
            "none within {} ms",
            deadline.as_millis()
        ))),
    }
}

impl Upstream for GrpcUpstream {
    fn hello(&self, deadline: Duration) -> BoxFuture<'_, Result<Cluster, UpstreamError>> {
        let mut client = self.client.clone();
        Box::pin(async move {
            let call = client.hello(request(peer::HelloRequest {}, deadline));
            let hello = within(deadline, call).await?;
            let shards = u16::try_from(hello.shards).ok().and_then(ShardCount::new);
            let shards = shards.ok_or_else(|| {
                UpstreamError::NoAnswer(format!("a cluster of {} shards", hello.shards))
            })?;
            Ok(Cluster {
                id: ClusterId::new(hello.cluster),
                shards,
            })
        })
    }

    fn submit(
        &self,
        cluster: Cluster,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        // Queued when first polled, before anything is waited for: commands leave in that order.
        let target = target(cluster, shard);
        let submissions = Arc::clone(&self.submissions);
        Box::pin(async move { submissions.submit(target, command, deadline).await })
    }

    fn read(
        &self,
        cluster: Cluster,
        shard: ShardId,
        query: Bytes,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        let mut client = self.client.clone();
        Box::pin(async move {
            let target = Some(target(cluster, shard));
            let message = peer::ReadRequest {
                target,
                query,
                at_least: at_least.get(),
            };
            let call = client.read(request(message, deadline));
            Ok(within(deadline, call).await?.answer)
        })
    }

    fn barrier(
        &self,
        cluster: Cluster,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, UpstreamError>> {
        let mut client = self.client.clone();
        Box::pin(async move {
            let message = peer::BarrierRequest {
                target: Some(target(cluster, shard)),
            };
            let call = client.barrier(request(message, deadline));
            Ok(Revision::new(within(deadline, call).await?.revision))
        })
    }

    fn follow(
        &self,
        cluster: Cluster,
        shard: ShardId,
    ) -> BoxFuture<'_, Result<Box<dyn UpstreamFollow>, FollowEnd>> {
        let mut client = self.client.clone();
        Box::pin(async move {
            let (ups, waiting) = mpsc::unbounded_channel();
            let first = peer::FollowUp {
                target: Some(target(cluster, shard)),
                message: Bytes::new(),
            };
            let rest = UnboundedReceiverStream::new(waiting).map(|message| peer::FollowUp {
                target: None,
                message,
            });
            let up = futures_util::stream::iter([first]).chain(rest);
            let opened = client.follow(up).await;
            let downs = opened
                .map_err(|status| peer_status::to_follow_end(&status))?
                .into_inner();
            Ok(Box::new(GrpcFollow { ups, downs }) as Box<dyn UpstreamFollow>)
        })
    }
}

/// One open follow stream; dropping it ends the following there.
struct GrpcFollow {
    /// As bounded as the caller's interests are: it sends one message per change of them.
    ups: mpsc::UnboundedSender<Bytes>,
    downs: Streaming<peer::FollowDown>,
}

impl fmt::Debug for GrpcFollow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFollow").finish_non_exhaustive()
    }
}

impl UpstreamFollow for GrpcFollow {
    fn send(&mut self, message: Bytes) {
        // A stream that has ended says so in `next`.
        let _ended = self.ups.send(message);
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, FollowEnd>> {
        Box::pin(async move {
            match self.downs.message().await {
                Ok(Some(down)) => Ok(down.message),
                Ok(None) => Err(FollowEnd::Lost("the upstream ended the stream".to_owned())),
                Err(status) => Err(peer_status::to_follow_end(&status)),
            }
        })
    }
}
