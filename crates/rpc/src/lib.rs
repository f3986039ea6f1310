//! gRPC: the public services on every node, and follow and forwarding between nodes.
//!
//! [`GrpcServer`] is the public listener (`halley.v1.Broker`, `halley.v1.Cluster`, health, reflection), [`PeerServer`] the one for
//! other nodes, [`GrpcUpstream`] and [`GrpcPeers`] its clients. Invariant: command bytes pass through unread, generated types
//! never leave this room, and every error a caller sees comes from the one table in `status`.

mod broker;
mod cluster;
mod deadline;
mod dial;
mod grpc_server;
mod limits;
mod line;
mod listening;
mod observe;
mod peer;
mod peer_server;
mod peer_status;
mod peers;
mod proto;
mod raft;
mod socket;
mod status;
mod tls;
mod upstream;

pub use grpc_server::{GrpcConfig, GrpcServer};
pub use peer_server::{PeerConfig, PeerServer};
pub use peers::GrpcPeers;
pub use tls::{TlsClient, TlsError, TlsServer};
pub use upstream::{EndpointError, GrpcUpstream};

#[cfg(test)]
mod tests;
