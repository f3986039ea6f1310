//! Publishing by single requests to one node: HTTP over kept connections, and unary gRPC.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use halley_client::{Client, ClientConfig, Publish};
use halley_env::Env;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{Bench, support::Dev};

/// Bytes of an event.
const BYTES: usize = 256;
const CHANNELS: usize = 1_000;
const PUBLISHERS: usize = 16;
/// What a row is given to come up to speed.
const WARM: Duration = Duration::from_millis(750);

/// The table.
pub(crate) fn run(bench: &Bench) {
    let dev = bench.cluster(2);
    let time = Duration::from_secs(bench.seconds);
    println!("durable publishes/s by single requests to one node, 3 replicas, 2 shards, {BYTES} B");
    let http = bench
        .runtime
        .block_on(rate(time, |count| http(&dev, count)));
    println!("  HTTP, {PUBLISHERS} kept connections      {http:>9.0}");
    for in_flight in [1, 16] {
        let unary = |count: &Count| unary(&dev, in_flight, count);
        let unary = bench.runtime.block_on(rate(time, unary));
        println!("  gRPC unary, {PUBLISHERS} x {in_flight:<2} in flight   {unary:>9.0}");
    }
}

/// What publishers count, and whether they go on.
#[derive(Clone, Default)]
struct Count {
    acknowledged: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Count {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn one(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Acknowledged publishes a second of the publishers that `start` starts.
async fn rate(time: Duration, start: impl FnOnce(&Count) -> JoinSet<()>) -> f64 {
    let count = Count::default();
    let mut publishers = start(&count);
    tokio::time::sleep(WARM).await;
    let (begin, before) = (Instant::now(), count.acknowledged.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let published = count.acknowledged.load(Ordering::Relaxed) - before;
    let rate = published as f64 / begin.elapsed().as_secs_f64();
    count.over.store(true, Ordering::Relaxed);
    while let Some(ended) = publishers.join_next().await {
        ended.expect("a publisher does not panic");
    }
    rate
}

fn data() -> String {
    format!("\"{}\"", "x".repeat(BYTES - 2))
}

fn http(dev: &Dev, count: &Count) -> JoinSet<()> {
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (address, count) = (dev.addresses("http")[0].clone(), count.clone());
        publishers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the node is there");
            stream.set_nodelay(true).expect("a socket");
            let data = data();
            let mut channel = publisher * 61;
            while count.goes_on() {
                channel = (channel + 1) % CHANNELS;
                let request = format!(
                    "POST /v1/publish/bench/{channel} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                     content-length: {BYTES}\r\n\r\n{data}"
                );
                let sent = stream.write_all(request.as_bytes()).await;
                sent.expect("the connection is kept");
                answer(&mut stream).await;
                count.one();
            }
        });
    }
    publishers
}

/// Reads one answer, which must be 200.
async fn answer(stream: &mut TcpStream) {
    let mut read = Vec::with_capacity(1024);
    loop {
        let count = stream.read_buf(&mut read).await.expect("an answer");
        assert_ne!(count, 0, "the connection is kept");
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().expect("a number"))
        });
        if body.len() >= length.expect("a length") {
            return;
        }
    }
}

fn unary(dev: &Dev, in_flight: usize, count: &Count) -> JoinSet<()> {
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let node = dev.addresses("grpc")[0].clone();
        let client = Client::with_config([node], ClientConfig::default(), Env::system());
        let client = Arc::new(client.expect("an address"));
        for flight in 0..in_flight {
            let (client, count) = (Arc::clone(&client), count.clone());
            publishers.spawn(async move {
                let mut channel = publisher * 61 + flight * 7;
                while count.goes_on() {
                    channel = (channel + 1) % CHANNELS;
                    let event = Publish::json(format!("/bench/{channel}"), data());
                    client.publish(event).await.expect("acknowledged");
                    count.one();
                }
            });
        }
    }
    publishers
}
