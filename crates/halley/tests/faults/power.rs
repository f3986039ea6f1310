//! Three replicas, each with a file system of its own whose power can be cut, and an edge.
//!
//! Invariant: every node is stopped before the first file system is cut, so what was heard was said before the cut.

#![allow(
    clippy::print_stderr,
    reason = "a failed test shows what its processes said"
)]

#[allow(dead_code, reason = "a cluster's power is only ever lost")]
#[path = "../../../store/tests/power/cutter.rs"]
mod cutter;
#[path = "../../../store/tests/power/rig.rs"]
mod rig;

use std::fs;

use cutter::{Cutter, Shutdown};
use rig::Rig;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    fleet::{REPLICAS, retain_all},
    load::Door,
    support::{
        http, ports,
        process::{Addresses, Process, halley},
        until,
    },
};

/// Whether this machine can do all of it.
///
/// # Errors
/// What it lacks.
pub(crate) fn probe() -> Result<(), String> {
    let mut rig = Rig::new("faults-probe")?;
    Cutter::arm(rig.mount(), Shutdown::Lose)?.cut()?;
    rig.remount()
}

/// A node run by `halley serve`.
#[derive(Debug)]
struct Plugged {
    at: Addresses,
    arguments: Vec<String>,
    process: Process,
}

impl Plugged {
    fn start(name: &str, role: &str, at: Addresses, more: &[String]) -> Self {
        let mut arguments: Vec<String> = ["serve", "--node-name", name, "--role", role]
            .map(String::from)
            .into();
        let mut listeners = vec![("http", at.http), ("grpc", at.grpc), ("ops", at.ops)];
        if role == "replica" {
            listeners.push(("peer", at.peer));
        }
        for (listener, address) in listeners {
            arguments.extend([format!("--listen-{listener}"), address.to_string()]);
        }
        arguments.extend(["--log-level".into(), "warn".into()]);
        arguments.extend_from_slice(more);
        let process = launch(&arguments);
        Self {
            at,
            arguments,
            process,
        }
    }

    fn start_again(&mut self) {
        self.process = launch(&self.arguments);
    }

    async fn ready(&mut self) {
        let ops = self.at.ops;
        until(&format!("the node at {ops} ready"), async || {
            if let Some(status) = self.process.ended() {
                panic!("the node ended ({status}):\n{}", self.process.said());
            }
            let status = http::status(ops, "/readyz").await;
            status.filter(|status| *status == 200)
        })
        .await;
    }

    fn door(&self) -> Door {
        Door {
            http: self.at.http,
            grpc: self.at.grpc,
        }
    }

    /// Whether no thread of it is running or inside a call.
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.pid()));
        tasks.is_ok_and(|mut tasks| {
            tasks.all(|task| {
                let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
                let stat = stat.unwrap_or_default();
                // The name before it is in brackets and may hold anything.
                let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
                state == Some(b'T')
            })
        })
    }
}

fn launch(arguments: &[String]) -> Process {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Process::start(halley(&arguments))
}

/// Three replicas and an edge; the nodes go before their file systems do.
#[derive(Debug)]
pub(crate) struct Powered {
    edge: Plugged,
    replicas: Vec<Plugged>,
    rigs: Vec<Rig>,
    /// What was said by processes that are gone.
    past: String,
}

impl Powered {
    /// Forms the cluster.
    pub(crate) async fn start() -> Self {
        let nodes = u16::try_from(REPLICAS).expect("a few");
        let base = ports::free(nodes + 1);
        let places: Vec<Addresses> = (0..=nodes)
            .map(|node| Addresses::from_base(base + node * ports::NODE))
            .collect();
        let (edge, places) = places.split_last().expect("there are some");
        let peers: Vec<String> = places.iter().map(|at| at.peer.to_string()).collect();
        let peers = peers.join(",");
        let mut rigs = Vec::new();
        let mut replicas = Vec::new();
        for (index, at) in places.iter().enumerate() {
            let name = format!("n{}", index + 1);
            let rig = Rig::new(&format!("faults-{name}")).expect("the probe worked");
            let more = [
                format!("--data-directory={}", rig.mount().join("data").display()),
                "--bootstrap-members=n1,n2,n3".into(),
                format!("--bootstrap-peers={peers}"),
            ];
            replicas.push(Plugged::start(&name, "replica", *at, &more));
            rigs.push(rig);
        }
        let edge = Plugged::start("e1", "edge", *edge, &[format!("--upstream={peers}")]);
        let mut powered = Self {
            edge,
            replicas,
            rigs,
            past: String::new(),
        };
        powered.ready().await;
        powered.edge.ready().await;
        retain_all(&powered.replicas()).await;
        powered
    }

    /// Where replicas are spoken to.
    pub(crate) fn replicas(&self) -> Vec<Door> {
        self.replicas.iter().map(Plugged::door).collect()
    }

    /// Where edges are spoken to.
    pub(crate) fn edges(&self) -> Vec<Door> {
        vec![self.edge.door()]
    }

    /// Cuts the power of all replicas at once; gives when that was over. Their file systems are up again.
    pub(crate) async fn cut(&mut self) -> Instant {
        let arm = |rig: &Rig| Cutter::arm(rig.mount(), Shutdown::Lose).expect("the probe worked");
        let cutters: Vec<Cutter> = self.rigs.iter().map(arm).collect();
        for replica in &self.replicas {
            replica.process.signal(Signal::STOP);
        }
        until("all replicas stopped", async || {
            let mut replicas = self.replicas.iter();
            replicas.all(Plugged::is_stopped).then_some(())
        })
        .await;
        for cutter in cutters {
            cutter.cut().expect("the probe worked");
        }
        for replica in &mut self.replicas {
            replica.process.kill();
            self.past.push_str(&replica.process.said());
        }
        for rig in &mut self.rigs {
            rig.remount().expect("its journal is replayed");
        }
        Instant::now()
    }

    /// Lets every write of one running replica fail from now on; gives the code with which it ends, and starts it again
    /// over what its disk has.
    pub(crate) async fn fail_disk(&mut self, index: usize) -> Option<i32> {
        let (rig, replica) = (&mut self.rigs[index], &mut self.replicas[index]);
        let cutter = Cutter::arm(rig.mount(), Shutdown::Lose).expect("the probe worked");
        cutter.cut().expect("the probe worked");
        let ended = until("the end of the node", async || replica.process.ended()).await;
        self.past.push_str(&replica.process.said());
        rig.remount().expect("its journal is replayed");
        replica.start_again();
        replica.ready().await;
        ended.code()
    }

    /// Starts all replicas again.
    pub(crate) fn start_again(&mut self) {
        self.replicas.iter_mut().for_each(Plugged::start_again);
    }

    /// Waits until all replicas are ready.
    pub(crate) async fn ready(&mut self) {
        for replica in &mut self.replicas {
            replica.ready().await;
        }
    }
}

impl Drop for Powered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- replicas before their power was cut said:\n{}---",
                self.past
            );
        }
    }
}
