//! Seeded simulation of a whole cluster in one process: replicas on disks and a network in memory, each with its hub,
//! an edge behind bad links, publishers that retry and subscribers that hop.
//!
//! Invariant: one process a seed, and everything that happens is drawn from it: the same seed gives the same
//! trace. `docs/simulation.md` has the legend of a trace line.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod agreement;
mod broker;
mod link;
mod net;
mod node;
mod oracle;
mod plan;
mod publishers;
mod seeded;
mod storm;
mod subscribers;
mod sweep;
mod trace;

use std::process::ExitCode;

use clap::Parser;

/// Runs one seed, or many in processes of their own.
#[derive(Debug, Parser)]
#[command(name = "halley-sim")]
struct Arguments {
    /// The one seed to run in this process.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Seeds to run, each in a process of its own: `FROM..TO`, TO excluded.
    #[arg(long, value_parser = sweep::range)]
    seeds: Option<std::ops::Range<u64>>,
    /// Print every event of the one seed.
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => one(seed, arguments.trace),
        (None, Some(seeds)) => sweep::run(seeds),
        (None, None) => Err("either --seed or --seeds".to_owned()),
    };
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one seed under paused time and gives its line: figures, and the hash of its trace.
fn one(seed: u64, shown: bool) -> Result<String, String> {
    let plan = plan::Plan::of(seed);
    let trace = trace::Trace::new(shown);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let result = runtime.block_on(broker::run(&plan, &trace));
    let line = format!("seed {seed} trace {:016x} {plan}", trace.hash());
    match result {
        Ok(figures) => Ok(format!("{line} {figures}")),
        Err(why) => Err(format!("{line}\nseed {seed} FAILED: {why}")),
    }
}
