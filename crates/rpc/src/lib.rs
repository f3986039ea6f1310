//! gRPC: the public services on every node, and follow and forwarding between nodes.
//!
//! [`GrpcServer`] is the public listener (`halley.v1.Broker`, health, reflection), [`PeerServer`] the one for
//! other nodes, [`GrpcUpstream`] its client. Invariant: command bytes pass through unread, generated types
//! never leave this room, and every error a caller sees comes from the one table in `status`.

mod broker;
mod deadline;
mod grpc_server;
mod limits;
mod listening;
mod observe;
mod peer;
mod peer_server;
mod peer_status;
mod proto;
mod socket;
mod status;
mod upstream;

pub use grpc_server::{GrpcConfig, GrpcServer};
pub use peer_server::{PeerConfig, PeerServer};
pub use upstream::{EndpointError, GrpcUpstream};

#[cfg(test)]
mod tests;
