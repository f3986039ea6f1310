//! The cluster's endpoints: one is used until it fails, then the next.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use tonic::transport::{Channel, Endpoint};

use crate::{
    ClientConfig, ClientError,
    error::with_causes,
    proto::v1::{broker_client::BrokerClient, cluster_client::ClusterClient},
};

/// The generated client of one endpoint.
pub(crate) type Broker = BrokerClient<Channel>;

/// The generated client of one endpoint's cluster service.
pub(crate) type Cluster = ClusterClient<Channel>;

/// Bytes of one answer that are accepted: 1,000 events or 1 MiB and one event, with room for what surrounds them.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The services of one endpoint, over one connection.
#[derive(Clone)]
pub(crate) struct Stubs {
    /// Events.
    pub(crate) broker: Broker,
    /// The cluster itself.
    pub(crate) cluster: Cluster,
}

/// All endpoints, and which one is in use.
pub(crate) struct Endpoints {
    clients: Vec<Stubs>,
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
    pub(crate) fn current(&self) -> (usize, Broker) {
        let (index, stubs) = self.current_stubs();
        (index, stubs.broker)
    }

    /// All services of the one in use, with its number.
    pub(crate) fn current_stubs(&self) -> (usize, Stubs) {
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

/// A client of one endpoint.
fn client(name: &str, config: &ClientConfig) -> Result<Stubs, ClientError> {
    let refused = |detail: String| ClientError::Endpoint {
        endpoint: name.to_owned(),
        detail,
    };
    let scheme = if config.tls.is_some() {
        "https://"
    } else {
        "http://"
    };
    let uri = if name.contains("://") {
        name.to_owned()
    } else {
        format!("{scheme}{name}")
    };
    if !uri.starts_with(scheme) {
        return Err(refused(match config.tls {
            Some(_) => "host:port or https://host:port is needed with TLS".to_owned(),
            None => "host:port or http://host:port is needed without TLS".to_owned(),
        }));
    }
    let mut endpoint = Endpoint::from_shared(uri).map_err(|error| refused(error.to_string()))?;
    if endpoint.uri().port().is_none() {
        return Err(refused("it has no port".to_owned()));
    }
    if let Some(tls) = &config.tls {
        let tls = tls.config().map_err(refused)?.timeout(config.attempt);
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|error| refused(with_causes("TLS".to_owned(), Some(&error))))?;
    }
    let channel = endpoint
        .connect_timeout(config.connect)
        .tcp_nodelay(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_keep_alive_interval(std::time::Duration::from_secs(10))
        .keep_alive_timeout(config.attempt)
        .connect_lazy();
    Ok(Stubs {
        broker: BrokerClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        cluster: ClusterClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
    })
}
