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

fn by_flags(given: &[&str]) -> Result<Settings, SettingsError> {
    load(None, [], &flags(given))
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
    let settings =
        load(Some(&path), variables, &flags(&["--node-name", "flag"])).expect("is valid");
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
    let text = error(&["--listen-grpc", "0.0.0.0:9090"]);
    assert!(text.contains("listen.grpc") && text.contains("TLS") && text.contains("--insecure"));
    assert!(error(&["--listen-peer", "[::]:7400"]).contains("listen.peer"));
    by_flags(&["--listen-grpc", "0.0.0.0:9090", "--insecure"]).expect("allowed");
    by_flags(&["--listen-grpc", "[::ffff:127.0.0.1]:9090"]).expect("is loopback");
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
