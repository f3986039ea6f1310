//! Clients that this project did not write: curl, the npm package `eventsource`, Node's fetch, Python's grpcio by
//! reflection only, and Chromium on the demo.
//!
//! `cargo xtask test` installs them and names their folder in `HALLEY_TEST_CLIENTS`; without it, or without a
//! program, a test says so and passes.

#![allow(clippy::print_stdout, reason = "what is skipped is said")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use support::{
    http,
    process::{Dev, Node, Scratch, stderr, stdout},
    within,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const CHROMIUM: &str = "/usr/bin/chromium";

/// The folder with the installed clients; `None`, and a line that says why, when the test cannot run.
fn folder(test: &str, programs: &[&str]) -> Option<PathBuf> {
    let skip = |reason: String| {
        println!("SKIPPED {test}: {reason}");
        None
    };
    let Some(folder) = std::env::var_os("HALLEY_TEST_CLIENTS").map(PathBuf::from) else {
        return skip("HALLEY_TEST_CLIENTS is not set; `cargo xtask test` sets it".into());
    };
    for program in programs {
        let version = std::process::Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if version.is_err() {
            return skip(format!("`{program}` is not installed"));
        }
    }
    Some(folder)
}

fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("HALLEY_TEST_CLIENTS", folder)
        .env("HALLEY_TEST_CHROMIUM", CHROMIUM)
        .env("PYTHONPATH", folder.join("python"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(program, folder);
    command.args(arguments);
    finish(command).await
}

async fn finish(mut command: Command) -> Output {
    let line = format!("{:?}", command.as_std());
    let output = within(&line, command.output())
        .await
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{line} ({}):\n{}{}",
        output.status,
        stdout(&output),
        stderr(&output)
    );
    output
}

#[tokio::test]
async fn curl_publishes_polls_and_streams() {
    let Some(folder) = folder("curl", &["curl"]) else {
        return;
    };
    let node = Node::replica(&[]).await;
    let base = format!("http://{}", node.at.http);
    let curl = async |arguments: &[&str]| {
        let fixed = [
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "20",
        ];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().collect();
        stdout(&run("curl", &folder, &all).await)
    };
    let target = format!("{base}/v1/publish/curl/a");
    let published: Value =
        serde_json::from_str(&curl(&["-d", "{\"n\":1}", &target]).await).expect("one line of JSON");
    assert_eq!(published["offset"], 1);

    let poll = format!("{base}/v1/poll/curl/a?since=earliest");
    for version in ["--http1.1", "--http2-prior-knowledge", "--http1.0"] {
        let answer: Value = serde_json::from_str(&curl(&[version, &poll]).await).expect("JSON");
        assert_eq!(answer["events"][0]["data"], json!({"n": 1}), "{version}");
        let unchanged = [
            version,
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ];
        let tag = format!(
            "If-None-Match: \"{}\"",
            answer["cursor"].as_str().expect("a cursor")
        );
        let poll = format!("{base}/v1/poll/curl/a?wait=0");
        let all: Vec<&str> = unchanged
            .iter()
            .copied()
            .chain(["-H", &tag, &poll])
            .collect();
        assert_eq!(curl(&all).await, "304", "{version}");
    }
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let target = format!("{base}/v1/sse/curl/a?since=earliest");
        assert!(
            stream(version, &target).await.contains("\"offset\":1"),
            "{version}"
        );
    }
    let target = format!("{base}/v1/channels/curl/a");
    let deleted = curl(&["-X", "DELETE", "--write-out", "%{http_code}", &target]).await;
    assert_eq!(deleted, "204");
}

/// What `curl -N` prints of a stream up to the first event's data.
async fn stream(version: &str, target: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-N", "--silent", "--max-time", "60", version, target]);
    let (_curl, mut lines) = spawn(command);
    let mut said = String::new();
    within("an event by curl -N", async {
        while !said.contains("\"offset\":1") {
            let line = lines
                .next_line()
                .await
                .expect("text")
                .expect("the stream goes on");
            said.push_str(&line);
            said.push('\n');
        }
    })
    .await;
    said
}

fn spawn(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("the program starts");
    let stdout = child.stdout.take().expect("a pipe was asked for");
    (child, BufReader::new(stdout).lines())
}

#[tokio::test]
async fn nodes_fetch_finds_everything_as_documented() {
    let Some(folder) = folder("Node's fetch", &["node"]) else {
        return;
    };
    let node = Node::replica(&[]).await;
    let base = format!("http://{}", node.at.http);
    run("node", &folder, &[&script("fetch.mjs"), &base]).await;
}

