//! Three empty nodes make one cluster or none, whenever they are killed and whatever they were told.

use std::{path::PathBuf, time::Duration};

use halley_client::{ClusterStanding, ClusterStatus};
use halley_env::{Rng as _, SystemRng};

use crate::{
    cluster::{Cluster, Replica, calm, payload},
    rounds,
    support::{
        PATIENCE,
        process::{run, stderr},
        within,
    },
};

/// Formations cut short, where `HALLEY_MEMBER_ROUNDS` is not set.
const FORMATIONS: u32 = 5;
/// Most kills of one formation.
const KILLS_MAX: u64 = 6;

fn voters(status: &ClusterStatus) -> usize {
    let voter = |standing| standing == ClusterStanding::Voter;
    status
        .members
        .iter()
        .filter(|member| voter(member.standing))
        .count()
}

/// Waits until all see the same cluster of three voters that takes publishes; gives its name.
async fn one_cluster(cluster: &mut Cluster) -> String {
    cluster.ready().await;
    let mut names = Vec::new();
    for node in &cluster.nodes {
        let formed = |status: &ClusterStatus| {
            (voters(status) == 3 && calm(status).is_some()).then(|| status.cluster.clone())?
        };
        names.push(node.sees("one cluster of three", formed).await);
    }
    names.dedup();
    assert_eq!(names.len(), 1, "several clusters: {names:?}");
    let offset = cluster.nodes[1]
        .try_publish("/members/formed", &payload("f", 1))
        .await;
    assert_eq!(offset, Ok(1), "it was formed once, so nothing is there yet");
    names.remove(0)
}

async fn some_time(most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(SystemRng.below(most_ms + 1))).await;
}

#[tokio::test]
async fn nodes_killed_while_they_form_make_one_cluster() {
    let mut kills = 0;
    for _ in 0..FORMATIONS * rounds() {
        let mut cluster = Cluster::planned(3, &[]);
        cluster.nodes.iter_mut().for_each(Replica::start);
        for _ in 0..=SystemRng.below(KILLS_MAX) {
            // A formation takes half a second; another node's, when one is late, longer.
            some_time(900).await;
            for victim in 0..3 {
                if SystemRng.below(2) == 0 {
                    cluster.nodes[victim].kill();
                    kills += 1;
                }
            }
            some_time(100).await;
            for node in &mut cluster.nodes {
                if !node.runs() {
                    node.start();
                }
            }
        }
        one_cluster(&mut cluster).await;
    }
    crate::report(&format!(
        "formation: {} rounds, {kills} kills",
        FORMATIONS * rounds()
    ));
}

/// Where a node notes who it is and what it founds.
fn identity(node: &Replica) -> PathBuf {
    node.data.join("node").join("identity")
}

/// Nodes whose record of the formation is on their disks.
fn holders(cluster: &Cluster, empty: &[u64]) -> Vec<usize> {
    let grown = |index: &usize| {
        let file = std::fs::metadata(identity(&cluster.nodes[*index]));
        file.is_ok_and(|file| empty[*index] > 0 && file.len() > empty[*index])
    };
    (0..cluster.nodes.len()).filter(grown).collect()
}

