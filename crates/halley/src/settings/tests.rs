//! Precedence and bounds of the settings as a whole.

use clap::{Args as _, FromArgMatches as _};

use super::*;

fn flags(given: &[&str]) -> Flags {
    let command = Flags::augment_args(clap::Command::new("halley").no_binary_name(true));
    let matches = command
        .try_get_matches_from(given)
        .expect("flags of the table");
    Flags::from_arg_matches(&matches).expect("flags are texts")
}

/// What every replica needs.
const REPLICA: [&str; 6] = [
    "--data-directory",
    "/d",
    "--bootstrap-members",
    "n1",
    "--advertise-http",
    "n1:8080",
];

/// Settings of a replica that is also told `given`.
fn by_flags(given: &[&str]) -> Result<Settings, SettingsError> {
    let rest = REPLICA
        .chunks(2)
        .filter(|pair| !given.contains(&pair[0]))
        .flatten();
    let all: Vec<&str> = rest.chain(given).copied().collect();
    load(None, [], &flags(&all))
}

fn error(given: &[&str]) -> String {
    by_flags(given).expect_err("is refused").to_string()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = by_flags(&[]).expect("defaults are valid");
    assert_eq!(settings.listen.http.port(), 8080);
    assert_eq!(settings.listen.grpc.port(), 9090);
    assert_eq!(settings.listen.peer.port(), 7400);
    assert_eq!(settings.listen.ops.port(), 9100);
    assert_eq!(settings.shards.get(), 2);
    assert_eq!(settings.shard.retention.age_max_ms, None);
    assert!(settings.cors_origins.is_empty() && !settings.demos);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let path = std::env::temp_dir().join(format!("halley-settings-{}.toml", std::process::id()));
    std::fs::write(&path, "shards = 3\ndemos = true\n[node]\nname = \"file\"\n").expect("writes");
    let variables =
        [("HALLEY_SHARDS", "4"), ("HALLEY_NODE_NAME", "env")].map(|(a, b)| (a.into(), b.into()));
    let mut given = REPLICA.to_vec();
    given.extend(["--bootstrap-members", "flag", "--node-name", "flag"]);
    given.drain(2..4);
    let settings = load(Some(&path), variables, &flags(&given)).expect("is valid");
    std::fs::remove_file(&path).expect("cleans up");
    assert_eq!(
        (
            settings.name.as_str(),
            settings.shards.get(),
            settings.demos
        ),
        ("flag", 4, true)
    );
}

#[test]
fn plain_listeners_beyond_loopback_need_insecure() {
    let advertise = ["--advertise-grpc", "a:1", "--advertise-peer", "a:2"];
    let by_flags = |given: &[&str]| by_flags(&[&advertise, given].concat());
    let error = |given: &[&str]| by_flags(given).expect_err("is refused").to_string();
    let text = error(&["--listen-grpc", "0.0.0.0:9090"]);
    assert!(text.contains("listen.grpc") && text.contains("TLS") && text.contains("--insecure"));
    assert!(error(&["--listen-peer", "[::]:7400"]).contains("listen.peer"));
    by_flags(&["--listen-grpc", "0.0.0.0:9090", "--insecure"]).expect("allowed");
    by_flags(&["--listen-grpc", "[::ffff:127.0.0.1]:9090"]).expect("is loopback");
    let tls = ["certificate", "key", "authority"].map(|file| format!("--tls-peer-{file}=/f"));
    let mut given: Vec<&str> = tls.iter().map(String::as_str).collect();
    given.extend(["--listen-peer", "192.0.2.1:7400"]);
    by_flags(&given).expect("TLS is allowed anywhere");
    let text = error(&given[1..]);
    assert!(text.contains("`tls.peer.certificate`"), "{text}");
    let edge = [
        "--role",
        "edge",
        "--upstream",
        "a:7400",
        "--listen-peer",
        "0.0.0.0:1",
    ];
    by_flags(&edge).expect("an edge has no peer listener");
}

#[test]
fn values_out_of_bounds_name_value_limit_and_origin() {
    let text = error(&["--limits-payload-bytes-max", "262145"]);
    assert_eq!(
        text,
        "`limits.payload_bytes_max` is `262145` (command line, --limits-payload-bytes-max): 1 to 262144 \
         is allowed"
    );
    for wrong in [
        &["--shards", "17"][..],
        &["--role", "leader"],
        &["--role", "edge"],
        &["--upstream", "a:1"],
        &["--role", "edge", "--upstream", "http://a:1"],
        &["--listen-http", "localhost:8080"],
        &["--node-name", "a b"],
        &["--cors-origins", "https://a/b"],
        &["--log-format", "xml"],
        &["--retention-rules", "no-slash?events_max=1"],
        &["--retention-rules", "/a?events_max=1000001"],
        &["--drain-max-seconds", "0"],
        &["--data-directory", ""],
        &["--bootstrap-members", "n1,n2"],
        &["--bootstrap-members", ""],
        &["--bootstrap-members", "n1,n1"],
        &["--bootstrap-members", "n1,a b"],
        &["--bootstrap-peers", "n1"],
        &["--advertise-http", "n1"],
        &["--raft-heartbeat-ms", "250"],
        &["--raft-election-min-ms", "350"],
        &["--raft-election-max-ms", "60001"],
        &["--replace-after-seconds", "0"],
        &["--tls-grpc-key", "/f"],
        &["--tls-peer-server-name", "a"],
        &["--demos-nodes", "n1=localhost:80"],
    ] {
        by_flags(wrong).expect_err(&wrong.join(" "));
    }
}

#[test]
fn rules_begin_with_the_defaults() {
    let given = [
        "--retention-events-max",
        "7",
        "--retention-rules",
        "/a/**?age_max_seconds=2",
    ];
    let settings = by_flags(&given).expect("is valid");
    let rule = &settings.shard.rules[0].retention;
    assert_eq!((rule.events_max, rule.age_max_ms), (7, Some(2_000)));
}

#[test]
fn a_replica_founds_or_joins() {
    let replica = |given: &[&str]| by_flags(given).map(|settings| settings.replica);
    let alone = replica(&[]).expect("is valid").expect("a replica");
    assert_eq!(alone.members, ["n1"]);
    assert_eq!(alone.timing, halley_replica::Timing::default());
    assert_eq!(alone.disk, halley_replica::DiskBounds::default());
    assert_eq!(alone.advertise.http.as_deref(), Some("n1:8080"));
    assert_eq!(alone.advertise.peer, None);
    let peers = ["--bootstrap-peers", "n1:7400,n2:7400"];
    let three = [&peers[..], &["--bootstrap-members", "n1,n2,n3"]].concat();
    let three = replica(&three).expect("is valid").expect("a replica");
    assert_eq!((three.members.len(), three.peers.len()), (3, 2));
    let stranger = [&peers[..], &["--bootstrap-members", "n2,n3"]].concat();
    let stranger = replica(&stranger).expect("is valid").expect("a replica");
    assert!(stranger.members.is_empty(), "only joins");
}

#[test]
fn a_wildcard_must_be_advertised() {
    let text = error(&["--advertise-http", ""]);
    assert!(
        text.contains("`advertise.http`") && text.contains("0.0.0.0:8080"),
        "{text}"
    );
}

#[test]
fn elections_name_value_and_limit() {
    let text = error(&["--raft-election-min-ms", "100"]);
    assert_eq!(
        text,
        "`raft.election_min_ms` is `100` (command line, --raft-election-min-ms): more than \
         `raft.heartbeat_ms` is needed, which is 100"
    );
}