#[tokio::test]
async fn the_eventsource_package_resumes_by_itself() {
    const EVENTS: usize = 200;
    let Some(folder) = folder("eventsource", &["node"]) else {
        return;
    };
    if !folder.join("node_modules/eventsource").exists() {
        println!("SKIPPED eventsource: the package is not installed");
        return;
    }
    let replica = Node::replica(&[]).await;
    let mut edge = Node::edge(&replica, &[]).await;
    let url = format!("http://{}/v1/sse/npm/a?since=earliest", edge.at.http);
    let mut command = Command::new("node");
    command.args([&script("eventsource.mjs"), &url, &EVENTS.to_string()]);
    command.env("HALLEY_TEST_CLIENTS", &folder);
    let (mut client, mut lines) = spawn(command);
    let publish = async |n: usize| {
        let headers = [
            ("content-type", "application/json"),
            ("halley-event-type", "tick"),
        ];
        let body = json!({"n": n}).to_string();
        let request = http::request("POST", replica.at.http, "/v1/publish/npm/a", &headers, body);
        assert_eq!(
            http::ask(replica.at.http, request)
                .await
                .expect("an answer")
                .status,
            200
        );
    };
    let (mut published, mut next, mut opened) = (0, 1, 0);
    while next <= EVENTS {
        let line = within("a line of the client", lines.next_line()).await;
        let line = line
            .expect("text")
            .expect("the client goes on until it has seen everything");
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        match line["kind"].as_str().expect("a kind") {
            // Half of the rest comes while it is connected, half while it is away.
            "open" => {
                opened += 1;
                let goal = if opened > 3 { EVENTS } else { published + 30 };
                while published < goal {
                    publish(published + 1).await;
                    published += 1;
                }
            }
            "tick" => {
                assert_eq!(line["data"]["offset"], next, "{line}");
                next += 1;
                if next > published && published < EVENTS {
                    edge.process.kill();
                    for _ in 0..10 {
                        publish(published + 1).await;
                        published += 1;
                    }
                    edge.start_again();
                }
            }
            "cursor" | "reconnecting" => {}
            other => panic!("{other}: {line}"),
        }
    }
    let status = within("the end of the client", client.wait())
        .await
        .expect("it is ours");
    assert!(
        status.success() && opened > 3,
        "{status}, opened {opened} times"
    );
}

#[tokio::test]
async fn grpcio_needs_nothing_but_reflection() {
    let Some(folder) = folder("grpcio", &["python3"]) else {
        return;
    };
    if !folder.join("python/grpc_reflection").exists() {
        println!("SKIPPED grpcio: the packages are not installed");
        return;
    }
    let replica = Node::replica(&[]).await;
    let edge = Node::edge(&replica, &[]).await;
    for node in [&replica, &edge] {
        let address = node.at.grpc.to_string();
        run("python3", &folder, &[&script("reflection.py"), &address]).await;
    }
}

/// The folder with what drives Chromium; `None`, and a line that says why, when it is not there.
fn chromium() -> Option<PathBuf> {
    let folder = folder("chromium", &["node", CHROMIUM])?;
    if !folder.join("node_modules/playwright-core").exists() {
        println!("SKIPPED chromium: the package playwright-core is not installed");
        return None;
    }
    Some(folder)
}

/// Opens the demo of `url` in Chromium, with `kills` of nodes; what the page itself counted.
async fn watch_demo(folder: &Path, url: &str, kills: &Value, screenshot: Option<&str>) -> Value {
    let profile = Scratch::new();
    std::fs::create_dir_all(profile.path()).expect("a new folder");
    let mut command = command("node", folder);
    command.env("HALLEY_TEST_KILLS", kills.to_string());
    let script = script("stocks.mjs");
    command.args([script.as_str(), url, profile.text()]);
    command.args(screenshot);
    let report = stdout(&finish(command).await);
    println!("{report}");
    serde_json::from_str(&report).expect("a line of JSON")
}

/// What the page says when all is well.
fn check_demo(report: &Value) {
    for figure in ["missing", "repeated", "gaps"] {
        assert_eq!(report[figure], "0", "{figure}: {report}");
    }
    assert_eq!(report["faults"], json!([]), "{report}");
    let moved = report["moved"].as_array().map(Vec::len);
    assert_eq!(moved, Some(8), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_shows_the_demo() {
    let Some(folder) = chromium() else {
        return;
    };
    let dev = Dev::start(1, &[]).await;
    let edge = &dev.nodes[1];
    let url = format!("http://{}/demo/stocks", edge.http);
    let screenshot = std::env::var("HALLEY_TEST_SCREENSHOT").ok();
    let report = watch_demo(&folder, &url, &json!({}), screenshot.as_deref()).await;
    assert_eq!(report["node"], edge.name);
    check_demo(&report);
    let delay = report["delay"].as_str().map(str::parse::<u64>);
    assert!(matches!(delay, Some(Ok(_))), "{report}");
    assert_eq!(dev.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_stays_whole_while_its_nodes_are_killed() {
    let Some(folder) = chromium() else {
        return;
    };
    let dev = Dev::cluster(3, 0, &["--restart-after-ms", "200"]).await;
    let kills = dev
        .nodes
        .iter()
        .map(|node| (node.name.clone(), json!(node.pid)));
    let url = format!("http://{}/demo/stocks", dev.nodes[0].http);
    let report = watch_demo(&folder, &url, &Value::Object(kills.collect()), None).await;
    check_demo(&report);
    let killed = report["killed"].as_array().map(Vec::len);
    assert_eq!(killed, Some(3), "{report}");
    assert_eq!(dev.stop().await.code(), Some(0));
}
