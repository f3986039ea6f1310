//! An edge that is killed and started again, many times, under load: its subscribers come back with their last
//! event id and miss nothing, see nothing twice.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use support::{
    http,
    ledger::{Ledger, Seen},
    process::Node,
    sse, until, within,
};

const KILLS: usize = 20;
const SUBSCRIBERS: usize = 8;
const CHANNELS: [&str; 3] = ["/edge/a", "/edge/b", "/edge/c"];
/// More than this test publishes: nobody may be told of a gap.
const RETENTION: [&str; 4] = [
    "--retention-events-max",
    "100000",
    "--retention-bytes-max",
    "100000000",
];

/// What test and tasks tell each other.
#[derive(Debug, Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// The killing is over: publish no more.
    enough: AtomicBool,
    /// Events in all, once that is known; zero before.
    all: AtomicUsize,
    /// Events seen by each subscriber.
    seen: [AtomicUsize; SUBSCRIBERS],
    reconnections: AtomicUsize,
}

async fn publish(at: SocketAddr, who: usize, shared: Arc<Shared>) {
    let mut n = 0;
    while !shared.enough.load(Ordering::Relaxed) {
        let channel = CHANNELS[n % CHANNELS.len()];
        let data = json!({"publisher": who, "n": n});
        let offset = http::publish(at, channel, &format!("{who}-{n}"), &data).await;
        let offset = offset.expect("the replica acknowledges");
        shared
            .ledger
            .lock()
            .expect("nobody panicked")
            .note(channel, offset, data);
        n += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads as a browser does: whatever ends the stream, it comes back with the last id.
async fn subscribe(at: SocketAddr, number: usize, shared: Arc<Shared>) -> Seen {
    let who = format!("subscriber {number}");
    let mut seen = Seen::default();
    let mut last_id: Option<String> = None;
    let path = "/v1/sse?channel=/edge/*&since=earliest";
    loop {
        let Ok(mut stream) = sse::Stream::open(at, path, last_id.as_deref()).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        shared.reconnections.fetch_add(1, Ordering::Relaxed);
        while let Some(event) = stream.next().await {
            assert_ne!(event.kind, "gap", "{who}: {}", event.data);
            last_id = Some(event.id.clone());
            if event.kind != "cursor" {
                seen.note(&who, &event.json());
                shared.seen[number].store(seen.len(), Ordering::Relaxed);
            }
            if seen.len() > 0 && seen.len() == shared.all.load(Ordering::Relaxed) {
                return seen;
            }
        }
    }
}

fn least_seen(shared: &Shared) -> usize {
    shared
        .seen
        .iter()
        .map(|seen| seen.load(Ordering::Relaxed))
        .min()
        .expect("there are some")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_of_a_killed_edge_lose_nothing() {
    let replica = Node::replica(&RETENTION).await;
    let mut edge = Node::edge(&replica, &[]).await;
    let shared = Arc::new(Shared::default());
    let mut subscribers = tokio::task::JoinSet::new();
    for number in 0..SUBSCRIBERS {
        subscribers.spawn(subscribe(edge.at.http, number, Arc::clone(&shared)));
    }
    let mut publishers = tokio::task::JoinSet::new();
    for who in 0..2 {
        publishers.spawn(publish(replica.at.http, who, Arc::clone(&shared)));
    }
    for kill in 0..KILLS {
        // Everybody has read something through this edge, in the middle of the stream, before it dies.
        let goal = least_seen(&shared) + 10;
        until(&format!("events before kill {kill}"), async || {
            (least_seen(&shared) >= goal).then_some(())
        })
        .await;
        edge.process.kill();
        edge.start_again();
    }
    let goal = least_seen(&shared) + 10;
    until("events after the last kill", async || {
        (least_seen(&shared) >= goal).then_some(())
    })
    .await;
    shared.enough.store(true, Ordering::Relaxed);
    within("the publishers", publishers.join_all()).await;
    // The last event comes after its count is known: so everybody learns that it is the last.
    let published = shared.ledger.lock().expect("nobody panicked").len();
    shared.all.store(published + 1, Ordering::Relaxed);
    let data = json!("the end");
    let offset = http::publish(replica.at.http, CHANNELS[0], "end", &data)
        .await
        .expect("stored");
    shared
        .ledger
        .lock()
        .expect("nobody panicked")
        .note(CHANNELS[0], offset, data);
    let all = within("the subscribers", subscribers.join_all()).await;
    let ledger = shared.ledger.lock().expect("nobody panicked").clone();
    for (number, seen) in all.iter().enumerate() {
        ledger.check(&format!("subscriber {number}"), seen);
    }
    let opened = shared.reconnections.load(Ordering::Relaxed);
    assert!(
        opened >= SUBSCRIBERS * (KILLS + 1),
        "only {opened} streams were opened"
    );
    println!("{} events, {opened} streams, {KILLS} kills", ledger.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_survives_the_loss_and_return_of_its_upstream() {
    let mut replica = Node::replica(&[]).await;
    let edge = Node::edge(&replica, &[]).await;
    let path = "/v1/sse/edge/lost?since=earliest";
    http::publish(edge.at.http, "/edge/lost", "one", &json!(1))
        .await
        .expect("is forwarded");
    let mut stream = sse::Stream::open(edge.at.http, path, None)
        .await
        .expect("opens");
    let first = within("the first event", next_of(&mut stream, "message")).await;
    let first = first.expect("the stream goes on");
    replica.process.kill();

    // Its own readers are no worse off, and it still says that it is there for them.
    assert_eq!(http::status(edge.at.ops, "/readyz").await, Some(200));
    let lost = http::ask(
        edge.at.http,
        http::request("POST", edge.at.http, "/v1/publish/edge/lost", &[], "2"),
    );
    let lost = within("an answer without an upstream", lost)
        .await
        .expect("an answer");
    assert!(
        [503, 504].contains(&lost.status),
        "{} {:?}",
        lost.status,
        lost.body
    );

    // It comes back with its disk: the old cursor goes on behind the first event.
    replica.start_again();
    replica.ready().await;
    until("a publish through the edge", async || {
        http::publish(edge.at.http, "/edge/lost", "back", &json!("back"))
            .await
            .ok()
    })
    .await;
    until("the old cursor goes on", async || {
        let opened = sse::Stream::open(edge.at.http, path, Some(&first.id)).await;
        let mut stream = opened.ok()?;
        loop {
            let event = stream.next().await?;
            assert_ne!(event.kind, "gap", "{}", event.data);
            if event.kind == "message" {
                assert_eq!(event.json()["offset"], 2);
                return Some(());
            }
        }
    })
    .await;

    // With an empty disk it is another cluster: the old cursor is told so, and everything goes on.
    replica.process.kill();
    replica.data.wipe();
    replica.start_again();
    replica.ready().await;
    until("a publish through the edge", async || {
        http::publish(edge.at.http, "/edge/lost", "two", &json!("new"))
            .await
            .ok()
    })
    .await;
    until("the old cursor is told", async || {
        let opened = sse::Stream::open(edge.at.http, path, Some(&first.id)).await;
        let mut stream = opened.ok()?;
        let gap = next_of(&mut stream, "gap").await?;
        assert_eq!(gap.json()["gap"]["reason"], "foreign_cursor");
        let event = next_of(&mut stream, "message").await?;
        assert_eq!(
            (&event.json()["offset"], &event.json()["data"]),
            (&json!(1), &json!("new"))
        );
        Some(())
    })
    .await;
}

/// The next event of a kind; `None` at the end of the stream.
async fn next_of(stream: &mut sse::Stream, kind: &str) -> Option<sse::Event> {
    loop {
        let event = stream.next().await?;
        if event.kind == kind {
            return Some(event);
        }
    }
}
