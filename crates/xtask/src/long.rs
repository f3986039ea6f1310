//! What takes longer than CI allows: `cargo xtask long`.
//!
//! Invariant: every part is one that CI runs too, with a larger number; each number is named and printed, and can be
//! given by the environment.

use anyhow::bail;

use crate::{
    run::{cargo, run},
    sim, test,
};

/// A number that a program of tests reads from the environment: its name, its value here, what is counted.
type Count = (&'static str, &'static str, &'static str);

/// Random histories of the log with crashes.
const WAL: &[Count] = &[(
    "HALLEY_WAL_RUNS",
    "400",
    "random histories of the write-ahead log, each crashed at every kind of moment",
)];

/// Cuts of a real file system's power.
const POWER: &[Count] = &[
    (
        "HALLEY_POWER_CUTS",
        "200",
        "power cuts of an ext4 file system under the log's load",
    ),
    (
        "HALLEY_FAULT_ROUNDS",
        "30",
        "power cuts of all three file systems of a cluster at once",
    ),
];

/// Faults and membership of real clusters.
const CLUSTER: &[Count] = &[
    (
        "HALLEY_FAULT_ROUNDS",
        "30",
        "rounds of each fault of a running cluster: leader killed, all killed, paused, asked to end",
    ),
    (
        "HALLEY_MEMBER_ROUNDS",
        "5",
        "times the usual rounds of membership: disk wiped, old disk put back, formation killed, network cut, slow node",
    ),
];

/// Runs all of it, goes on after a failure, and names at the end what failed and what was skipped.
pub(crate) fn all() -> anyhow::Result<()> {
    test::build()?;
    let mut failed = Vec::new();
    let mut skipped = Vec::new();
    let mut note = |name: &'static str, result: anyhow::Result<Vec<String>>| match result {
        Ok(lines) => skipped.extend(lines),
        Err(error) => {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    };
    note("log histories", histories());
    note("power cuts", power());
    note("cluster tests", test::cluster(&announce(CLUSTER)));
    println!("== 2,000 seeds of the simulation");
    note(
        "simulation",
        sim::run(&sim::Arguments::long()).map(|()| Vec::new()),
    );
    test::report(&skipped);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn histories() -> anyhow::Result<Vec<String>> {
    let mut tests = cargo(&["test", "--package", "halley-store", "--lib"]);
    tests.envs(announce(WAL));
    run(&mut tests).map(|()| Vec::new())
}

fn power() -> anyhow::Result<Vec<String>> {
    test::power(&announce(POWER))
}

/// Says what each number counts; those of the environment win.
fn announce(counts: &[Count]) -> Vec<(&'static str, String)> {
    counts
        .iter()
        .map(|(name, here, what)| {
            let value = std::env::var(name).unwrap_or_else(|_| (*here).to_owned());
            println!("== {name}={value}: {what}");
            (*name, value)
        })
        .collect()
}
