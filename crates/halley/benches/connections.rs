//! Memory of an idle SSE subscriber, connection and all: `cargo bench -p halley --bench connections`.
//!
//! The growth of a node's resident memory from 200 to 5,200 subscribers of one channel, divided by 5,000.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use support::{Dev, http};

const BEFORE: usize = 200;
const COUNTED: usize = 5_000;

fn main() {
    let dev = Dev::start(&["--nodes", "1", "--no-stocks"]);
    let node = &dev.nodes[0];
    let mut held: Vec<TcpStream> = (0..BEFORE).map(|_| subscribe(http(node))).collect();
    let before = resident(&node["pid"]);
    held.extend((0..COUNTED).map(|_| subscribe(http(node))));
    let each = (resident(&node["pid"]) - before) / COUNTED as u64;
    println!("{COUNTED} idle SSE subscribers of one channel: {each} bytes each in the node");
}

/// Opens a stream and reads what comes at once.
fn subscribe(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = format!("GET /v1/sse/idle HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut opening = Vec::new();
    let mut buffer = [0; 1024];
    while !opening.windows(13).any(|bytes| bytes == b"event: cursor") {
        let count = stream.read(&mut buffer).expect("reads");
        assert!(
            count > 0,
            "the stream ended: {}",
            String::from_utf8_lossy(&opening)
        );
        opening.extend_from_slice(&buffer[..count]);
    }
    stream
}

/// Resident bytes of a process (Linux).
fn resident(pid: &serde_json::Value) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("resident memory");
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.expect("a number") * 1024
}
