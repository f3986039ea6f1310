//! A whole `halley dev` for a benchmark.
#![allow(
    dead_code,
    reason = "each benchmark is a program of its own and uses its share"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Ends `dev` with the benchmark, and with it its nodes.
pub(crate) struct Dev {
    child: Child,
    /// The nodes, as `dev --output json` announces them.
    pub(crate) nodes: Vec<Value>,
}

impl Dev {
    /// Starts it and waits until every node is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Three replicas with nothing but their own work, anew below `data`.
    pub(crate) fn replicas(data: &Path, shards: u32) -> Self {
        let _ = std::fs::remove_dir_all(data);
        let data = data.to_str().expect("a path of text");
        let shards = shards.to_string();
        Self::start_with(
            &["--no-stocks", "--data", data],
            &[("HALLEY_SHARDS", &shards)],
        )
    }

    /// One replica with what is in `data`.
    pub(crate) fn one(data: &Path) -> Self {
        let data = data.to_str().expect("a path of text");
        Self::start(&["--nodes", "1", "--no-stocks", "--data", data])
    }

    fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_halley"))
            .args(["dev", "--base-port", "18600", "--output", "json"])
            .args(arguments)
            .envs(variables.iter().copied())
            // Not settings of a node, which refuses what it does not know.
            .env_remove("HALLEY_BENCH_DIR")
            .env_remove("HALLEY_BENCH_SECONDS")
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

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| text(node, "name").to_owned())
            .collect()
    }

    /// The addresses of one listener of all.
    pub(crate) fn addresses(&self, listener: &str) -> Vec<String> {
        self.addresses_but(listener, "")
    }

    /// The same without the node `name`.
    pub(crate) fn addresses_but(&self, listener: &str, name: &str) -> Vec<String> {
        let others = self.nodes.iter().filter(|node| text(node, "name") != name);
        others.map(|node| text(node, listener).to_owned()).collect()
    }

    /// The process of the node `name` now: a node that ended has been started again as another.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        let parent = self.child.id().to_string();
        let named = format!("--node-name={name}");
        let processes = std::fs::read_dir("/proc").expect("a process table");
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .find(|pid| {
                let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
                let Ok(stat) = read("stat") else { return false };
                let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
                fields.split_whitespace().nth(1) == Some(&*parent)
                    && read("cmdline").is_ok_and(|line| line.split('\0').any(|word| word == named))
            })
            .expect("the node runs")
    }
}

fn text<'a>(node: &'a Value, member: &str) -> &'a str {
    node[member].as_str().expect("a member of text")
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Not killed: it removes what its nodes stored.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// The address of a node's http listener.
pub(crate) fn http(node: &Value) -> &str {
    node["http"].as_str().expect("an address")
}
