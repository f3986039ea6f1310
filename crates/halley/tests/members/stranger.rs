//! A node of another cluster is refused, and loses nothing; nor does the cluster that it was sent to.

use serde_json::json;

use crate::{
    book::{Writers, history},
    cluster::{Cluster, calm, payload},
};

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    let mut cluster = Cluster::start(3, &[]).await;
    // Whoever is at n3's address takes publishes, of whichever cluster it is.
    let writers = Writers::modest(&cluster.endpoints()[..2]);
    writers.more(50).await;
    // Its only node has the name of one of theirs.
    let mut other = Cluster::planned(3, &[]);
    other.nodes.drain(..2);
    let home = other.nodes[0].at.peer.to_string();
    other.nodes[0].tell("bootstrap-members", "n3");
    other.nodes[0].tell("bootstrap-peers", &home);
    other.nodes[0].start();
    other.ready().await;
    let data = payload("other", 1);
    let offset = other.nodes[0].try_publish("/members/other", &data).await;
    assert_eq!(offset, Ok(1));
    let own = other.nodes[0]
        .sees("its cluster", |status| status.cluster.clone())
        .await;
    let theirs = cluster.nodes[0]
        .sees("its cluster", |status| status.cluster.clone())
        .await;
    assert_ne!(own, theirs);
    other.nodes[0].stop().await;

    // In the place of n3, by name, by address, and by what it is told.
    cluster.nodes[2].stop().await;
    let home = other.nodes[0].arguments.clone();
    let away = other.nodes[0].data.display().to_string();
    other.nodes[0].arguments = cluster.nodes[2].arguments.clone();
    other.nodes[0].tell("data-directory", &away);
    other.nodes[0].start();
    crate::support::until(
        "the other cluster's node is refused, in words",
        async || {
            let mut told = cluster.nodes[..2].iter().chain(&other.nodes);
            let clear = told.any(|node| {
                let said = node.said();
                let mut lines = said.lines();
                lines.any(|line| line.contains("belongs to cluster") && line.contains("not to"))
            });
            clear.then_some(())
        },
    )
    .await;
    writers.more(100).await;
    for node in &cluster.nodes[..2] {
        let members = node
            .sees("members", |status| Some(status.members.len()))
            .await;
        assert_eq!(members, 3, "nobody else became a member");
    }
    other.nodes[0].kill();

    // Told the addresses only, at its own.
    cluster.nodes[2].start();
    cluster.nodes[2].ready().await;
    other.nodes[0].arguments = home;
    let members = "n1,n2,n3";
    let peers: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.at.peer.to_string())
        .collect();
    other.nodes[0].tell("bootstrap-members", members);
    other.nodes[0].tell("bootstrap-peers", &peers.join(","));
    other.nodes[0].start();
    other.nodes[0].ready().await;
    writers.more(100).await;
    let still = other.nodes[0]
        .sees("its cluster", |status| status.cluster.clone())
        .await;
    assert_eq!(still, own);
    let kept = history(&other.nodes[0], "/members/other").await;
    assert_eq!(
        kept,
        Ok(vec![
            json!({"channel": "/members/other", "offset": 1, "data": data})
        ])
    );
    cluster.nodes[0].sees("peace", calm).await;
    let book = writers.end().await;
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}
