//! Publish-to-browser latency: `cargo bench -p halley --bench latency`, after `cargo xtask test` has installed
//! the clients (Node.js, playwright-core, Chromium).
//!
//! One `halley dev --edges 1`, one headless Chromium with a page on the replica and one on the edge, numbered
//! events published over HTTP; each page notes when its listener was called.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Dev, http};

const EVENTS: &str = "1000";
const PER_SECOND: &str = "50";

fn main() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let clients = format!("{root}/target/clients");
    if !std::path::Path::new(&clients).join("node_modules").exists() {
        println!("latency: run `cargo xtask test` first, it installs the browser clients");
        return;
    }
    let dev = Dev::start(&["--nodes", "1", "--edges", "1"]);
    let base = |node: &Value| format!("http://{}", http(node));
    let mut node = Command::new("node");
    node.env("HALLEY_TEST_CLIENTS", &clients)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/latency.mjs"
        ))
        .args([EVENTS, PER_SECOND])
        .arg(base(&dev.nodes[0]));
    for at in &dev.nodes {
        node.arg(format!(
            "{}={}",
            at["role"].as_str().expect("a role"),
            base(at)
        ));
    }
    let output = node
        .stderr(Stdio::inherit())
        .output()
        .expect("Node.js starts");
    println!("publish-to-browser latency, {EVENTS} events of 60 B at {PER_SECOND}/s, ms");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
        let (node, p50, p99) = (text("node"), text("p50_ms"), text("p99_ms"));
        println!("  {node:<8} p50 {p50:>7}  p99 {p99:>7}");
    }
    assert!(output.status.success(), "the browser run failed");
}
