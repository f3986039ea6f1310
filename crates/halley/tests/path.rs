//! The whole path: in by gRPC and HTTP through a node and an edge, out by SSE, poll and gRPC through both, with
//! subscribers that hop between nodes and transports. Every offset once, in order.

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use halley_client::{Client, Delivery, Publish, Since};
use halley_env::{Env, Rng as _, SystemRng};
use serde_json::{Value, json};
use support::{
    http,
    ledger::{Ledger, Seen},
    process::{Announced, Dev},
    sse, within,
};

/// Over both shards; fewer events in each than are retained, so that nobody is ever told of a gap.
const CHANNELS: [&str; 5] = ["/path/a", "/path/b", "/path/c", "/path/d", "/other/e"];
const QUERY: &str = "channel=/path/*&channel=/other/e";
const EVENTS_PER_PUBLISHER: usize = 600;
const PUBLISHERS: usize = 4;
const ALL: usize = EVENTS_PER_PUBLISHER * PUBLISHERS;

/// Who publishes how.
#[derive(Clone, Copy, Debug)]
enum Way {
    Grpc,
    Http,
}

async fn publish(way: Way, node: Announced, who: usize, ledger: Arc<Mutex<Ledger>>) {
    let client = Client::connect([node.grpc.to_string()], Env::system()).expect("an endpoint");
    for n in 0..EVENTS_PER_PUBLISHER {
        let channel = CHANNELS[n % CHANNELS.len()];
        let data = json!({"publisher": who, "n": n});
        let offset = match way {
            Way::Grpc => {
                let event = Publish::json(channel, data.to_string());
                client.publish(event).await.expect("is acknowledged").offset
            }
            Way::Http => {
                let key = format!("{who}-{n}");
                let published = http::publish(node.http, channel, &key, &data).await;
                published.expect("is acknowledged")
            }
        };
        ledger
            .lock()
            .expect("no publisher panicked")
            .note(channel, offset, data);
    }
}

/// Where a subscriber reads next.
#[derive(Clone, Copy, Debug)]
enum Transport {
    Sse,
    Poll,
    Grpc,
}

const TRANSPORTS: [Transport; 3] = [Transport::Sse, Transport::Poll, Transport::Grpc];

/// Reads until it has seen at least `more` further events or all; gives the cursor to go on with.
async fn read(
    transport: Transport,
    node: &Announced,
    cursor: String,
    more: usize,
    who: &str,
    seen: &mut Seen,
) -> String {
    let enough = (seen.len() + more).min(ALL);
    match transport {
        Transport::Sse => read_sse(node.http, cursor, enough, who, seen).await,
        Transport::Poll => read_poll(node.http, cursor, enough, who, seen).await,
        Transport::Grpc => read_grpc(node.grpc, cursor, enough, who, seen).await,
    }
}

async fn read_sse(
    at: SocketAddr,
    mut cursor: String,
    enough: usize,
    who: &str,
    seen: &mut Seen,
) -> String {
    let mut stream = None;
    while seen.len() < enough {
        if stream.is_none() {
            let (since, id) = match cursor.as_str() {
                "earliest" => ("&since=earliest", None),
                cursor => ("", Some(cursor)),
            };
            let path = format!("/v1/sse?{QUERY}{since}");
            stream = Some(sse::Stream::open(at, &path, id).await.expect("opens"));
        }
        let Some(event) = stream.as_mut().expect("opened above").next().await else {
            stream = None;
            continue;
        };
        assert_ne!(event.kind, "gap", "{who}: {}", event.data);
        if event.kind != "cursor" {
            seen.note(who, &event.json());
        }
        cursor = event.id;
    }
    cursor
}

async fn read_poll(
    at: SocketAddr,
    mut cursor: String,
    enough: usize,
    who: &str,
    seen: &mut Seen,
) -> String {
    while seen.len() < enough {
        let path = format!("/v1/poll?{QUERY}&since={cursor}&limit=50&wait=5");
        let answer = http::get(at, &path, &[]).await.expect("an answer");
        assert_eq!(answer.status, 200, "{who}: {:?}", answer.body);
        let body = answer.json();
        assert_eq!(body.get("gaps"), None, "{who}");
        for event in body["events"].as_array().expect("events") {
            seen.note(who, event);
        }
        cursor = body["cursor"].as_str().expect("cursor").into();
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{cursor}\"").as_str())
        );
    }
    cursor
}

