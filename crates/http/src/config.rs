//! The settings of the http listener, with the contract's defaults.

use std::{net::SocketAddr, time::Duration};

use halley_shard::limits::PAYLOAD_BYTES_DEFAULT;

/// A node as demo pages know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNode {
    /// Its name.
    pub name: String,
    /// Its http listener, which must allow the pages of this one (CORS).
    pub http: SocketAddr,
}

/// What may be set about the http listener. [`HttpConfig::default`] is the public contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The node's name, shown by demos.
    pub node: String,
    /// Origins whose pages may call `/v1`: each exactly as browsers write it (`https://example.org`), or `*`
    /// for all of them, then without credentials. Empty: none.
    pub cors_origins: Vec<String>,
    /// Whether `/demo/…` is served.
    pub demos: bool,
    /// Nodes that demo pages go on with when this one is gone; with it or without it.
    pub nodes: Vec<OtherNode>,
    /// Bytes of one event's payload, at most 256 KiB.
    pub payload_bytes_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of a request line, line end included.
    pub request_line_bytes_max: usize,
    /// Bytes of a request's head, its line included.
    pub head_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
    /// Connections served at a time; those beyond are told to come back later.
    pub connections_max: usize,
    /// Time for a request's head to arrive.
    pub head_time: Duration,
    /// Time for a request's body to arrive.
    pub body_time: Duration,
    /// How long a connection may be kept without a request.
    pub idle_time: Duration,
    /// How long a client may take nothing at all of what is ready for it, before its connection is closed.
    pub stall_time: Duration,
    /// Time between the signs of life of a quiet stream.
    pub keepalive: Duration,
    /// Time for a publish to be acknowledged.
    pub publish_time: Duration,
    /// How long a history request ahead of this node waits for it.
    pub history_time: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            node: "halley".to_owned(),
            cors_origins: Vec::new(),
            demos: false,
            nodes: Vec::new(),
            payload_bytes_max: PAYLOAD_BYTES_DEFAULT,
            body_bytes_max: halley_wire::limits::BODY_BYTES_MAX,
            request_line_bytes_max: 8 * 1024,
            head_bytes_max: 16 * 1024,
            headers_max: 64,
            connections_max: 16_384,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(120),
            keepalive: Duration::from_secs(15),
            publish_time: Duration::from_secs(30),
            history_time: Duration::from_secs(10),
        }
    }
}
