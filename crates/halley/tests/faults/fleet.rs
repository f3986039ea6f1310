//! Three replicas and an edge under `halley dev`, and who leads what.
//!
//! Invariant: a node is found by its name among the children of its `dev`, so nobody else's process is ever hurt.

use std::fs;

use halley_client::{Client, ClusterStatus};
use halley_env::Env;
use halley_shard::ChannelName;
use rustix::process::Signal;

use crate::{
    load::Door,
    support::{
        http,
        process::{self, Announced, Dev},
        until,
    },
};

/// Replicas of a fleet.
pub(crate) const REPLICAS: usize = 3;
/// Retention beyond what any scenario publishes: nobody may be told of a gap.
const RETENTION: [(&str, &str); 2] = [
    ("retention.events_max", "1000000"),
    ("retention.bytes_max", "1000000000"),
];

/// The node that leads most shards.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) name: String,
    shards: Vec<u64>,
    count: u64,
}

impl Leader {
    /// Whether a channel is in a shard that it leads.
    pub(crate) fn leads(&self, channel: &str) -> bool {
        let channel = ChannelName::parse(channel).expect("a channel");
        self.shards.contains(&(channel.hash64() % self.count))
    }
}

/// A `dev` of three replicas and an edge.
#[derive(Debug)]
pub(crate) struct Fleet {
    dev: Dev,
}

impl Fleet {
    /// Starts it; ended nodes are started again at once.
    pub(crate) async fn start() -> Self {
        let more = ["--no-stocks", "--restart-after-ms", "100"];
        let replicas = u16::try_from(REPLICAS).expect("a few");
        let dev = Dev::cluster(replicas, 1, &more).await;
        let fleet = Self { dev };
        retain_all(&fleet.replicas()).await;
        fleet
    }

    fn doors(&self, role: &str) -> Vec<Door> {
        let nodes = self.dev.nodes.iter().filter(|node| node.role == role);
        nodes.map(Self::door).collect()
    }

    fn door(node: &Announced) -> Door {
        Door {
            http: node.http,
            grpc: node.grpc,
        }
    }

    /// Where replicas are spoken to.
    pub(crate) fn replicas(&self) -> Vec<Door> {
        self.doors("replica")
    }

    /// Where edges are spoken to.
    pub(crate) fn edges(&self) -> Vec<Door> {
        self.doors("edge")
    }

    /// Names of all nodes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.dev
            .nodes
            .iter()
            .map(|node| node.name.clone())
            .collect()
    }

    fn node(&self, name: &str) -> &Announced {
        let mut nodes = self.dev.nodes.iter();
        nodes
            .find(|node| node.name == name)
            .expect("a node of this fleet")
    }

    /// Where one node is spoken to.
    pub(crate) fn door_of(&self, name: &str) -> Door {
        Self::door(self.node(name))
    }

    /// What all of it has said.
    pub(crate) fn said(&self) -> String {
        self.dev.process.said()
    }

    /// The process that is this node now.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        let wanted = format!("--node-name={name}");
        let parent = self.dev.process.pid();
        let processes = fs::read_dir("/proc").expect("it is there").flatten();
        let mut pids =
            processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| parent_of(*pid) == Some(parent) && has_argument(*pid, &wanted))
    }

    /// Sends a signal to the process that is this node now; gives its number.
    pub(crate) async fn signal(&self, name: &str, signal: Signal) -> u32 {
        let pid = until(&format!("{name} running"), async || self.pid(name)).await;
        process::send(pid, signal);
        pid
    }

    /// Waits until a node is another process than `before`, and ready.
    pub(crate) async fn back(&self, name: &str, before: u32) {
        until(&format!("{name} started again"), async || {
            self.pid(name).filter(|pid| *pid != before)
        })
        .await;
        self.ready(name).await;
    }

    /// Waits until a node is ready.
    pub(crate) async fn ready(&self, name: &str) {
        let ops = self.node(name).ops;
        until(&format!("{name} ready"), async || {
            let status = http::status(ops, "/readyz").await;
            status.filter(|status| *status == 200)
        })
        .await;
    }

    /// Waits until every shard has a leader; gives the node with most.
    pub(crate) async fn leader(&self) -> Leader {
        let doors = self.replicas();
        until("a leader of every shard", async || leader(&doors).await).await
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        assert_eq!(self.dev.stop().await.code(), Some(0));
    }
}

/// Turns off the trimming that a scenario would run into.
pub(crate) async fn retain_all(replicas: &[Door]) {
    let endpoints = replicas.iter().map(|door| door.grpc.to_string());
    let client = Client::connect(endpoints, Env::system()).expect("endpoints");
    for (key, value) in RETENTION {
        let set = client.cluster_set(key, value).await;
        set.unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

/// By the newest term that anybody knows; `None` while a shard has no leader.
async fn leader(doors: &[Door]) -> Option<Leader> {
    let mut newest: Vec<(u64, Option<String>)> = Vec::new();
    for door in doors {
        let endpoint = [door.grpc.to_string()];
        let client = Client::connect(endpoint, Env::system()).expect("an endpoint");
        let patience = std::time::Duration::from_secs(1);
        let status = tokio::time::timeout(patience, client.cluster_status()).await;
        let Ok(Ok(status)) = status else { continue };
        let shards = leaders(status);
        newest.resize(newest.len().max(shards.len()), (0, None));
        for (known, told) in newest.iter_mut().zip(shards) {
            if told.0 > known.0 {
                *known = told;
            }
        }
    }
    let leaders: Option<Vec<String>> = newest.into_iter().map(|(_, leader)| leader).collect();
    let leaders = leaders.filter(|leaders| !leaders.is_empty())?;
    let led = |name: &str| leaders.iter().filter(|leader| *leader == name).count();
    let name = leaders
        .iter()
        .max_by_key(|name| led(name.as_str()))?
        .clone();
    let numbers = (0u64..)
        .zip(&leaders)
        .filter(|(_, leader)| **leader == name);
    Some(Leader {
        shards: numbers.map(|(number, _)| number).collect(),
        count: leaders.len() as u64,
        name,
    })
}

/// Term and leader of each shard, as one node knows them.
fn leaders(status: ClusterStatus) -> Vec<(u64, Option<String>)> {
    let groups = status.groups.into_iter();
    let shards = groups.filter(|group| group.name.starts_with("shard"));
    shards.map(|group| (group.term, group.leader)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

fn has_argument(pid: u32, wanted: &str) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| argument == wanted.as_bytes())
}
