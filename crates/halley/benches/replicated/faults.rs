//! A leader is killed, or asked to go: how long until the next acknowledged publish.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use halley_client::{Client, ClientConfig, Publish};
use halley_env::Env;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use crate::{Bench, support::Dev};

const ROUNDS: usize = 7;
/// How long publishing goes on before and after.
const AROUND: Duration = Duration::from_secs(2);
/// How long a cluster may take to be whole again.
const WHOLE: Duration = Duration::from_secs(60);

/// Both tables, with one shard, so that there is one leader to lose.
pub(crate) fn run(bench: &Bench) {
    let dev = bench.cluster(1);
    for (name, measured, signal) in [
        (
            "killed (SIGKILL)",
            "time to the next acknowledgement",
            Signal::KILL,
        ),
        ("asked to go (SIGTERM)", "longest silence", Signal::TERM),
    ] {
        let rounds: Vec<Round> = (0..ROUNDS)
            .map(|_| bench.runtime.block_on(round(&dev, signal)))
            .collect();
        let mut gaps: Vec<Duration> = rounds.iter().map(|round| round.gap).collect();
        gaps.sort_unstable();
        let failed: u64 = rounds.iter().map(|round| round.failed).sum();
        let retried: u64 = rounds.iter().map(|round| round.slow).sum();
        println!(
            "leader {name}, {ROUNDS} times: {measured} median {:.0?}, worst {:.0?}; \
             publishes failed {failed}, over 100 ms {retried}",
            gaps[ROUNDS / 2],
            gaps[ROUNDS - 1],
        );
    }
}

struct Round {
    gap: Duration,
    failed: u64,
    slow: u64,
}

fn client(nodes: Vec<String>) -> Client {
    let config = ClientConfig {
        backoff_first: Duration::from_millis(2),
        backoff_last: Duration::from_millis(10),
        ..ClientConfig::default()
    };
    Client::with_config(nodes, config, Env::system()).expect("addresses")
}

/// The name of the shard's leader, once all nodes answer, are heard, and have all of its log.
async fn whole(dev: &Dev) -> String {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < WHOLE, "the cluster does not become whole");
        let mut leader = None;
        let mut answered = 0;
        for address in dev.addresses("grpc") {
            let Ok(status) = client(vec![address]).cluster_status().await else {
                break;
            };
            answered += 1;
            let group = status.groups.iter().find(|group| group.name == "shard 0");
            let Some(group) = group else { break };
            let current = group.progress.iter().filter(|one| one.lag == 0).count();
            let heard = status.members.iter().all(|one| one.heard != Some(false));
            if group.leader.as_deref() == Some(&status.answered_by) && current == 3 && heard {
                leader = Some(status.answered_by);
            }
        }
        if let (Some(leader), 3) = (leader, answered) {
            // A node that has just come back may stand for election a moment later.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return leader;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Publishes through the nodes that stay while the leader goes.
async fn round(dev: &Dev, signal: Signal) -> Round {
    let leader = whole(dev).await;
    let others: Vec<String> = dev.addresses_but("grpc", &leader);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let failed = Arc::new(AtomicU64::new(0));
    let slow = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + AROUND * 2;
    let mut publishers = JoinSet::new();
    for publisher in 0..4 {
        let client = client(vec![others[publisher % others.len()].clone()]);
        let (answers, failed, slow) =
            (Arc::clone(&answers), Arc::clone(&failed), Arc::clone(&slow));
        publishers.spawn(async move {
            while Instant::now() < end {
                let at = Instant::now();
                match client.publish(Publish::json("/bench/failover", "1")).await {
                    Ok(_) => answers.lock().expect("no panic").push((at, Instant::now())),
                    Err(_) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                if at.elapsed() > Duration::from_millis(100) {
                    slow.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    tokio::time::sleep(AROUND).await;
    let went = Instant::now();
    let pid = Pid::from_raw(dev.pid(&leader)).expect("a process id");
    kill_process(pid, signal).expect("the leader is there");
    while let Some(ended) = publishers.join_next().await {
        ended.expect("a publisher does not panic");
    }
    let mut answers = answers.lock().expect("no panic").clone();
    answers.sort_unstable_by_key(|(_, answered)| *answered);
    // Killed: the next one that was sent afterwards. Asked to go: the longest silence of all.
    let gap = if signal == Signal::KILL {
        let next = answers.iter().find(|(sent, _)| *sent > went);
        next.map_or(AROUND, |(_, answered)| *answered - went)
    } else {
        let before = answers.iter().position(|(_, answered)| *answered > went);
        let from = before.unwrap_or(1).max(1);
        let silence = |pair: &[(Instant, Instant)]| pair[1].1 - pair[0].1;
        answers[from - 1..]
            .windows(2)
            .map(silence)
            .max()
            .unwrap_or(AROUND)
    };
    Round {
        gap,
        failed: failed.load(Ordering::Relaxed),
        slow: slow.load(Ordering::Relaxed),
    }
}
