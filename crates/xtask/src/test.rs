//! All tests: `cargo xtask test`.

use crate::{
    clients,
    run::{cargo, root, run},
    sim,
};

/// Installs what the tests need, runs them all, and says what was skipped and why.
pub(crate) fn all() -> anyhow::Result<()> {
    build()?;
    unit()?;
    cluster()?;
    sim::run(&sim::Arguments::ci())?;
    let missing = browsers()?;
    report(&missing);
    Ok(())
}

/// Builds every program that the parts below run, with the very selections of packages that they use: another
/// selection unifies features otherwise, and would build again within a part's budget.
pub(crate) fn build() -> anyhow::Result<()> {
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "halley",
        "--no-run",
        "--quiet",
    ]))?;
    run(&mut cargo(&[
        "test",
        "--package",
        "halley",
        "--no-run",
        "--quiet",
    ]))?;
    sim::build()
}

/// Unit, model, golden and conformance tests: every room by itself.
pub(crate) fn unit() -> anyhow::Result<()> {
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "halley",
        "--quiet",
    ]))?;
    run(&mut cargo(&[
        "test",
        "--package",
        "halley",
        "--bins",
        "--quiet",
    ]))
}

/// Real processes, real sockets.
pub(crate) fn cluster() -> anyhow::Result<()> {
    let mut tests = cargo(&["test", "--package", "halley", "--no-fail-fast"]);
    for program in ["cli", "path", "edge", "slow", "hostile"] {
        tests.args(["--test", program]);
    }
    run(&mut tests)
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
        println!("SKIPPED {what}");
    }
}
