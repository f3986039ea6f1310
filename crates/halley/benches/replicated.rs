//! Durable publishing by a real cluster of three: `cargo bench -p halley --bench replicated`.
//!
//! Starts `halley dev` of three replicas anew for every table and publishes over gRPC: nothing is acknowledged before a
//! majority has it on its disk. Three nodes, their disk and all publishers share this one machine. Where they store is
//! `HALLEY_BENCH_DIR`, else the system's temporary directory, which must not be in memory; `HALLEY_BENCH_SECONDS` is
//! how long a row takes (4). A table alone: its name as an argument, `throughput`, `shards`, `ways`, `latency`, `failover`,
//! `recovery` or `idle`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures time, and prints its tables"
)]

mod support;

#[path = "replicated/faults.rs"]
mod faults;
#[path = "replicated/floor.rs"]
mod floor;
#[path = "replicated/load.rs"]
mod load;
#[path = "replicated/quiet.rs"]
mod quiet;
#[path = "replicated/ways.rs"]
mod ways;

use std::{path::PathBuf, time::Duration};

use load::Shape;
use support::Dev;

/// What one table is made by.
type Table = fn(&Bench);

const TABLES: &[(&str, Table)] = &[
    ("throughput", throughput),
    ("shards", shards),
    ("ways", ways::run),
    ("latency", latency),
    ("failover", faults::run),
    ("recovery", quiet::recovery),
    ("idle", quiet::idle),
];

/// What all tables share.
pub(crate) struct Bench {
    root: PathBuf,
    seconds: u64,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// A cluster of its own, ready; gone with its directory when dropped.
    pub(crate) fn cluster(&self, shards: u32) -> Dev {
        Dev::replicas(&self.root.join("cluster"), shards)
    }
}

fn main() {
    let root = std::env::var_os("HALLEY_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = std::env::var("HALLEY_BENCH_SECONDS").map_or(4, |text| {
        text.parse().expect("HALLEY_BENCH_SECONDS is a number")
    });
    let bench = Bench {
        root: root.join(format!("halley-bench-{}", std::process::id())),
        seconds,
        runtime: tokio::runtime::Runtime::new().expect("a runtime"),
    };
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for (name, table) in TABLES {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            floor::print(&bench.root);
            table(&bench);
        }
    }
    let _ = std::fs::remove_dir_all(&bench.root);
}

/// Publishers, and publishes that each has in flight.
const SHAPES: [(usize, usize); 5] = [(1, 1), (16, 1), (64, 1), (512, 1), (16, 64)];

fn throughput(bench: &Bench) {
    let dev = bench.cluster(2);
    println!("durable publishes/s, 3 replicas, 2 shards, 256 B");
    println!("  publishers x in flight   1 channel   1,000 channels");
    for (publishers, in_flight) in SHAPES {
        let rate = |channels| {
            let shape = Shape {
                publishers,
                in_flight,
                channels,
            };
            bench
                .runtime
                .block_on(load::rate(&dev, shape, Duration::from_secs(bench.seconds)))
        };
        println!(
            "  {publishers:>10} x {in_flight:<9} {:>11.0} {:>16.0}",
            rate(1),
            rate(1_000)
        );
    }
}

fn shards(bench: &Bench) {
    println!("durable publishes/s, 16 publishers x 64 in flight, 1,000 channels, by shards");
    for shards in [1, 2, 4] {
        let dev = bench.cluster(shards);
        let shape = Shape {
            publishers: 16,
            in_flight: 64,
            channels: 1_000,
        };
        let seconds = Duration::from_secs(bench.seconds);
        let rate = bench.runtime.block_on(load::rate(&dev, shape, seconds));
        println!("  {shards} shards {rate:>9.0}");
    }
}

fn latency(bench: &Bench) {
    let dev = bench.cluster(2);
    let shape = Shape {
        publishers: 16,
        in_flight: 64,
        channels: 1_000,
    };
    let seconds = Duration::from_secs(bench.seconds);
    let full = bench.runtime.block_on(load::rate(&dev, shape, seconds));
    println!("commit latency, 16 publishers, 1,000 channels, from sending to the acknowledgement");
    for (share, name) in [(2.0, "half"), (4.0, "a quarter"), (10.0, "a tenth")] {
        let mut times = bench
            .runtime
            .block_on(load::paced(&dev, shape, full / share, seconds));
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 1_000).min(times.len() - 1)];
        println!(
            "  at {name} of full load ({:.0}/s): p50 {:.1?}, p99 {:.1?}, worst {:.1?}",
            times.len() as f64 / seconds.as_secs_f64(),
            at(500),
            at(990),
            at(1_000),
        );
    }
}
