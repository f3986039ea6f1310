//! What a program can say about a change before anybody reads it.

mod arrows;
mod documents;
mod sizes;

use anyhow::bail;

use crate::run::{cargo, run};

/// One check; it prints what it looked at.
type Check = fn() -> anyhow::Result<()>;

/// All checks; every one is run, so that one call shows everything.
pub(crate) fn all() -> anyhow::Result<()> {
    let checks: [(&str, Check); 6] = [
        ("format", format),
        ("arrows", arrows::check),
        ("sizes", sizes::check),
        ("documents", documents::check),
        ("lints", lints),
        ("rustdoc", rustdoc),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    println!("check: all {} hold", checks.len());
    Ok(())
}

/// Mends what programs can mend.
pub(crate) fn fix() -> anyhow::Result<()> {
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
    ]))?;
    run(&mut cargo(&["fmt", "--all"]))
}

fn format() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn lints() -> anyhow::Result<()> {
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn rustdoc() -> anyhow::Result<()> {
    let mut doc = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--quiet",
    ]);
    run(doc.env(
        "RUSTDOCFLAGS",
        "-D warnings -A rustdoc::private-intra-doc-links",
    ))
}
