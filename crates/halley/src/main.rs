//! The `halley` program: a node, a cluster on one machine, and the commands that talk to one.
//!
//! Invariant: everything that the program is told (command line, environment, file) is read here, once; the
//! rooms get their own small configurations.

mod cli;
mod compose;
mod dev;
mod exit;
mod exits;
mod output;
mod probe;
mod serve;
mod settings;
mod signals;
mod telemetry;
mod tls;
mod verbs;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command, Output};
use exit::Failure;

/// A publish makes some dozens of small allocations, freed by other threads than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::Internal(format!("no runtime: {error}")).report(cli.output);
        }
    };
    let outcome = runtime.block_on(run(cli.command, cli.output));
    // Whatever still blocks (standard input, for one) ends with the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.output),
    }
}

async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Dev(dev) => dev::run(&dev, output).await,
        Command::Serve(serve) => serve::run(&serve).await,
        Command::Publish(publish) => verbs::publish::run(publish, output).await,
        Command::Subscribe(subscribe) => verbs::subscribe::run(subscribe, output).await,
        Command::History(history) => verbs::history::run(history, output).await,
        Command::Channels(channels) => verbs::channels::run(channels, output).await,
        Command::Cluster(cluster) => verbs::cluster::run(cluster, output).await,
        Command::Check(check) => verbs::check::run(check, output).await,
        Command::Sleep(sleep) => {
            tokio::time::sleep(std::time::Duration::from_secs_f64(sleep.seconds)).await;
            Ok(())
        }
    }
}
