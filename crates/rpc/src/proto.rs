//! Code generated from `proto/`. Nothing outside this room sees it, and nothing in it is a type of the domain.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::todo,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    clippy::use_self,
    clippy::match_wildcard_for_single_variants,
    reason = "generated"
)]

/// The public services.
pub(crate) mod v1 {
    tonic::include_proto!("halley.v1");
}

/// Between nodes.
pub(crate) mod peer {
    tonic::include_proto!("halley.peer.v1");
}

/// The public services' descriptors, for reflection.
pub(crate) const PUBLIC_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));
