//! Replicas run by `halley serve`, each started, stopped, killed and wiped as a test likes.
//!
//! Invariant: a process ends before what it stores is removed, and what it said is kept until the test is over.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use halley_client::{Client, ClientConfig, ClusterMember, ClusterStanding, ClusterStatus, Publish};
use halley_env::Env;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    http, ports,
    process::{Addresses, Process, Scratch, halley},
    until,
};

/// What nodes of these tests are told unless a test says otherwise: enough is retained for everything that a test
/// publishes to be compared.
const ALWAYS: [&str; 6] = [
    "--drain-max-seconds=1",
    "--replace-after-seconds=4",
    "--retention-events-max=100000",
    "--retention-bytes-max=16777216",
    "--log-level=info,openraft=warn",
    "--demos=false",
];

/// One node, running or not.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: String,
    /// Where the test finds it.
    pub(crate) at: Addresses,
    /// Its directory.
    pub(crate) data: PathBuf,
    /// In front of its command line.
    pub(crate) wrapper: Vec<String>,
    pub(crate) arguments: Vec<String>,
    process: Option<Process>,
    /// What its earlier processes said.
    earlier: String,
}

impl Replica {
    /// The node called `name`, with its own directory below `root`, told `more`; not started.
    pub(crate) fn new(name: &str, at: Addresses, root: &Path, more: Vec<String>) -> Self {
        let data = root.join(name);
        let mut arguments: Vec<String> = vec![
            "serve".into(),
            "--role=replica".into(),
            format!("--node-name={name}"),
            format!("--data-directory={}", data.display()),
            format!("--listen-http={}", at.http),
            format!("--listen-grpc={}", at.grpc),
            format!("--listen-peer={}", at.peer),
            format!("--listen-ops={}", at.ops),
        ];
        // The last one counts for none: whoever says more leaves the usual out.
        let flag = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        let said: Vec<_> = more.iter().map(|text| flag(text)).collect();
        let usual = ALWAYS.iter().filter(|text| !said.contains(&flag(text)));
        arguments.extend(usual.map(ToString::to_string));
        arguments.extend(more);
        Self {
            name: name.into(),
            at,
            data,
            wrapper: Vec::new(),
            arguments,
            process: None,
            earlier: String::new(),
        }
    }

    /// Gives another value to a flag, for the next start.
    pub(crate) fn tell(&mut self, flag: &str, value: &str) {
        let start = format!("--{flag}=");
        self.arguments
            .retain(|argument| !argument.starts_with(&start));
        self.arguments.push(format!("{start}{value}"));
    }

    pub(crate) fn start(&mut self) {
        self.keep_words();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let plain = halley(&arguments);
        let command = match self.wrapper.split_first() {
            None => plain,
            Some((program, first)) => wrapped(&plain, program, first),
        };
        self.process = Some(Process::start(command));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.keep_words();
    }

