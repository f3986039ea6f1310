//! Generates the gRPC code from `proto/` with a compiler written in Rust, so that a fresh machine needs no protoc.

use std::{env, error::Error, fs, path::Path};

use prost::Message;

/// What clients may see: also served by reflection.
const PUBLIC: [&str; 2] = ["halley/v1/broker.proto", "halley/v1/cluster.proto"];
/// What nodes say to each other.
const PEER: &str = "halley/peer/v1/peer.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let out = env::var("OUT_DIR")?;
    let public = protox::compile(PUBLIC, [&root])?;
    fs::write(Path::new(&out).join("public.bin"), public.encode_to_vec())?;
    let all = protox::compile(PUBLIC.into_iter().chain([PEER]), [&root])?;
    tonic_prost_build::configure().bytes(".").compile_fds(all)?;
    Ok(())
}
