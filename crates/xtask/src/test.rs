//! All tests: `cargo xtask test`.
//!
//! Invariant: whatever could not be tested is among the last lines, with the reason.

#![allow(
    clippy::disallowed_methods,
    reason = "what a program of tests took is measured by the wall"
)]

use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    clients,
    run::{cargo, output, root, run, run_and_hear},
    sim,
};

/// Test programs of the rooms that have a part of their own.
const APART: &[&str] = &["power"];

/// Test programs over real processes.
const CLUSTER: &[&str] = &[
    "cli",
    "path",
    "edge",
    "slow",
    "hostile",
    "operators",
    "faults",
    "members",
];

/// The test among the cluster's faults that belongs to the power cuts.
const POWER_OF_ALL: &str = "power_cut_on_all";

/// Cuts of the power that CI's minutes hold.
const POWER_CUTS: &str = "50";

/// Installs what the tests need, runs them all, and says what was skipped and why.
pub(crate) fn all() -> anyhow::Result<()> {
    build()?;
    unit()?;
    let mut missing = power(&[])?;
    missing.extend(cluster(&[])?);
    sim::run(&sim::Arguments::ci())?;
    missing.extend(browsers()?);
    report(&missing);
    Ok(())
}

/// Builds every program that the parts below run, with the very selections of packages that they use: another
/// selection unifies features otherwise, and would build again within a part's budget.
pub(crate) fn build() -> anyhow::Result<()> {
    run(rooms().args(["--no-run"]))?;
    run(&mut cargo(&[
        "test",
        "--package",
        "halley",
        "--no-run",
        "--quiet",
    ]))?;
    sim::build()
}

/// Tests of every room but the program.
fn rooms() -> std::process::Command {
    cargo(&["test", "--workspace", "--exclude", "halley", "--quiet"])
}

/// Unit, model, golden and conformance tests: every room by itself.
pub(crate) fn unit() -> anyhow::Result<()> {
    let mut tests = rooms();
    tests.args(["--lib", "--bins"]);
    for program in programs()? {
        tests.args(["--test", &program]);
    }
    run(&mut tests)?;
    run(rooms().arg("--doc"))?;
    run(&mut cargo(&[
        "test",
        "--package",
        "halley",
        "--bins",
        "--quiet",
    ]))
}

/// Test programs of all rooms but the program and but those that stand apart.
fn programs() -> anyhow::Result<Vec<String>> {
    let text = output(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        if package["name"] == "halley" {
            continue;
        }
        for target in package["targets"].as_array().context("targets")? {
            let test = target["kind"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
            let name = target["name"].as_str().context("a target's name")?;
            if test && !APART.contains(&name) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The power of real file systems is cut: under the log, then under all replicas of a cluster at once. Gives what could
/// not be had.
pub(crate) fn power(variables: &[(&str, String)]) -> anyhow::Result<Vec<String>> {
    let variables = || variables.iter().map(|(name, value)| (*name, value));
    let cuts = std::env::var("HALLEY_POWER_CUTS").unwrap_or_else(|_| POWER_CUTS.to_owned());
    let mut log = rooms();
    log.args(["--test", "power"])
        .env("HALLEY_POWER_CUTS", cuts)
        .envs(variables());
    let start = Instant::now();
    let mut skipped = run_and_hear(&mut log)?;
    let of_log = start.elapsed();
    let mut all = cargo(&["test", "--package", "halley", "--quiet"]);
    all.args(["--test", "faults", POWER_OF_ALL, "--", "--nocapture"]);
    all.envs(variables());
    skipped.extend(run_and_hear(&mut all)?);
    println!(
        "power cuts: the log alone {:.1} s, a whole cluster {:.1} s",
        of_log.as_secs_f64(),
        (start.elapsed() - of_log).as_secs_f64()
    );
    Ok(skipped)
}

/// Real processes, real sockets; every program alone, because its nodes take both cores. Variables
/// say how many rounds there are. Gives what could not be had.
pub(crate) fn cluster(variables: &[(&str, String)]) -> anyhow::Result<Vec<String>> {
    let mut skipped = Vec::new();
    let mut took = Vec::new();
    let mut failed = Vec::new();
    for program in CLUSTER {
        let mut tests = cargo(&["test", "--package", "halley", "--no-fail-fast", "--quiet"]);
        tests.args(["--test", program, "--", "--nocapture"]);
        tests.args(["--skip", POWER_OF_ALL]);
        tests.envs(variables.iter().map(|(name, value)| (*name, value)));
        let start = Instant::now();
        match run_and_hear(&mut tests) {
            Ok(lines) => skipped.extend(lines),
            Err(error) => failed.push(format!("{error:#}")),
        }
        took.push((program, start.elapsed()));
    }
    for (program, time) in took {
        println!("cluster tests: {program:<10} {:>6.1} s", time.as_secs_f64());
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n  "));
    }
    Ok(skipped)
}

/// Real browsers and clients that this project did not write. Gives what could not be had.
pub(crate) fn browsers() -> anyhow::Result<Vec<String>> {
    let missing = clients::install();
    let folder = root().join(clients::FOLDER);
    let mut tests = cargo(&[
        "test",
        "--package",
        "halley",
        "--test",
        "clients",
        "--",
        "--nocapture",
    ]);
    run(tests.env("HALLEY_TEST_CLIENTS", folder))?;
    Ok(missing)
}

/// The last lines: what was not tested.
pub(crate) fn report(missing: &[String]) {
    if missing.is_empty() {
        println!("nothing was skipped");
    }
    for what in missing {
        // A program's own line says it in its own words.
        if what.contains("SKIPPED") {
            println!("{what}");
        } else {
            println!("SKIPPED {what}");
        }
    }
}
