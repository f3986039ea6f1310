//! The project's own chores: `cargo xtask check | fix | test | ci | sim | bench | long`.
//!
//! Invariant: `check` only reads; `fix` is its writing twin; `ci` is `check` and `test` with budgets, and
//! nothing that a developer cannot run alone.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod bench;
mod check;
mod ci;
mod clients;
mod long;
mod run;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Format, lints, docs, arrows between rooms, sizes, and what the docs promise. Changes nothing.
    Check,
    /// Formats, and applies what clippy can mend by itself.
    Fix,
    /// Installs what the tests need (or names it), runs them all, says what it skipped and why.
    Test,
    /// What `.ci/run` calls: check, test and a bounded share of simulation, each within its budget.
    Ci,
    /// Seeded simulation of a whole broker, one process a seed.
    Sim(sim::Arguments),
    /// Prints the figures of docs/benchmarks.md.
    Bench(bench::Arguments),
    /// What takes longer than CI allows: full counts of faults, power cuts and membership, 2,000 seeds.
    Long,
}

fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> anyhow::Result<()> {
    std::env::set_current_dir(run::root())?;
    match Arguments::parse().chore {
        Chore::Check => check::all(),
        Chore::Fix => check::fix(),
        Chore::Test => test::all(),
        Chore::Ci => ci::all(),
        Chore::Sim(arguments) => sim::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Long => long::all(),
    }
}
