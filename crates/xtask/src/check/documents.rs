//! What the documents say that a program can hold against the code.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, bail};

use crate::run::files;

/// Entries that the top of the checkout may have.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "chaos-tests",
    "clippy.toml",
    "crates",
    "deploy",
    "docs",
    "proto",
    "rustfmt.toml",
];

/// All of it.
pub(super) fn check() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    wrong.extend(top_level()?);
    wrong.extend(dependencies()?);
    wrong.extend(guarantees()?);
    wrong.extend(headings()?);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n  "));
    }
    println!("documents: top level, dependencies, guarantees, headings, links");
    Ok(())
}

fn top_level() -> anyhow::Result<Vec<String>> {
    let top: BTreeSet<String> = files("")?
        .iter()
        .filter_map(|path| path.components().next())
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let strange = top.iter().filter(|name| !TOP.contains(&name.as_str()));
    Ok(strange
        .map(|name| format!("`{name}` does not belong at the top of the checkout"))
        .collect())
}

/// Every outside library is justified in docs/dependencies.md.
fn dependencies() -> anyhow::Result<Vec<String>> {
    let manifest = fs::read_to_string("Cargo.toml")?;
    let justified = fs::read_to_string("docs/dependencies.md").context("docs/dependencies.md")?;
    let (_, section) = manifest
        .split_once("[workspace.dependencies]")
        .context("dependencies")?;
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name);
    Ok(names
        .filter(|name| !name.starts_with("halley-") && !justified.contains(&format!("`{name}`")))
        .map(|name| format!("docs/dependencies.md does not justify `{name}`"))
        .collect())
}

/// Every numbered guarantee names tests, and they exist.
fn guarantees() -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string("docs/guarantees.md").context("docs/guarantees.md")?;
    let mut code = String::new();
    for path in files(".rs")? {
        code.push_str(&fs::read_to_string(path)?);
    }
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| G")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, _, tests, _] = cells[..] else {
            wrong.push(format!(
                "guarantees.md: not `| number | sentence | tests |`: {line}"
            ));
            continue;
        };
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("guarantees.md: {number} names no test"));
        }
        for test in named {
            let function = test.rsplit("::").next().unwrap_or(test);
            if !code.contains(&format!("fn {function}(")) {
                wrong.push(format!(
                    "guarantees.md: {number} names `{test}`, which does not exist"
                ));
            }
        }
    }
    Ok(wrong)
}

/// One H1 a document; relative links lead somewhere.
fn headings() -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for path in files(".md")? {
        let text = fs::read_to_string(&path)?;
        let shown = path.display();
        let mut fenced = false;
        let mut titles = 0;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            titles += usize::from(!fenced && line.starts_with("# "));
        }
        if titles != 1 {
            wrong.push(format!("{shown} has {titles} titles, it should have one"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            let outside = target.is_empty() || target.contains("://") || target.contains(' ');
            if !outside && !folder.join(target).exists() {
                wrong.push(format!("{shown} links to {target}, which does not exist"));
            }
        }
    }
    Ok(wrong)
}
