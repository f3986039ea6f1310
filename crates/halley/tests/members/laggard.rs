//! A node that stops until the others have purged what it lacks, and then has a fifth of a processor under further
//! publishing: it never costs the others their quorum, and has everything in the end.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::{
    book::Writers,
    cluster::{Cluster, Replica, calm},
    rounds, skip,
    support::{process::send, until},
};

/// Bytes of each payload.
const PAYLOAD: usize = 60_000;
/// Entries of a shard that are kept behind its newest snapshot, and a few more.
const KEPT: u64 = 1_024 + 32;
/// Publishes while it is slow.
const EVENTS: u64 = 300;
/// Longest time without an acknowledgement that is not the loss of a quorum.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A fifth of a processor for one process, as long as this lives.
enum Brake {
    /// The directory of a control group.
    Group(PathBuf),
    /// A task that stops it four fifths of the time.
    Stopping(JoinHandle<()>, u32),
}

impl Brake {
    fn on(pid: u32) -> Self {
        let name = format!("hly-{}-{pid}", std::process::id());
        let group = Path::new("/sys/fs/cgroup/cpu").join(name);
        if let Ok(()) = Self::group(&group, pid) {
            return Self::Group(group);
        }
        let _never_made = std::fs::remove_dir(&group);
        let task = tokio::spawn(async move {
            loop {
                send(pid, Signal::STOP);
                tokio::time::sleep(Duration::from_millis(80)).await;
                send(pid, Signal::CONT);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self::Stopping(task, pid)
    }

    fn group(group: &Path, pid: u32) -> std::io::Result<()> {
        std::fs::create_dir(group)?;
        std::fs::write(group.join("cpu.cfs_period_us"), "100000")?;
        std::fs::write(group.join("cpu.cfs_quota_us"), "20000")?;
        std::fs::write(group.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        match self {
            Self::Group(group) => {
                let parent = group
                    .parent()
                    .expect("it is in another")
                    .join("cgroup.procs");
                let inside = std::fs::read_to_string(group.join("cgroup.procs"));
                for pid in inside.unwrap_or_default().lines() {
                    let _ended_meanwhile = std::fs::write(&parent, pid);
                }
                let _left_empty = std::fs::remove_dir(group);
            }
            Self::Stopping(task, pid) => {
                // It runs on this thread, so it stops nothing any more.
                task.abort();
                send(*pid, Signal::CONT);
            }
        }
    }
}

/// The newest entry that a snapshot of the only shard on the node's disk covers.
fn newest_snapshot(node: &Replica) -> u64 {
    let directory = node.data.join("node").join("snapshots");
    let Ok(files) = std::fs::read_dir(directory) else {
        return 0;
    };
    let index = |name: String| {
        let (group, index) = name.strip_suffix(".snapshot")?.split_once('-')?;
        (group == "1").then(|| index.parse().ok())?
    };
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    names.filter_map(index).max().unwrap_or_default()
}

/// Asserts that the others go on.
fn check_quorum(writers: &Writers) {
    writers.check_alive();
    let silence = writers.longest_silence();
    assert!(
        silence < SILENCE_MAX,
        "nothing acknowledged for {silence:?}"
    );
}

#[tokio::test]
async fn a_slow_node_under_snapshots_costs_no_quorum_and_catches_up() {
    // It takes minutes: more than the cluster tests of CI have.
    if std::env::var_os("HALLEY_MEMBER_ROUNDS").is_none() {
        return skip("the slow laggard is run by `cargo xtask long`");
    }
    let told = ["--shards=1", "--retention-bytes-max=2097152"];
    let mut cluster = Cluster::start(3, &told).await;
    let writers = Writers::with_payload(3, &cluster.endpoints()[..2], PAYLOAD);
    let began = tokio::time::Instant::now();
    let mut brake = None;
    for _ in 0..rounds() {
        drop(brake.take());
        let behind = cluster.nodes[2]
            .sees("the shard", |status| Some(status.groups.last()?.committed))
            .await;
        cluster.nodes[2].signal(Signal::STOP);
        let purged = |node: &Replica| newest_snapshot(node) > behind + KEPT;
        while !cluster.nodes[..2].iter().all(purged) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            check_quorum(&writers);
        }
        cluster.nodes[2].signal(Signal::CONT);
        brake = Some(Brake::on(cluster.nodes[2].pid()));
        let enough = writers.acknowledged() + EVENTS;
        while writers.acknowledged() < enough {
            tokio::time::sleep(Duration::from_millis(100)).await;
            check_quorum(&writers);
        }
    }
    let kind = match &brake {
        Some(Brake::Group(_)) => "a control group",
        _ => "stops",
    };
    let silence = writers.longest_silence();
    let seconds = began.elapsed().as_secs();
    let book = writers.end().await;
    drop(brake);
    if let Some(status) = cluster.nodes[2].ended() {
        panic!("the slow node ended: {status}");
    }
    until("the slow node is ready", async || {
        let (status, _) = cluster.nodes[2].readiness().await?;
        (status == 200).then_some(())
    })
    .await;
    cluster.nodes[2].sees("peace", calm).await;
    crate::report(&format!(
        "laggard ({kind}): {} acknowledged in {seconds} s, longest silence {} ms, snapshots up to {} and {}",
        book.len(),
        silence.as_millis(),
        newest_snapshot(&cluster.nodes[0]),
        newest_snapshot(&cluster.nodes[2])
    ));
    for node in &cluster.nodes {
        book.check_tail(node).await;
    }
}
