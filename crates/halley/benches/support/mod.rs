//! A whole `halley dev` for a benchmark.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// Ends `dev` with the benchmark, and with it its nodes: they watch its pipe.
pub(crate) struct Dev {
    child: Child,
    /// The nodes, as `dev --output json` announces them.
    pub(crate) nodes: Vec<Value>,
}

impl Dev {
    /// Starts it and waits until every node is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_halley"))
            .args(["dev", "--base-port", "18600", "--output", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("halley starts");
        let mut line = String::new();
        let announced = child.stdout.take().expect("piped");
        BufReader::new(announced)
            .read_line(&mut line)
            .expect("the line of `dev`");
        let announced: Value = serde_json::from_str(&line).expect("the line of `dev` is JSON");
        let nodes = announced["nodes"].as_array().expect("nodes").clone();
        Self { child, nodes }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of a node's http listener.
pub(crate) fn http(node: &Value) -> &str {
    node["http"].as_str().expect("an address")
}
