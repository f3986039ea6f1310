//! Clusters form, answer, and go on after restarts.

mod cluster;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cluster::Cluster;
use halley_env::Disk as _;
use halley_log::{PublishError, Publisher};
use halley_shard::{ChannelName, Content, Publication};

/// Publishers so far: each has ids of its own.
static PUBLISHERS: AtomicU64 = AtomicU64::new(0);

fn publication(channel: &str, text: &str) -> Publication {
    let data = bytes::Bytes::copy_from_slice(text.as_bytes());
    Publication {
        channel: ChannelName::parse(channel).expect("a name"),
        content: Content {
            content_type: "text/plain".into(),
            data,
            ..Content::default()
        },
        key: None,
    }
}

async fn publish(
    cluster: &Cluster,
    index: usize,
    channel: &str,
    text: &str,
) -> Result<u64, PublishError> {
    let seed = 99 + PUBLISHERS.fetch_add(1, Ordering::Relaxed);
    let publisher = Publisher::new(cluster.log(index), cluster::env(seed));
    let results = publisher
        .publish(vec![publication(channel, text)], Duration::from_secs(30))
        .await;
    let result = results.into_iter().next().expect("one result");
    result.map(|published| published.0.offset.get())
}

#[tokio::test(start_paused = true)]
async fn one_node_forms_and_answers() {
    let mut cluster = Cluster::new(1, 1);
    cluster.start(0).await;
    cluster.log(0).formed().await;
    assert_eq!(publish(&cluster, 0, "/a", "one").await, Ok(1));
    assert_eq!(publish(&cluster, 0, "/a", "two").await, Ok(2));
    cluster.stop(0).await;
    cluster.start(0).await;
    assert_eq!(publish(&cluster, 0, "/a", "three").await, Ok(3));
    cluster.cut_power(0).await;
    cluster.start(0).await;
    assert_eq!(publish(&cluster, 0, "/a", "four").await, Ok(4));
    cluster.assert_nobody_ended();
}

#[tokio::test(start_paused = true)]
async fn three_nodes_form_and_any_of_them_answers() {
    let mut cluster = Cluster::new(3, 2);
    cluster.start_all().await;
    for index in 0..3 {
        cluster.log(index).formed().await;
        let offset = index as u64 + 1;
        assert_eq!(publish(&cluster, index, "/a", "x").await, Ok(offset));
    }
    cluster.assert_nobody_ended();
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_the_loss_of_power_everywhere() {
    for seed in 10..14 {
        let mut cluster = Cluster::new(3, seed);
        cluster.start_all().await;
        for number in 1..=20 {
            let index = number as usize % 3;
            assert_eq!(publish(&cluster, index, "/a", "x").await, Ok(number));
        }
        for index in 0..3 {
            cluster.cut_power(index).await;
        }
        cluster.start_all().await;
        let next = publish(&cluster, 0, "/a", "x").await;
        assert_eq!(next, Ok(21), "seed {seed}");
        cluster.assert_nobody_ended();
    }
}

#[tokio::test(start_paused = true)]
async fn any_one_of_three_may_die() {
    for seed in 20..22 {
        let mut cluster = Cluster::new(3, seed);
        cluster.start_all().await;
        let mut next = 1;
        for round in 0..6 {
            let victim = round % 3;
            assert_eq!(publish(&cluster, victim, "/a", "x").await, Ok(next));
            cluster.cut_power(victim).await;
            let other = (victim + 1) % 3;
            assert_eq!(publish(&cluster, other, "/a", "x").await, Ok(next + 1));
            next += 2;
            cluster.start(victim).await;
        }
        cluster.assert_nobody_ended();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_log_is_a_damaged_disk() {
    let mut cluster = Cluster::new(3, 30);
    cluster.start_all().await;
    assert_eq!(publish(&cluster, 0, "/a", "x").await, Ok(1));
    cluster.stop(1).await;
    let disk = Arc::clone(&cluster.places[1].disk);
    let below = |directory: &str| -> Vec<PathBuf> {
        let files = disk.files().into_iter().map(|(path, _)| path);
        files.filter(|path| path.starts_with(directory)).collect()
    };
    for path in below("/data/node/log") {
        disk.remove(&path).expect("it is there");
    }
    cluster.start(1).await;
    // Its identity has acknowledged what this disk does not have: it votes no more, and a new node begins.
    assert!(!below("/data/node.damaged-1").is_empty());
    assert_eq!(publish(&cluster, 1, "/a", "y").await, Ok(2));
    cluster.assert_nobody_ended();
}
