//! A reader that stops reading: it costs its own lag, nobody else anything, and is told the truth when it
//! goes on.

mod support;

use std::{net::SocketAddr, time::Duration};

use halley_env::{Clock as _, SystemClock};
use serde_json::{Value, json};
use support::{
    http,
    process::{Node, resident_bytes},
    sse, within,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::watch,
};

const CHANNEL: &str = "/slow/a";
/// About 60 KB each: 100 MB together.
const EVENTS: u64 = 1_640;
const PAYLOAD_BYTES: usize = 61_000;
/// Events that may be on their way to the fast readers: half of what is retained.
const IN_FLIGHT: u64 = 32;
const RETENTION: [&str; 4] = [
    "--retention-events-max",
    "64",
    "--retention-bytes-max",
    "16777216",
];
/// When memory has found its level: everything retained has been replaced several times.
const BASELINE_AT: u64 = 400;
const GROWTH_MAX: u64 = 64 * 1024 * 1024;
const FAST_READERS: usize = 3;

/// How long the reader stops at least.
fn pause() -> Duration {
    let given = std::env::var("HALLEY_TEST_SLOW_SECONDS").ok();
    let seconds = given.map(|text| text.parse().expect("seconds in HALLEY_TEST_SLOW_SECONDS"));
    Duration::from_secs(seconds.unwrap_or(30))
}

/// Reads everything at once; every offset once, in order, no gap.
async fn read_fast(at: SocketAddr, reached: watch::Sender<u64>) {
    let path = format!("/v1/sse{CHANNEL}?since=earliest");
    let mut stream = sse::Stream::open(at, &path, None).await.expect("opens");
    let mut last = 0;
    while last < EVENTS {
        let event = stream.next().await.expect("the stream goes on");
        assert_ne!(
            event.kind, "gap",
            "a fast reader was told of a gap: {}",
            event.data
        );
        if event.kind != "cursor" {
            let offset = event.json()["offset"].as_u64().expect("an offset");
            assert_eq!(offset, last + 1);
            last = offset;
            reached.send_replace(offset);
        }
    }
}

/// Opens a stream with a small window and reads nothing of it.
async fn open_slow(at: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(16 * 1024)
        .expect("a small buffer");
    let mut stream = socket.connect(at).await.expect("connects");
    let request = format!("GET /v1/sse{CHANNEL}?since=earliest HTTP/1.0\r\nHost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    stream
}

/// Publishes everything, never further ahead than the slowest of the fast readers; gives the growth of memory.
async fn publish(node: &Node, fast: &mut [watch::Receiver<u64>]) -> u64 {
    let data = json!({"filler": "x".repeat(PAYLOAD_BYTES)});
    let (mut baseline, mut most) = (0, 0);
    for n in 1..=EVENTS {
        let key = format!("slow-{n}");
        let offset = http::publish(node.at.http, CHANNEL, &key, &data)
            .await
            .expect("is stored");
        assert_eq!(offset, n);
        for reader in &mut *fast {
            let near = reader.wait_for(|reached| reached + IN_FLIGHT >= n);
            within("a fast reader, beside a slow one", near)
                .await
                .expect("it reads on");
        }
        if n == BASELINE_AT {
            baseline = resident_bytes(node.process.pid());
        } else if n > BASELINE_AT && n % 50 == 0 {
            most = most.max(resident_bytes(node.process.pid()));
        }
    }
    most.saturating_sub(baseline)
}

/// Reads on after the pause: what had been sent already, then a gap, then the rest without another.
async fn read_slow(mut stream: TcpStream) {
    let mut parser = sse::Parser::default();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    assert!(
        head.starts_with(b"HTTP/1.0 200 "),
        "{}",
        String::from_utf8_lossy(&head)
    );
    let (mut next, mut gaps) = (1, 0);
    let mut buffer = vec![0; 64 * 1024];
    while next <= EVENTS {
        let count = stream.read(&mut buffer).await.expect("reads");
        assert_ne!(
            count, 0,
            "the slow reader was cut off at offset {next} after {gaps} gaps"
        );
        for event in parser.push(&buffer[..count]) {
            let value: Value = match event.kind.as_str() {
                "cursor" => continue,
                _ => event.json(),
            };
            if event.kind == "gap" {
                assert_eq!(value["gap"]["channel"], CHANNEL);
                assert_eq!(value["gap"]["reason"], "trimmed");
                let after = value["gap"]["next"].as_u64().expect("an offset");
                assert!(after > next, "a gap from {next} to {after}");
                (next, gaps) = (after, gaps + 1);
            } else {
                assert_eq!(value["offset"], next, "after {gaps} gaps");
                next += 1;
            }
        }
    }
    assert_eq!(gaps, 1, "gaps of the slow reader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_costs_only_its_own_lag() {
    let node = Node::replica(&RETENTION).await;
    let slow = open_slow(node.at.http).await;
    let clock = SystemClock::new();
    let mut readers = tokio::task::JoinSet::new();
    let mut fast = Vec::new();
    for _ in 0..FAST_READERS {
        let (reached, reader) = watch::channel(0);
        fast.push(reader);
        readers.spawn(read_fast(node.at.http, reached));
    }
    let growth = publish(&node, &mut fast).await;
    within("the fast readers", readers.join_all()).await;
    // The point of the test is a reader that is away for long, not only for many bytes.
    tokio::time::sleep(pause().saturating_sub(clock.monotonic())).await;
    println!(
        "{} KiB of growth while {EVENTS} events passed",
        growth / 1024
    );
    assert!(growth < GROWTH_MAX, "the node grew by {growth} bytes");
    within("the slow reader's way back", read_slow(slow)).await;
}