/// Starts three nodes and kills them as soon as one of them holds a record; gives who does.
async fn cut_short(cluster: &mut Cluster) -> Vec<usize> {
    cluster.nodes.iter_mut().for_each(Replica::start);
    let mut empty = [0; 3];
    let holding = within("a record on a disk", async {
        loop {
            for (index, node) in cluster.nodes.iter().enumerate() {
                if let Ok(file) = std::fs::metadata(identity(node))
                    && empty[index] == 0
                {
                    empty[index] = file.len();
                }
            }
            let holding = holders(cluster, &empty);
            if !holding.is_empty() {
                return holding;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    cluster.nodes.iter_mut().for_each(Replica::kill);
    let mut all = holding;
    all.extend(holders(cluster, &empty));
    all.sort_unstable();
    all.dedup();
    all
}

#[tokio::test]
async fn a_disk_lost_while_they_form_stops_the_formation_and_says_the_way_out() {
    let mut resets = 0;
    for _ in 0..2 * rounds() {
        let mut cluster = Cluster::planned(3, &[]);
        let holding = cut_short(&mut cluster).await;
        let lost = (0..3).find(|index| !holding.contains(index)).unwrap_or(0);
        cluster.nodes[lost].wipe();
        cluster.nodes.iter_mut().for_each(Replica::start);
        if formed_or_stopped(&mut cluster).await {
            // Who lost the disk was replaced, or had not been counted on yet.
            one_cluster_of_its_own(&mut cluster).await;
            continue;
        }
        resets += 1;
        reset(&mut cluster).await;
        cluster.nodes.iter_mut().for_each(Replica::start);
        one_cluster(&mut cluster).await;
    }
    crate::report(&format!(
        "formation: {resets} of {} lost disks needed a reset",
        2 * rounds()
    ));
}

/// Waits until all are ready, or somebody says how to get out; whether the first.
async fn formed_or_stopped(cluster: &mut Cluster) -> bool {
    within("a cluster, or the way out", async {
        loop {
            let told = |node: &Replica| node.said().contains("halley cluster form --reset");
            let mut ready = 0;
            for node in &cluster.nodes {
                ready += usize::from(
                    node.readiness()
                        .await
                        .is_some_and(|(status, _)| status == 200),
                );
            }
            if ready == 3 {
                return true;
            }
            if cluster.nodes.iter().any(told) && ready == 0 {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn one_cluster_of_its_own(cluster: &mut Cluster) {
    let mut names = Vec::new();
    for node in &cluster.nodes {
        names.push(
            node.sees("its cluster", |status| status.cluster.clone())
                .await,
        );
    }
    names.dedup();
    assert_eq!(names.len(), 1, "several clusters: {names:?}");
}

/// As the message says: on every node.
async fn reset(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.kill();
        let data = node.data.display().to_string();
        let output = run(&["cluster", "form", "--reset", "--data", &data]).await;
        assert!(
            output.status.success(),
            "{}: {}",
            node.name,
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn a_wrong_list_on_one_node_forms_nothing_and_both_hashes_are_named() {
    let mut cluster = Cluster::planned(3, &[]);
    cluster.nodes[2].tell("bootstrap-members", "n1,n3,n4");
    cluster.nodes.iter_mut().for_each(Replica::start);
    let mut stopped = Vec::new();
    within("each of them stops", async {
        while stopped.len() < 3 {
            for (index, node) in cluster.nodes.iter_mut().enumerate() {
                if !stopped.contains(&index)
                    && let Some(status) = node.ended()
                {
                    assert!(!status.success(), "{} ended well", node.name);
                    stopped.push(index);
                }
            }
            // One may have ended before the last heard of its list.
            for index in stopped.clone() {
                if stopped.len() < 3 {
                    cluster.nodes[index].start();
                    stopped.retain(|other| *other != index);
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            let named = |node: &Replica| hashes(&node.said()).len() >= 2;
            if cluster.nodes.iter().all(named) {
                return;
            }
        }
    })
    .await;
    let hashes: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| hashes(&node.said()))
        .collect();
    assert_eq!(hashes[0], hashes[1], "the same two hashes everywhere");
    assert_eq!(hashes[0], hashes[2], "the same two hashes everywhere");
    cluster.nodes.iter_mut().for_each(Replica::kill);

    cluster.nodes[2].tell("bootstrap-members", "n1,n2,n3");
    cluster.nodes.iter_mut().for_each(Replica::start);
    one_cluster(&mut cluster).await;
}

/// The hashes that were named, sorted, each once.
fn hashes(said: &str) -> Vec<String> {
    let mut hashes: Vec<_> = said
        .split("has hash ")
        .skip(1)
        .map(|rest| {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            rest[..end].to_owned()
        })
        .collect();
    hashes.sort();
    hashes.dedup();
    hashes
}

#[tokio::test]
async fn a_late_node_is_waited_for_by_name() {
    let late = Duration::from_secs(if rounds() > 1 { 60 } else { 6 });
    let mut cluster = Cluster::planned(3, &[]);
    cluster.nodes[..2].iter_mut().for_each(Replica::start);
    assert!(late < PATIENCE);
    tokio::time::sleep(late).await;
    for node in &cluster.nodes[..2] {
        node.says("waiting for n3").await;
        let (status, why) = node.readiness().await.expect("it answers");
        assert_eq!(status, 503);
        assert!(why.contains("n3"), "{why}");
    }
    cluster.nodes[2].start();
    one_cluster(&mut cluster).await;
}
