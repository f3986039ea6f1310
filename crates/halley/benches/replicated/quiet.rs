//! What a node costs that is left alone, and what its start costs after much was written.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use halley_client::{Client, ClientConfig, Publish};
use halley_env::Env;

use crate::{Bench, support::Dev};

const IDLE: Duration = Duration::from_secs(10);
/// Mebibytes published before a start.
const WRITTEN: [usize; 4] = [0, 16, 64, 256];
/// Bytes of an event of those.
const EVENT: usize = 4 * 1024;

/// User and system time of a process, in clock ticks of 10 ms.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the node runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields[number].parse::<u64>().expect("a number");
    field(11) + field(12)
}

/// CPU of three nodes with nobody there.
pub(crate) fn idle(bench: &Bench) {
    let dev = bench.cluster(2);
    std::thread::sleep(Duration::from_secs(5));
    println!(
        "CPU of an idle replica, 2 shards, over {} s",
        IDLE.as_secs()
    );
    let before: Vec<u64> = dev
        .names()
        .iter()
        .map(|name| ticks(dev.pid(name)))
        .collect();
    std::thread::sleep(IDLE);
    for (name, before) in dev.names().iter().zip(before) {
        let spent = (ticks(dev.pid(name)) - before) as f64 / 100.0;
        println!(
            "  {name}: {:.1} % of one core",
            spent / IDLE.as_secs_f64() * 100.0
        );
    }
}

/// Time from the start of a cluster of one until it is ready, by what was written before.
pub(crate) fn recovery(bench: &Bench) {
    println!("start of one replica until it is ready, after {EVENT} B events over 1,000 channels");
    for written in WRITTEN {
        let data = bench.root.join(format!("recovery-{written}"));
        let dev = Dev::one(&data);
        bench.runtime.block_on(fill(&dev, written));
        drop(dev);
        let bytes = size(&data);
        let begin = Instant::now();
        let dev = Dev::one(&data);
        let took = begin.elapsed();
        println!(
            "  {written:>4} MiB published, {:>4} MiB on the disk: {took:.2?}",
            bytes >> 20
        );
        drop(dev);
        let _ = std::fs::remove_dir_all(&data);
    }
}

async fn fill(dev: &Dev, mebibytes: usize) {
    let config = ClientConfig::default();
    let node = dev.addresses("grpc");
    let client = Client::with_config(node, config, Env::system()).expect("an address");
    let stream = client.publish_stream();
    let data = format!("\"{}\"", "x".repeat(EVENT - 2));
    let mut last = None;
    for count in 0..mebibytes * 1024 * 1024 / EVENT {
        let event = Publish::json(format!("/bench/{}", count % 1_000), data.clone());
        last = Some(stream.send(event).await.expect("the stream is there"));
    }
    if let Some(last) = last {
        last.await.expect("acknowledged");
    }
    stream.finish().await;
}

/// Bytes of all files beneath, but of the ballast.
fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("it is there");
    entries
        .map(|entry| entry.expect("it can be read"))
        .filter(|entry| entry.file_name() != "ballast")
        .map(|entry| {
            let about = entry.metadata().expect("it is there");
            if about.is_dir() {
                size(&entry.path())
            } else {
                about.len()
            }
        })
        .sum()
}
