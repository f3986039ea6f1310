//! What `.ci/run` calls, part by part, each within its budget.

#![allow(
    clippy::disallowed_methods,
    reason = "a part's time is measured by the wall"
)]

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{check, sim, test};

/// Minutes that a part may take on two cores.
struct Part {
    name: &'static str,
    minutes: u64,
    run: fn() -> anyhow::Result<()>,
}

const PARTS: &[Part] = &[
    Part {
        name: "build and lint",
        minutes: 18,
        run: build_and_lint,
    },
    Part {
        name: "unit and model",
        minutes: 4,
        run: test::unit,
    },
    Part {
        name: "power cuts",
        minutes: 4,
        run: power,
    },
    Part {
        name: "cluster tests",
        minutes: 8,
        run: cluster,
    },
    Part {
        name: "simulation",
        minutes: 6,
        run: simulation,
    },
    Part {
        name: "browsers",
        minutes: 6,
        run: browsers,
    },
];

/// Runs every part, prints each one's share, fails if one failed or took too long.
pub(crate) fn all() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for part in PARTS {
        println!("== {} (at most {} min)", part.name, part.minutes);
        let start = Instant::now();
        let result = (part.run)();
        let took = start.elapsed();
        if let Err(error) = &result {
            eprintln!("{}: {error:#}", part.name);
        }
        rows.push((part, took, result.is_ok()));
        // What does not build cannot be tested.
        if result.is_err() && rows.len() == 1 {
            break;
        }
    }
    println!("== shares");
    let mut failed = Vec::new();
    for (part, took, ok) in rows {
        let late = took > Duration::from_secs(part.minutes * 60);
        let verdict = if ok && !late {
            "ok"
        } else if ok {
            "OVER ITS BUDGET"
        } else {
            "FAILED"
        };
        println!(
            "{:<16} {:>6.1} of {:>2} min  {verdict}",
            part.name,
            minutes(took),
            part.minutes
        );
        if !ok || late {
            failed.push(part.name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn minutes(duration: Duration) -> f64 {
    duration.as_secs_f64() / 60.0
}

fn build_and_lint() -> anyhow::Result<()> {
    test::build()?;
    check::all()
}

/// Power cuts of real file systems.
fn power() -> anyhow::Result<()> {
    test::report(&test::power(&[])?);
    Ok(())
}

fn cluster() -> anyhow::Result<()> {
    test::report(&test::cluster(&[])?);
    Ok(())
}

fn simulation() -> anyhow::Result<()> {
    sim::run(&sim::Arguments::ci())
}

/// In CI nothing may be skipped.
fn browsers() -> anyhow::Result<()> {
    let missing = test::browsers()?;
    test::report(&missing);
    if !missing.is_empty() {
        bail!("{} kinds of client could not be had", missing.len());
    }
    Ok(())
}
