//! Which room may use which, and which outside library belongs to which room.
//!
//! Source: docs/architecture.md, Rooms. Nothing that is not listed here is allowed, tests included.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::run::{cargo, files, output};

/// room → rooms it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("halley-env", &[]),
    ("halley-shard", &[]),
    ("halley-wire", &["halley-shard"]),
    ("halley-log", &["halley-env", "halley-shard"]),
    ("halley-hub", &["halley-env", "halley-log", "halley-shard"]),
    ("halley-client", &["halley-env", "halley-wire"]),
    ("halley-store", &["halley-env"]),
    (
        "halley-replica",
        &["halley-env", "halley-log", "halley-shard", "halley-store"],
    ),
    (
        "halley-rpc",
        &[
            "halley-env",
            "halley-hub",
            "halley-wire",
            "halley-log",
            "halley-replica",
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
            "halley-replica",
            "halley-rpc",
            "halley-shard",
            "halley-store",
            "halley-wire",
        ],
    ),
    (
        "halley-sim",
        &[
            "halley-env",
            "halley-hub",
            "halley-log",
            "halley-replica",
            "halley-shard",
            "halley-store",
            "halley-wire",
        ],
    ),
    ("xtask", &[]),
];

/// outside library → the only rooms that may know it.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("axum", &["halley-http", "halley-ops"]),
    ("hyper", &["halley-http", "halley-ops", "halley-rpc"]),
    ("hyper-util", &["halley-http", "halley-ops", "halley-rpc"]),
    ("tonic", &["halley-rpc", "halley-client"]),
    ("rustls", &["halley-rpc", "halley-client"]),
    ("tokio-rustls", &["halley-rpc"]),
    ("rcgen", &["halley"]),
    ("openraft", &["halley-replica"]),
    ("openraft-rt", &["halley-replica"]),
    ("openraft-rt-tokio", &["halley-replica"]),
    ("crc32c", &["halley-store"]),
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

/// What rpc may name of replica: it carries messages between peers and knows nothing of Raft.
const PEERS: &[&str] = &["Answering", "Lane", "PeerError", "Peers", "Stream"];

/// Holds `cargo metadata` against the tables above, and rpc's sources against [`PEERS`].
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
    for path in files(".rs")? {
        if path.starts_with("crates/rpc") {
            let text = std::fs::read_to_string(&path)?;
            wrong.extend(beyond_peers(&text).into_iter().map(|name| {
                format!(
                    "{} names halley_replica::{name}; rpc knows only {}",
                    path.display(),
                    PEERS.join(", ")
                )
            }));
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

/// Names of replica in a source text that do not belong to the transport between peers.
fn beyond_peers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("halley_replica::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or_default(),
            None => rest,
        };
        let several = rest.starts_with('{');
        for part in list.split(',') {
            let name: String = (part.trim_start().chars())
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '*'))
                .collect();
            if !name.is_empty() && !PEERS.contains(&name.as_str()) {
                found.push(name);
            }
            if !several {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{beyond_peers, judge};

    #[test]
    fn rpc_may_name_only_the_transport_of_replica() {
        let fine =
            "use halley_replica::{Answering,\n Lane};\nfn x(e: halley_replica::PeerError) {}";
        assert!(beyond_peers(fine).is_empty());
        let wrong = "use halley_replica::{Peers, Replica};\nuse halley_replica::Timing;";
        assert_eq!(beyond_peers(wrong), ["Replica", "Timing"]);
    }

    #[test]
    fn a_wrong_arrow_is_named() {
        assert!(judge("halley-shard", &[], "halley-log", "normal", true).is_some());
        assert!(judge("halley-shard", &[], "tokio", "normal", false).is_some());
        assert!(judge("halley-hub", &[], "axum", "normal", false).is_some());
        assert!(judge("halley-shard", &[], "proptest", "dev", false).is_none());
        assert!(judge("halley-http", &[], "axum", "normal", false).is_none());
    }
}
