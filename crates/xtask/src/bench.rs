//! The figures of docs/benchmarks.md: `cargo xtask bench`.

use crate::run::{self, cargo};

/// Which figures.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only the benchmark of this name.
    name: Option<String>,
}

/// (package, program): each prints its own table.
const BENCHES: &[(&str, &str)] = &[
    ("halley-shard", "apply_and_read"),
    ("halley-wire", "encode"),
    ("halley-hub", "idle"),
    ("halley-store", "append"),
    ("halley", "connections"),
    ("halley", "latency"),
    ("halley", "replicated"),
];

/// Runs them one after another, in release.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |name: &str| arguments.name.as_ref().is_none_or(|only| only == name);
    for (package, bench) in BENCHES.iter().filter(|(_, bench)| wanted(bench)) {
        run::run(&mut cargo(&[
            "bench",
            "--quiet",
            "--package",
            package,
            "--bench",
            bench,
        ]))?;
    }
    Ok(())
}
