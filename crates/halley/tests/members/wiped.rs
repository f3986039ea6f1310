//! A node whose disk is gone is a new node, and takes the old one's place by rule 4, or by hand.

use std::time::Duration;

use halley_client::ClusterStanding;

use crate::{
    book::Writers,
    cluster::{Cluster, calm, standing, successor, voter},
    rounds,
    support::process::{run, stderr},
};

#[tokio::test]
async fn a_wiped_node_rejoins_as_a_new_one_and_then_votes() {
    let mut cluster = Cluster::start(3, &[]).await;
    let writers = Writers::modest(&cluster.endpoints());
    for round in 0..rounds() {
        let (wiped, other) = [(2, 0), (0, 1), (1, 2)][round as usize % 3];
        wipe_one(&mut cluster, &writers, wiped, other).await;
    }
    let book = writers.end().await;
    crate::report(&format!("wiped: {} acknowledged", book.len()));
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}

async fn wipe_one(cluster: &mut Cluster, writers: &Writers, wiped: usize, other: usize) {
    writers.more(100).await;
    let name = cluster.nodes[wiped].name.clone();
    let old = cluster.nodes[other]
        .sees("the voter", |status| voter(status, &name))
        .await;
    cluster.nodes[wiped].kill();
    cluster.nodes[wiped].wipe();
    cluster.nodes[wiped].start();
    let new = cluster.nodes[other]
        .sees("a new node of that name", |status| {
            successor(status, &name, &old)
        })
        .await;
    assert_eq!(new.standing, ClusterStanding::Learner, "first it learns");
    cluster.nodes[other]
        .sees("it in the old one's place", |status| {
            let new = standing(status, &new.id) == Some(ClusterStanding::Voter);
            let old = standing(status, &old) == Some(ClusterStanding::Retired);
            (new && old).then_some(())
        })
        .await;
    cluster.nodes[wiped].ready().await;
    cluster.nodes[other].sees("peace", calm).await;
    writers.more(100).await;

    // Its vote is needed now.
    cluster.nodes[other].kill();
    writers.more(100).await;
    cluster.nodes[other].start();
    cluster.nodes[other].ready().await;
    cluster.nodes[other].sees("peace", calm).await;
}

#[tokio::test]
async fn with_another_node_down_nothing_is_replaced_but_by_hand() {
    let mut cluster = Cluster::start(5, &["--replace-after-seconds=2"]).await;
    let writers = Writers::modest(&cluster.endpoints()[..3]);
    writers.more(50).await;
    let old = cluster.nodes[0]
        .sees("the voter", |status| voter(status, "n5"))
        .await;
    cluster.nodes[3].kill();
    cluster.nodes[4].kill();
    cluster.nodes[4].wipe();
    cluster.nodes[4].start();
    let new = cluster.nodes[0]
        .sees("a new node of that name", |status| {
            successor(status, "n5", &old)
        })
        .await;
    says_why(&cluster, &new.id).await;
    // Several times as long as it takes where all others are well.
    let until = tokio::time::Instant::now() + Duration::from_secs(6);
    while tokio::time::Instant::now() < until {
        if let Some(status) = cluster.nodes[0].status().await {
            let held = standing(&status, &old);
            assert_eq!(held, Some(ClusterStanding::Voter), "{status:#?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    says_why(&cluster, &new.id).await;

    let server = cluster.nodes[0].at.grpc.to_string();
    let output = run(&["cluster", "replace", &old, &new.id, "--server", &server]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    cluster.nodes[0]
        .sees("it in the old one's place", |status| {
            (standing(status, &new.id) == Some(ClusterStanding::Voter)).then_some(())
        })
        .await;
    writers.more(50).await;
    cluster.nodes[3].start();
    cluster.ready().await;
    cluster.nodes[0].sees("peace", calm).await;
    let book = writers.end().await;
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}

/// Waits until one of the first three says why `new` stays what it is.
async fn says_why(cluster: &Cluster, new: &str) {
    let why = format!("({new}) stays a learner: ");
    crate::support::until(&format!("a reason why {new} waits"), async || {
        for node in &cluster.nodes[..3] {
            let status = node.status().await?;
            // Before that one node is waited for or another: what lasts is the node that is down.
            let says = |text: &String| text.contains(&why) && text.contains("is not heard");
            if status.notices.iter().any(says) {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn with_a_majority_of_disks_out_of_reach_nothing_is_automatic() {
    let mut cluster = Cluster::start(3, &["--replace-after-seconds=2"]).await;
    let writers = Writers::modest(&cluster.endpoints());
    writers.more(50).await;
    let old = cluster.nodes[0]
        .sees("the voter", |status| voter(status, "n3"))
        .await;
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    cluster.nodes[2].start();
    // What was on its way may have been acknowledged just before.
    let before = writers.acknowledged() + 2;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let after = writers.acknowledged();
    assert!(after <= before, "acknowledged without a majority of disks");
    if let Some(status) = cluster.nodes[0].status().await {
        assert_eq!(standing(&status, &old), Some(ClusterStanding::Voter));
    }
    cluster.nodes[1].start();
    cluster.nodes[0]
        .sees("the old one replaced", |status| {
            (standing(status, &old) == Some(ClusterStanding::Retired)).then_some(())
        })
        .await;
    cluster.ready().await;
    writers.more(50).await;
    let book = writers.end().await;
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}
