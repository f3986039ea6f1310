//! Halley's processes: one command, a node, a whole `dev`.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{http, ports, until, within};

/// The program under test, without what this environment says about Halley.
pub(crate) fn halley(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_halley"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLEY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(halley(arguments));
    let output = command.kill_on_drop(true).output();
    within(&format!("halley {}", arguments.join(" ")), output)
        .await
        .expect("the program starts")
}

/// What a command printed to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What a command printed to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// A process that is ended with its value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with its standard error kept for failures.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("a pipe was asked for");
        let reader = Some(keep(stderr, Arc::clone(&said)));
        Self {
            child,
            said,
            reader,
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no reader panicked").clone()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Whether and how it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        until("the end of a process", async || self.ended()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- process {} said:\n{}---", self.pid(), self.said());
        }
        drop(self.reader.take());
    }
}

fn keep(stderr: ChildStderr, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
            said.lock()
                .expect("nobody panics while adding")
                .push_str(&line);
            line.clear();
        }
    })
}

/// Sends a signal to a process that the caller knows to be its own.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process number")).expect("not zero");
    let _gone_already = kill_process(pid, signal);
}

/// Whether a process exists and is not only waiting to be reaped.
pub(crate) fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

/// Resident bytes of a process.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("every process has it");
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number");
    kilobytes * 1024
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Addresses {
    /// The four ports from `base` on.
    pub(crate) fn from_base(base: u16) -> Self {
        let at = |offset| SocketAddr::from(([127, 0, 0, 1], base + offset));
        Self {
            http: at(0),
            grpc: at(1),
            peer: at(2),
            ops: at(3),
        }
    }
}

/// A directory that goes with its value.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// One that nobody has; not created yet.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("halley-test-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The same, as an argument.
    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }

    /// Removes what is in it.
    pub(crate) fn wipe(&self) {
        if self.0.exists() {
            std::fs::remove_dir_all(&self.0).expect("removes");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

/// A node run by `halley serve`.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Addresses,
    pub(crate) process: Process,
    /// What it stores; removed after its process has ended.
    pub(crate) data: Scratch,
    arguments: Vec<String>,
}

impl Node {
    /// Starts a replica that is a cluster by itself on free ports and waits until it is ready.
    pub(crate) async fn replica(more: &[&str]) -> Self {
        let data = Scratch::new();
        let own = ["--data-directory", data.text(), "--bootstrap-members", "n1"];
        let more = own.iter().chain(more).map(ToString::to_string).collect();
        let at = Addresses::from_base(ports::free(1));
        Self::start("replica", at, more, data).await
    }

    /// Starts an edge of `upstream`.
    pub(crate) async fn edge(upstream: &Self, more: &[&str]) -> Self {
        let peer = upstream.at.peer.to_string();
        let at = Addresses::from_base(ports::free(1));
        let own = ["--upstream", &peer];
        let more = own.iter().chain(more).map(ToString::to_string).collect();
        Self::start("edge", at, more, Scratch::new()).await
    }

    async fn start(role: &str, at: Addresses, more: Vec<String>, data: Scratch) -> Self {
        let mut arguments: Vec<String> = ["serve", "--role", role].map(String::from).into();
        for (flag, address) in [
            ("http", at.http),
            ("grpc", at.grpc),
            ("peer", at.peer),
            ("ops", at.ops),
        ] {
            arguments.extend([format!("--listen-{flag}"), address.to_string()]);
        }
        arguments.extend(["--log-level".into(), "warn".into()]);
        arguments.extend(more);
        let mut node = Self {
            at,
            process: launch(&arguments),
            data,
            arguments,
        };
        node.ready().await;
        node
    }

    /// Starts it again after its end, with the same arguments, without waiting.
    pub(crate) fn start_again(&mut self) {
        self.process = launch(&self.arguments);
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) {
        let ops = self.at.ops;
        until(&format!("node at {ops} ready"), async || {
            if let Some(status) = self.process.ended() {
                panic!("the node ended ({status}):\n{}", self.process.said());
            }
            http::status(ops, "/readyz")
                .await
                .filter(|status| *status == 200)
        })
        .await;
    }
}

fn launch(arguments: &[String]) -> Process {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Process::start(halley(&arguments))
}

/// A node of a `dev`, as it announces it.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) pid: u32,
    /// Only of a replica.
    pub(crate) data: Option<PathBuf>,
}

/// A `halley dev`.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) nodes: Vec<Announced>,
    /// The announcement.
    pub(crate) line: String,
}

impl Dev {
    /// One replica and `edges`.
    pub(crate) async fn start(edges: u16, more: &[&str]) -> Self {
        Self::cluster(1, edges, more).await
    }

    /// Starts it on free ports with JSON output and waits for its announcement.
    pub(crate) async fn cluster(replicas: u16, edges: u16, more: &[&str]) -> Self {
        let base = ports::free(replicas + edges).to_string();
        let (replicas, edges) = (replicas.to_string(), edges.to_string());
        let mut arguments = vec!["dev", "--output", "json", "--base-port", &base];
        arguments.extend(["--nodes", &replicas, "--edges", &edges]);
        arguments.extend(more);
        let mut command = halley(&arguments);
        let mut process = Process::start({
            command.stdout(Stdio::piped());
            command
        });
        let stdout = process.child.stdout.take().expect("a pipe was asked for");
        let line = tokio::task::spawn_blocking(move || first_line(stdout));
        let line = within("the announcement of dev", line)
            .await
            .expect("no panic");
        assert!(
            !line.is_empty(),
            "dev ended without an announcement:\n{}",
            process.said()
        );
        let nodes = announced(&line);
        Self {
            process,
            nodes,
            line,
        }
    }

    /// Ends it as Ctrl-C does and waits until all its nodes are gone.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::INT);
        let status = self.process.end().await;
        for node in &self.nodes {
            until("the end of a node", async || {
                (!lives(node.pid)).then_some(())
            })
            .await;
        }
        status
    }
}

fn first_line(mut stdout: std::process::ChildStdout) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).is_ok_and(|count| count == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

fn announced(line: &str) -> Vec<Announced> {
    let value: Value = serde_json::from_str(line).expect("one line of JSON");
    let nodes = value["nodes"].as_array().expect("nodes").iter();
    let text = |node: &Value, key: &str| node[key].as_str().expect(key).to_owned();
    let address = |node: &Value, key: &str| text(node, key).parse().expect(key);
    let node = |node: &Value| Announced {
        name: text(node, "name"),
        role: text(node, "role"),
        http: address(node, "http"),
        grpc: address(node, "grpc"),
        ops: address(node, "ops"),
        pid: node["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .expect("pid"),
        data: node["data"].as_str().map(PathBuf::from),
    };
    nodes.map(node).collect()
}
