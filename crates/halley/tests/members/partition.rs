//! A node cut off from the others, in both directions and in one: the majority goes on, the node alone never
//! acknowledges anything, and once it is healed it has exactly what the others have.

use std::{net::SocketAddr, time::Duration};

use halley_shard::ChannelName;

use crate::{
    book::{Reader, Writers},
    cluster::{Cluster, Replica, calm, payload},
    network::{Cut, Network, inside, outside},
    rounds, skip,
    support::process::{Addresses, Scratch},
};

/// How long a node is cut off.
const CUT: Duration = Duration::from_secs(5);

/// Runs `cut` in a network of its own, on a thread that lives in there.
fn in_a_network(cut: Cut) {
    let network = match Network::new(3) {
        Ok(network) => network,
        Err(why) => return skip(&why),
    };
    // Whether this kernel can do it; nobody is there yet.
    if let Err(why) = network.cut(1, cut) {
        return skip(&why);
    }
    network.heal(1, cut);
    let thread = std::thread::spawn(move || {
        network.enter();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(cut_off(&network, cut));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn planned(network: &Network) -> Cluster {
    let root = Scratch::new();
    let peers: Vec<_> = (1..=3)
        .map(|number| format!("{}:7400", inside(number)))
        .collect();
    let node = |number: usize| {
        let at = |port| SocketAddr::from((outside(number), port));
        let at = Addresses {
            http: at(8080),
            grpc: at(9090),
            peer: SocketAddr::from((inside(number), 7400)),
            ops: at(9100),
        };
        let more = vec![
            "--bootstrap-members=n1,n2,n3".to_owned(),
            format!("--bootstrap-peers={}", peers.join(",")),
            "--insecure=true".to_owned(),
        ];
        let mut node = Replica::new(&format!("n{number}"), at, root.path(), more);
        node.wrapper = network.wrapper(number);
        node
    };
    Cluster {
        nodes: (1..=3).map(node).collect(),
        root,
    }
}

async fn cut_off(network: &Network, cut: Cut) {
    let mut cluster = planned(network);
    cluster.nodes.iter_mut().for_each(Replica::start);
    cluster.ready().await;
    let writers = Writers::modest(&cluster.endpoints());
    let readers: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| Reader::start(&node.name, node.at.http))
        .collect();
    for _ in 0..rounds() {
        writers.more(50).await;
        // The one that has most to lose.
        let leader = cluster.nodes[0]
            .sees("a leader of shard 0", |status| {
                let shard = status.groups.iter().find(|group| group.name == "shard 0")?;
                shard.leader.clone()
            })
            .await;
        let alone = cluster.nodes.iter().position(|node| node.name == leader);
        let alone = alone.expect("a member");
        network.cut(alone + 1, cut).expect("it could before");
        never_alone(&cluster.nodes[alone], &writers).await;
        network.heal(alone + 1, cut);
        writers.more(50).await;
        cluster.ready().await;
        cluster.nodes[alone].sees("peace", calm).await;
    }
    let silence = writers.longest_silence();
    let book = writers.end().await;
    crate::report(&format!(
        "partition {cut:?}: {} acknowledged, longest silence {} ms",
        book.len(),
        silence.as_millis()
    ));
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
    for reader in readers {
        reader.end(&book).await;
    }
}

/// A channel of one of the two shards.
fn of_shard(shard: u64) -> String {
    let mut names = (0..).map(|number| format!("/alone/{number}"));
    let is_there = |name: &String| {
        let name = ChannelName::parse(name).expect("a name");
        name.hash64() % 2 == shard
    };
    names.find(is_there).expect("one of two has it")
}

/// While it is cut off, the others go on, and it acknowledges nothing.
async fn never_alone(node: &Replica, writers: &Writers) {
    let until = tokio::time::Instant::now() + CUT;
    let channels = [of_shard(0), of_shard(1)];
    let mut number = 0;
    let trying = async {
        while tokio::time::Instant::now() < until {
            number += 1;
            let data = payload("alone", number);
            let (a, b) = tokio::join!(
                node.try_publish(&channels[0], &data),
                node.try_publish(&channels[1], &data),
            );
            assert!(a.is_err() && b.is_err(), "{} acknowledged alone", node.name);
        }
    };
    tokio::join!(trying, writers.more(200));
}

#[test]
fn cut_off_in_both_directions() {
    in_a_network(Cut::Both);
}

#[test]
fn cut_off_so_that_nobody_hears_it() {
    in_a_network(Cut::Mute);
}

#[test]
fn cut_off_so_that_it_hears_nobody() {
    in_a_network(Cut::Deaf);
}
