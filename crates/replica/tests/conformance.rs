//! The replicated log passes the seam's suite: alone, as one of three, and while replicas come and go.

mod cluster;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use cluster::Cluster;
use tokio::sync::Mutex;

use halley_log::conformance::{self, SHORT_FEED, Subject, Wanted};

async fn started(count: usize, wanted: Wanted, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(count, seed);
    cluster.settings = conformance::settings();
    if wanted == Wanted::ShortFeed {
        cluster.keeping.feed_entries = SHORT_FEED;
    }
    cluster.start_all().await;
    for index in 0..count {
        cluster.served(index).await;
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn one_replica_conforms() {
    let kept = RefCell::new(Vec::new());
    conformance::all(async |wanted| {
        let cluster = started(1, wanted, 1).await;
        let log = cluster.log(0);
        kept.borrow_mut().push(cluster);
        let env = cluster::env(7);
        Subject { log, env }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_of_three_conforms() {
    let kept = RefCell::new(Vec::new());
    conformance::all(async |wanted| {
        let cluster = started(3, wanted, 2).await;
        // Whoever leads what: some of it is elsewhere.
        let log = cluster.log(1);
        kept.borrow_mut().push(cluster);
        let env = cluster::env(8);
        Subject { log, env }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_while_the_others_come_and_go() {
    for seed in 40..42 {
        let cluster = started(3, Wanted::Plain, seed).await;
        let subject = Subject {
            log: Arc::clone(&cluster.log(0)),
            env: cluster::env(seed),
        };
        let cluster = Rc::new(Mutex::new(cluster));
        let storm = Rc::clone(&cluster);
        let _begun_anew = conformance::survives_disturbance(&subject, async move {
            let mut cluster = storm.lock().await;
            for round in 0..4 {
                let victim = 1 + round % 2;
                cluster.cut_power(victim).await;
                tokio::time::sleep(Duration::from_millis(700)).await;
                cluster.start(victim).await;
                cluster.served(victim).await;
            }
        })
        .await;
        cluster.lock().await.assert_nobody_ended();
    }
}
