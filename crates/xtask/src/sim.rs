//! Seeded simulation: `cargo xtask sim`.

use crate::run::cargo;

/// What to simulate.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds, counted up from `--from`.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// One seed only.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// One line an event (with `--seed`).
    #[arg(long, requires = "seed")]
    trace: bool,
}

impl Arguments {
    /// CI's share.
    pub(crate) fn ci() -> Self {
        Self {
            seeds: 300,
            from: 1,
            seed: None,
            trace: false,
        }
    }

    /// The share of `cargo xtask long`.
    pub(crate) fn long() -> Self {
        Self {
            seeds: 2_000,
            from: 1_000,
            seed: None,
            trace: false,
        }
    }
}

/// Builds the simulator.
pub(crate) fn build() -> anyhow::Result<()> {
    crate::run::run(&mut cargo(&["build", "--quiet", "--package", "halley-sim"]))
}

/// Runs the simulator, built if need be.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut simulator = cargo(&["run", "--quiet", "--package", "halley-sim", "--"]);
    if let Some(seed) = arguments.seed {
        simulator.arg("--seed").arg(seed.to_string());
        if arguments.trace {
            simulator.arg("--trace");
        }
    } else {
        let end = arguments.from + arguments.seeds;
        simulator
            .arg("--seeds")
            .arg(format!("{}..{end}", arguments.from));
    }
    crate::run::run(&mut simulator)
}
