//! The cluster's endpoints: one is used until it fails, then the next.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use tonic::transport::{Channel, Endpoint};

use crate::{ClientConfig, ClientError, proto::v1::broker_client::BrokerClient};

/// The generated client of one endpoint.
pub(crate) type Broker = BrokerClient<Channel>;

/// Bytes of one answer that are accepted: 1,000 events or 1 MiB and one event, with room for what surrounds them.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All endpoints, and which one is in use.
pub(crate) struct Endpoints {
    clients: Vec<BrokerClient<Channel>>,
    names: Vec<String>,
    current: AtomicUsize,
}

impl Endpoints {
    /// Connects to none yet. Must be called within a tokio runtime.
    pub(crate) fn new(names: Vec<String>, config: &ClientConfig) -> Result<Self, ClientError> {
        if names.is_empty() {
            return Err(ClientError::Endpoint {
                endpoint: String::new(),
                detail: "at least one is needed".to_owned(),
            });
        }
        let clients: Result<Vec<_>, _> = names.iter().map(|name| client(name, config)).collect();
        Ok(Self {
            clients: clients?,
            names,
            current: AtomicUsize::new(0),
        })
    }

    /// The one in use, with its number.
    pub(crate) fn current(&self) -> (usize, BrokerClient<Channel>) {
        let index = self.current.load(Ordering::Relaxed);
        (index, self.clients[index].clone())
    }

    /// Goes on to the next one, unless somebody else has moved on from `failed` already.
    pub(crate) fn move_on(&self, failed: usize) {
        let next = (failed + 1) % self.clients.len();
        let moved =
            self.current
                .compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed);
        if moved.is_ok() && next != failed {
            tracing::debug!(
                from = self.names[failed],
                to = self.names[next],
                "another endpoint"
            );
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.clients.len()
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

/// A client of one endpoint. TLS goes in here, as PEM bytes in [`ClientConfig`].
fn client(name: &str, config: &ClientConfig) -> Result<BrokerClient<Channel>, ClientError> {
    let refused = |detail: String| ClientError::Endpoint {
        endpoint: name.to_owned(),
        detail,
    };
    let uri = if name.contains("://") {
        name.to_owned()
    } else {
        format!("http://{name}")
    };
    if !uri.starts_with("http://") {
        return Err(refused(
            "host:port or http://host:port is needed".to_owned(),
        ));
    }
    let endpoint = Endpoint::from_shared(uri).map_err(|error| refused(error.to_string()))?;
    if endpoint.uri().port().is_none() {
        return Err(refused("it has no port".to_owned()));
    }
    let channel = endpoint
        .connect_timeout(config.connect)
        .tcp_nodelay(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_keep_alive_interval(std::time::Duration::from_secs(10))
        .keep_alive_timeout(config.attempt)
        .connect_lazy();
    Ok(BrokerClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}
