//! Which room may use which, and which outside library belongs to which room.
//!
//! Source: docs/architecture.md, Rooms. Nothing that is not listed here is allowed, tests included.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::run::{cargo, output};

/// room → rooms it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("halley-env", &[]),
    ("halley-shard", &[]),
    ("halley-wire", &["halley-shard"]),
    ("halley-log", &["halley-env", "halley-shard"]),
    ("halley-hub", &["halley-env", "halley-log", "halley-shard"]),
    ("halley-client", &["halley-env", "halley-wire"]),
    (
        "halley-rpc",
        &[
            "halley-env",
            "halley-hub",
            "halley-wire",
            "halley-log",
            "halley-shard",
        ],
    ),
    (
        "halley-http",
        &[
            "halley-env",
            "halley-hub",
            "halley-wire",
            "halley-log",
            "halley-shard",
        ],
    ),
    ("halley-ops", &["halley-env", "halley-log"]),
    (
        "halley",
        &[
            "halley-client",
            "halley-env",
            "halley-http",
            "halley-hub",
            "halley-log",
            "halley-ops",
            "halley-rpc",
            "halley-shard",
            "halley-wire",
        ],
    ),
    (
        "halley-sim",
        &[
            "halley-env",
            "halley-hub",
            "halley-log",
            "halley-shard",
            "halley-wire",
        ],
    ),
    ("xtask", &[]),
];

/// outside library → the only rooms that may know it.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("axum", &["halley-http", "halley-ops"]),
    ("hyper", &["halley-http", "halley-ops"]),
    ("hyper-util", &["halley-http", "halley-ops"]),
    ("tonic", &["halley-rpc", "halley-client"]),
    ("openraft", &["halley-replica"]),
    ("sled", &["halley-store"]),
    ("metrics-exporter-prometheus", &["halley-ops"]),
    ("clap", &["halley", "halley-sim", "xtask"]),
    ("getrandom", &["halley-env"]),
];

/// room → all that it may use from outside, where that is a short list on purpose.
const PURE: &[(&str, &[&str])] = &[
    (
        "halley-shard",
        &["bytes", "thiserror", "unicode-normalization", "xxhash-rust"],
    ),
    (
        "halley-wire",
        &[
            "base64",
            "bytes",
            "percent-encoding",
            "serde",
            "serde_json",
            "thiserror",
        ],
    ),
];

/// Holds `cargo metadata` against the tables above.
pub(super) fn check() -> anyhow::Result<()> {
    let text = output(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]))
    .or_else(|_| {
        output(&mut cargo(&[
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
        ]))
    })?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let room = package["name"].as_str().context("a package's name")?;
        let Some(allowed) = rooms.get(room) else {
            wrong.push(format!("{room} is not a room of the architecture"));
            continue;
        };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let name = dependency["name"].as_str().context("a dependency's name")?;
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            wrong.extend(judge(room, allowed, name, kind, rooms.contains_key(name)));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n  "));
    }
    println!("arrows: {} rooms", packages.len());
    Ok(())
}

fn judge(room: &str, allowed: &[&str], name: &str, kind: &str, inside: bool) -> Option<String> {
    if inside {
        return (!allowed.contains(&name)).then(|| format!("{room} may not use {name} ({kind})"));
    }
    // Tests of a room may use what a user of the product would.
    if kind == "dev" {
        return None;
    }
    if let Some((_, only)) = PURE.iter().find(|(pure, _)| *pure == room)
        && !only.contains(&name)
    {
        return Some(format!(
            "{room} may use from outside only {}: not {name}",
            only.join(", ")
        ));
    }
    let (_, rooms) = OUTSIDE.iter().find(|(library, _)| *library == name)?;
    (!rooms.contains(&room))
        .then(|| format!("{name} belongs to {} only, not to {room}", rooms.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_wrong_arrow_is_named() {
        assert!(judge("halley-shard", &[], "halley-log", "normal", true).is_some());
        assert!(judge("halley-shard", &[], "tokio", "normal", false).is_some());
        assert!(judge("halley-hub", &[], "axum", "normal", false).is_some());
        assert!(judge("halley-shard", &[], "proptest", "dev", false).is_none());
        assert!(judge("halley-http", &[], "axum", "normal", false).is_none());
    }
}