async fn read_grpc(
    at: SocketAddr,
    mut cursor: String,
    enough: usize,
    who: &str,
    seen: &mut Seen,
) -> String {
    let client = Client::connect([at.to_string()], Env::system()).expect("an endpoint");
    let since = Since::from(cursor.as_str());
    let mut subscription = client.subscribe(["/path/*", "/other/e"], since);
    while seen.len() < enough {
        let Delivery::Event(event) = subscription.next().await.expect("a delivery") else {
            panic!("{who}: a gap")
        };
        let data: Value = serde_json::from_slice(&event.data).expect("JSON");
        seen.note(
            who,
            &json!({"channel": event.channel, "offset": event.offset, "data": data}),
        );
        cursor = event.cursor;
    }
    cursor
}

/// Stays on one transport and one node.
async fn stays(transport: Transport, node: Announced) -> (String, Seen) {
    let who = format!("{transport:?} on {}", node.name);
    let mut seen = Seen::default();
    read(transport, &node, "earliest".into(), ALL, &who, &mut seen).await;
    (who, seen)
}

/// Goes to another transport or node every few events.
async fn hops(number: usize, nodes: Vec<Announced>) -> (String, Seen) {
    let who = format!("hopper {number}");
    let mut seen = Seen::default();
    let mut cursor = "earliest".to_owned();
    while seen.len() < ALL {
        let draw =
            |count: usize| usize::try_from(SystemRng.below(count as u64)).expect("below a usize");
        let (transport, node) = (
            TRANSPORTS[draw(TRANSPORTS.len())],
            &nodes[draw(nodes.len())],
        );
        cursor = read(transport, node, cursor, 1 + draw(60), &who, &mut seen).await;
    }
    (who, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_offset_once_in_order_on_every_way() {
    let dev = Dev::start(1, &["--no-stocks"]).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut subscribers = tokio::task::JoinSet::new();
    for node in &dev.nodes {
        for transport in TRANSPORTS {
            subscribers.spawn(stays(transport, node.clone()));
        }
    }
    for number in 0..6 {
        subscribers.spawn(hops(number, dev.nodes.clone()));
    }
    let mut publishers = tokio::task::JoinSet::new();
    let ways = dev
        .nodes
        .iter()
        .flat_map(|node| [(Way::Grpc, node), (Way::Http, node)]);
    for (who, (way, node)) in ways.enumerate() {
        publishers.spawn(publish(way, node.clone(), who, Arc::clone(&ledger)));
    }
    within("all publishers", publishers.join_all()).await;
    let seen = within("all subscribers", subscribers.join_all()).await;
    let ledger = ledger.lock().expect("no publisher panicked").clone();
    assert_eq!(ledger.len(), ALL);
    for (who, seen) in seen {
        ledger.check(&who, &seen);
    }
    assert_eq!(dev.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_here_is_read_there() {
    let dev = Dev::start(1, &["--no-stocks"]).await;
    let (node, edge) = (&dev.nodes[0], &dev.nodes[1]);
    for n in 0..50 {
        let (at, other) = if n % 2 == 0 {
            (node, edge)
        } else {
            (edge, node)
        };
        let channel = format!("/ryw/{}", n % 3);
        let path = format!("/v1/publish{channel}");
        let request = http::request("POST", at.http, &path, &[], json!({"n": n}).to_string());
        let published = http::ask(at.http, request).await.expect("an answer").json();
        let offset = published["offset"].as_u64().expect("an offset");
        let cursor = published["cursor"].as_str().expect("a cursor");
        let path = format!("/v1/history{channel}?since=last:1&consistency=linearizable");
        let history = http::get(other.http, &path, &[])
            .await
            .expect("an answer")
            .json();
        assert_eq!(history["events"][0]["offset"], offset, "{history}");
        let path = format!("/v1/poll{channel}?since={cursor}&wait=0");
        let poll = http::get(other.http, &path, &[])
            .await
            .expect("an answer")
            .json();
        assert_eq!(poll["events"], json!([]), "{poll}");
    }
    assert_eq!(dev.stop().await.code(), Some(0));
}
