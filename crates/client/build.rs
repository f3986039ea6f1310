//! Generates the client's gRPC code from `proto/` with a compiler written in Rust: a fresh machine needs no protoc.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let public = protox::compile(
        ["halley/v1/broker.proto", "halley/v1/cluster.proto"],
        [&root],
    )?;
    // The server half is for this crate's tests only; unused code costs nothing in a build.
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(public)?;
    Ok(())
}
