//! What an idle subscription costs: resident bytes, on one channel and on a channel each.
//!
//! `cargo bench -p halley-hub --bench idle [subscriptions]`. Linux only (reads `/proc/self/status`). The
//! socket, its buffers and its task are the carrier's and not counted.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark's figures go to standard output"
)]

use std::{sync::Arc, time::Duration};

use halley_env::Env;
use halley_hub::{Hub, HubConfig, SubscribeRequest, Subscription};
use halley_log::{MemoryConfig, MemoryLog};
use halley_shard::{ChannelName, ClusterId, Interest, Settings, ShardCount, Since};

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("Linux says so");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<usize>().ok());
    kib.expect("a number of KiB") * 1024
}

async fn measure(count: usize, what: &str, name: impl Fn(usize) -> String) {
    let config = MemoryConfig {
        cluster: ClusterId::new(1),
        shards: ShardCount::new(2).expect("two are allowed"),
        settings: Settings::default(),
    };
    let env = Env::system();
    let log = MemoryLog::start(config, env.clone());
    let hub = Hub::start(Arc::clone(&log) as _, env, HubConfig::default());
    let mut open: Vec<Subscription> = Vec::with_capacity(count);
    let before = resident_bytes();
    let start = tokio::time::Instant::now();
    for index in 0..count {
        let channel = ChannelName::parse(&name(index)).expect("a channel name");
        let request = SubscribeRequest {
            interests: vec![Interest::Channel(channel)],
            since: Since::Earliest,
            tell_foreign: false,
            unreadable: false,
        };
        open.push(hub.subscribe(request).await.expect("the log is there"));
    }
    // The followers fetch the windows meanwhile.
    let last = open.last_mut().expect("at least one");
    while last.verdict().await.is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let bytes = resident_bytes().saturating_sub(before) / count;
    let elapsed = start.elapsed();
    println!("{count} idle subscriptions on {what}: {bytes} bytes each, opened in {elapsed:.2?}");
    drop(open);
    hub.close().await;
    log.close().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo passes `--bench` along.
    let count = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    println!("a subscription itself: {} bytes", size_of::<Subscription>());
    measure(count, "one channel", |_| "/bench/one".to_owned()).await;
    measure(count, "a channel each", |index| {
        format!("/bench/{index:06}")
    })
    .await;
}
