//! A disk put back from a copy has forgotten votes and entries: it gets no vote.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    book::Writers,
    cluster::{Cluster, calm, payload},
};

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}

#[tokio::test]
async fn an_old_copy_of_a_disk_is_refused_a_vote_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3, &[]).await;
    let writers = Writers::modest(&cluster.endpoints());
    writers.more(50).await;
    assert!(cluster.nodes[2].stop().await.success());
    let aside = cluster.root.path().join("n3.copy");
    copy(&cluster.nodes[2].data, &aside);
    for _ in 0..2 {
        cluster.nodes[2].start();
        cluster.nodes[2].ready().await;
        cluster.nodes[0].sees("peace", calm).await;
        writers.more(50).await;
        assert!(cluster.nodes[2].stop().await.success());
    }
    cluster.nodes[2].wipe();
    std::fs::rename(&aside, &cluster.nodes[2].data).expect("the copy is put back");
    cluster.nodes[2].start();
    cluster.nodes[2].says("an old copy of the disk").await;
    cluster.nodes[2]
        .sees("that it does not vote", |status| {
            let said = |text: &String| text.contains("does not vote");
            status.notices.iter().any(said).then_some(())
        })
        .await;
    writers.more(100).await;
    let book = writers.end().await;
    book.check(&[&cluster.nodes[0], &cluster.nodes[1]]).await;

    // Of the others one alone is left, which must be elected anew: the old disk neither leads nor lets it.
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    let until = tokio::time::Instant::now() + Duration::from_secs(9);
    while tokio::time::Instant::now() < until {
        for node in &cluster.nodes[1..] {
            let published = node.try_publish("/members/old", &payload("old", 1)).await;
            assert!(
                published.is_err(),
                "{}: acknowledged by an old disk's vote",
                node.name
            );
        }
    }
    cluster.nodes[0].start();
    cluster.nodes[0].ready().await;
    cluster.nodes[1].ready().await;
    let published = cluster.nodes[0]
        .try_publish("/members/on", &payload("on", 1))
        .await;
    published.expect("two good disks are a majority");
    book.check(&[&cluster.nodes[0], &cluster.nodes[1]]).await;
}
