//! Code generated from `proto/`; nothing outside this crate sees it.

#![allow(
    missing_docs,
    dead_code,
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