    /// SIGTERM, and the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("it runs");
        process.signal(Signal::TERM);
        let status = process.end().await;
        self.keep_words();
        status
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// Whether it was started and not stopped.
    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// How its process ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.ended()
    }

    /// Removes its directory.
    pub(crate) fn wipe(&self) {
        assert!(self.process.is_none(), "{} is stopped first", self.name);
        std::fs::remove_dir_all(&self.data).expect("removes");
    }

    /// All that it ever said.
    pub(crate) fn said(&self) -> String {
        let now = self.process.as_ref().map(Process::said).unwrap_or_default();
        self.earlier.clone() + &now
    }

    fn keep_words(&mut self) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.earlier += &process.said();
        self.earlier += "--- and its process ended\n";
    }

    /// Waits until it says `text`.
    pub(crate) async fn says(&self, text: &str) {
        until(&format!("{} says `{text}`", self.name), async || {
            self.said().contains(text).then_some(())
        })
        .await;
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) {
        until(&format!("{} is ready", self.name), async || {
            if let Some(status) = self.ended() {
                panic!("{} ended: {status}", self.name);
            }
            (http::status(self.at.ops, "/readyz").await == Some(200)).then_some(())
        })
        .await;
    }

    /// What `/readyz` says; `None` when nobody answers.
    pub(crate) async fn readiness(&self) -> Option<(u16, String)> {
        let answer = http::get(self.at.ops, "/readyz", &[]).await.ok()?;
        Some((
            answer.status,
            String::from_utf8_lossy(&answer.body).into_owned(),
        ))
    }

    /// A client of this node alone that gives up after a few seconds.
    pub(crate) fn client(&self) -> Client {
        client([self.at.grpc], Duration::from_secs(4))
    }

    /// The cluster as it sees it; `None` when it does not answer.
    pub(crate) async fn status(&self) -> Option<ClusterStatus> {
        self.client().cluster_status().await.ok()
    }

    /// Waits until the cluster, as this node sees it, gives an answer to `ask`.
    pub(crate) async fn sees<T>(
        &self,
        what: &str,
        mut ask: impl FnMut(&ClusterStatus) -> Option<T>,
    ) -> T {
        let mut last = None;
        let what = format!("{} sees {what}", self.name);
        let seen = tokio::time::timeout(crate::support::PATIENCE, async {
            loop {
                if let Some(status) = self.status().await {
                    if let Some(answer) = ask(&status) {
                        return answer;
                    }
                    last = Some(status);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        match seen.await {
            Ok(answer) => answer,
            Err(_) => panic!("{what}: not in time; last: {last:#?}"),
        }
    }

    /// Publishes one event through this node alone, within a few seconds.
    pub(crate) async fn try_publish(&self, channel: &str, data: &Value) -> Result<u64, String> {
        let event = Publish::json(channel, data.to_string());
        let published = self.client().publish(event).await;
        published
            .map(|published| published.offset)
            .map_err(|error| error.to_string())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            crate::report(&format!("=== {} said:\n{}===", self.name, self.earlier));
        }
    }
}

fn wrapped(plain: &Command, program: &str, first: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(first).arg(plain.get_program());
    command.args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(std::process::Stdio::null());
    command
}

/// A client of the nodes at `endpoints` that gives up after `deadline`.
pub(crate) fn client(
    endpoints: impl IntoIterator<Item = SocketAddr>,
    deadline: Duration,
) -> Client {
    let config = ClientConfig {
        deadline,
        attempt: Duration::from_secs(3),
        ..ClientConfig::default()
    };
    let endpoints = endpoints.into_iter().map(|at| at.to_string());
    Client::with_config(endpoints, config, Env::system()).expect("endpoints")
}

/// Several nodes; their directories go with them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Replica>,
    pub(crate) root: Scratch,
}

impl Cluster {
    /// `n1`, … on loopback, founding a cluster together; not started.
    pub(crate) fn planned(count: u16, more: &[&str]) -> Self {
        let base = ports::free(count);
        let at: Vec<_> = (0..count)
            .map(|index| Addresses::from_base(base + index * ports::NODE))
            .collect();
        let peers: Vec<_> = at.iter().map(|at| at.peer.to_string()).collect();
        let names: Vec<_> = (1..=count).map(|number| format!("n{number}")).collect();
        let root = Scratch::new();
        let told = || {
            let own = [
                format!("--bootstrap-members={}", names.join(",")),
                format!("--bootstrap-peers={}", peers.join(",")),
            ];
            own.into_iter()
                .chain(more.iter().map(ToString::to_string))
                .collect()
        };
        let nodes = names
            .iter()
            .zip(&at)
            .map(|(name, at)| Replica::new(name, *at, root.path(), told()))
            .collect();
        Self { nodes, root }
    }

    /// The same, started and ready.
    pub(crate) async fn start(count: u16, more: &[&str]) -> Self {
        let mut cluster = Self::planned(count, more);
        cluster.nodes.iter_mut().for_each(Replica::start);
        cluster.ready().await;
        cluster
    }

    /// Waits until all are ready.
    pub(crate) async fn ready(&mut self) {
        for node in &mut self.nodes {
            node.ready().await;
        }
    }

    /// Where back ends come in.
    pub(crate) fn endpoints(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.at.grpc).collect()
    }
}

/// The id of the voter called `name`.
pub(crate) fn voter(status: &ClusterStatus, name: &str) -> Option<String> {
    let is_it =
        |member: &&ClusterMember| member.name == name && member.standing == ClusterStanding::Voter;
    Some(status.members.iter().find(is_it)?.id.clone())
}

/// What the member `id` may do.
pub(crate) fn standing(status: &ClusterStatus, id: &str) -> Option<ClusterStanding> {
    let member = status.members.iter().find(|member| member.id == id)?;
    Some(member.standing)
}

/// The member called `name` that is another one than `old`.
pub(crate) fn successor(status: &ClusterStatus, name: &str, old: &str) -> Option<ClusterMember> {
    let members = status.members.iter();
    let mut others = members.filter(|member| member.name == name && member.id != old);
    others.next().cloned()
}

/// All groups have a leader, and nothing waits.
pub(crate) fn calm(status: &ClusterStatus) -> Option<()> {
    let led = status.groups.iter().all(|group| group.leader.is_some());
    (led && status.groups.len() > 1 && status.notices.is_empty()).then_some(())
}

/// A small payload.
pub(crate) fn payload(who: &str, number: u64) -> Value {
    json!({"who": who, "n": number})
}
