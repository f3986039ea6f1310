//! The command line as its users meet it: forms, exit codes, errors that help, and processes that end.

mod support;

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{
    http, ports,
    process::{Dev, Node, Process, Scratch, halley, lives, run, send, stderr, stdout},
    until,
};

fn line(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no line of JSON ({error}): {text}"))
}

#[tokio::test]
async fn help_and_version_are_on_standard_output() {
    let help = run(&["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    let text = stdout(&help);
    for verb in [
        "dev",
        "serve",
        "publish",
        "subscribe",
        "history",
        "channels",
        "cluster",
        "check",
        "sleep",
        "70",
    ] {
        assert!(text.contains(verb), "{verb} is missing in:\n{text}");
    }
    let version = run(&["--version"]).await;
    assert_eq!(
        stdout(&version).trim(),
        concat!("halley ", env!("CARGO_PKG_VERSION"))
    );
    let help = stdout(&run(&["serve", "--help"]).await);
    assert!(help.contains("--limits-payload-bytes-max") && !help.contains("exit-with-parent"));
    assert_eq!(run(&["sleep", "0.01"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn what_cannot_be_meant_is_exit_code_2() {
    for (arguments, said) in [
        (&[][..], "Usage"),
        (&["fly"], "unrecognized subcommand"),
        (&["dev", "--nodes", "8"], "1 to 7"),
        (&["dev", "--data", "/dev/null/halley"], "/dev/null/halley"),
        (
            &["dev", "--base-port", "65530", "--edges", "1"],
            "--base-port",
        ),
        (&["sleep", "soon"], "seconds from 0"),
        (&["publish"], "CHANNEL"),
        (&["publish", "/a", "{}", "--header", "x"], "NAME=VALUE"),
        (&["channels", "--server", "not an address"], "--server"),
        (&["serve", "--shards", "17"], "1 to 16"),
        (&["serve", "--role", "edge"], "upstream"),
        (&["serve", "--listen-grpc", "0.0.0.0:0"], "--insecure"),
        (&["serve", "--listen-peer", "0.0.0.0:0"], "tls.peer"),
        (&["serve"], "data.directory"),
        (&["serve", "--data-directory", "/d"], "bootstrap.members"),
        (
            &[
                "serve",
                "--role=edge",
                "--upstream=a:1",
                "--log-level=loud=very",
            ],
            "log.level",
        ),
        (
            &[
                "serve",
                "--role=edge",
                "--upstream=a:1",
                "--tls-grpc-key=/nowhere/key",
                "--tls-grpc-certificate=/nowhere/pem",
            ],
            "/nowhere/",
        ),
        (
            &["serve", "--config", "/nowhere/halley.toml"],
            "/nowhere/halley.toml",
        ),
    ] {
        let output = run(arguments).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(
            text.contains(said),
            "{arguments:?}: `{said}` is missing in:\n{text}"
        );
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn settings_are_strict() {
    let path = std::env::temp_dir().join(format!("halley-cli-{}.toml", std::process::id()));
    std::fs::write(&path, "shards = 2\n\n[listen]\nhtpp = \"127.0.0.1:0\"\n").expect("writes");
    let file = path.to_str().expect("text");
    let output = run(&["serve", "--config", file]).await;
    let expected = format!(
        "halley: {file}, line 4: there is no setting `listen.htpp`; did you mean `listen.http`?\n"
    );
    assert_eq!((output.status.code(), stderr(&output)), (Some(2), expected));
    let output = run(&["serve", "--config", file, "--output", "json"]).await;
    assert_eq!(line(&stderr(&output))["error"]["code"], "usage");
    std::fs::remove_file(&path).expect("cleans up");

    for (name, said) in [
        ("HALLEY_SHARD", "HALLEY_SHARDS"),
        ("HALLEY_DEMO", "HALLEY_DEMOS"),
    ] {
        for command in ["serve", "dev"] {
            let mut command = halley(&[command]);
            let output = command.env(name, "1").output().expect("starts");
            assert_eq!(output.status.code(), Some(2));
            assert!(stderr(&output).contains(said), "{}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let base = ports::free(1);
    let _taken = TcpListener::bind(("127.0.0.1", base + 2)).expect("was free");
    let output = run(&["dev", "--base-port", &base.to_string()]).await;
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for said in [&format!("port {}", base + 2), "n1", "peer", "--base-port"] {
        assert!(text.contains(said), "`{said}` is missing in:\n{text}");
    }
    let address = format!("127.0.0.1:{}", base + 2);
    let edge = ["serve", "--role=edge", "--upstream=127.0.0.1:1"];
    let output = run(&[&edge[..], &["--listen-http", &address]].concat()).await;
    assert_eq!(output.status.code(), Some(70));
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[tokio::test]
async fn where_nobody_listens_is_exit_code_3() {
    let nobody = format!("127.0.0.1:{}", ports::free(1));
    for arguments in [
        &["channels", "--server", &nobody][..],
        &["check", "live", "--ops", &nobody],
        &["check", "ready", "--ops", &nobody],
        &["check", "round-trip", "--timeout", "2", "--server", &nobody],
    ] {
        let output = run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(3),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let output = run(&["history", "/a", "--server", &nobody, "--output", "json"]).await;
    let error = line(&stderr(&output));
    assert_eq!(error["error"]["code"], "unreachable");
    assert!(
        error["error"]["detail"]
            .as_str()
            .expect("text")
            .contains(&nobody),
        "{error}"
    );
}

#[tokio::test]
async fn commands_talk_to_a_node() {
    let node = Node::replica(&[]).await;
    let (grpc, ops) = (node.at.grpc.to_string(), node.at.ops.to_string());
    let ask = async |arguments: &[&str]| {
        let more = ["--server", &grpc, "--output", "json"];
        let arguments: Vec<&str> = arguments.iter().chain(&more).copied().collect();
        run(&arguments).await
    };
    let published = stdout(&ask(&["publish", "/cli/a", "{\"n\": 1}", "--type", "tick"]).await);
    let published = line(&published);
    assert_eq!(
        (&published["channel"], &published["offset"]),
        (&"/cli/a".into(), &1.into())
    );
    assert_eq!(published["duplicate"], false);
    let text = [
        "publish", "/cli/a", "hello", "--text", "--key", "k", "--header", "a=b",
    ];
    assert_eq!(line(&stdout(&ask(&text).await))["duplicate"], false);
    let again = line(&stdout(&ask(&text).await));
    assert_eq!(
        (&again["offset"], &again["duplicate"]),
        (&2.into(), &true.into())
    );

    let history = line(&stdout(&ask(&["history", "/cli/a"]).await));
    assert_eq!(history["events"][0]["data"]["n"], 1);
    assert_eq!(history["events"][0]["type"], "tick");
    assert_eq!(history["events"][1]["data"], "hello");
    assert_eq!(history["events"][1]["headers"]["a"], "b");
    let seen = stdout(&ask(&["subscribe", "/cli/*", "--since", "earliest", "--count", "2"]).await);
    let seen: Vec<_> = seen.lines().map(line).collect();
    assert_eq!((seen.len(), &seen[1]["offset"]), (2, &2.into()));
    let channels = line(&stdout(&ask(&["channels", "/cli/**"]).await));
    assert_eq!(
        (&channels["channel"], &channels["events"]),
        (&"/cli/a".into(), &2.into())
    );

    let trip = line(&stdout(&ask(&["check", "round-trip"]).await));
    assert!(
        trip["round_trip_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{trip}"
    );
    for what in ["live", "ready"] {
        assert_eq!(
            run(&["check", what, "--ops", &ops]).await.status.code(),
            Some(0),
            "{what}"
        );
    }
    for (arguments, code) in [
        (&["publish", "no-slash", "{}"][..], "channel_invalid"),
        (&["publish", "/a", "no json"], "body_invalid"),
        (&["publish", "/$sys/a", "{}"], "channel_invalid"),
        (&["history", "/a", "--since", "nonsense"], "cursor_invalid"),
        (&["subscribe", "/a/*/b"], "pattern_invalid"),
    ] {
        let output = ask(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(
            line(&stderr(&output))["error"]["code"],
            code,
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn a_node_drains_on_sigterm_and_ends_fast_on_a_second_signal() {
    let mut node = Node::replica(&[]).await;
    node.process.signal(Signal::TERM);
    assert_eq!(node.process.end().await.code(), Some(0));

    // An open stream would hold the drain back for the greater part of an hour.
    let mut node = Node::replica(&["--drain-max-seconds", "3600"]).await;
    let stream = support::sse::Stream::open(node.at.http, "/v1/sse/a", None).await;
    let _stream = stream.expect("opens");
    node.process.signal(Signal::TERM);
    let ops = node.at.ops;
    until("not ready while draining", async || {
        http::status(ops, "/readyz")
            .await
            .filter(|status| *status == 503)
    })
    .await;
    assert_eq!(http::status(ops, "/livez").await, Some(200));
    node.process.signal(Signal::TERM);
    assert_eq!(node.process.end().await.code(), Some(0));
}

/// An edge that follows nobody, which is enough to be ended.
const LONELY: [&str; 8] = [
    "serve",
    "--role=edge",
    "--upstream=127.0.0.1:1",
    "--listen-http=127.0.0.1:0",
    "--listen-grpc=127.0.0.1:0",
    "--listen-ops=127.0.0.1:0",
    "--log-level=info",
    "--node-name=lonely",
];

/// Runs `script` with the program and its arguments as `"$0" "$@"`.
fn by_shell(script: &str, arguments: &[&str]) -> Command {
    let program = halley(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program.get_program());
    command.args(program.get_args()).stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        assert!(value.is_none(), "only removed ones");
        command.env_remove(name);
    }
    command
}

#[tokio::test]
async fn what_is_started_by_nohup_outlives_its_terminal() {
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut process = Process::start(by_shell(script, &LONELY));
    until("it serves", async || {
        process.said().contains("serving").then_some(())
    })
    .await;
    process.signal(Signal::HUP);
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.code(), Some(0));
    let said = process.said();
    assert!(
        said.contains("SIGTERM") && !said.contains("SIGHUP"),
        "{said}"
    );
}

#[tokio::test]
async fn the_end_of_a_terminal_ends_dev_and_its_directory() {
    if ignores_hangup() {
        // Nothing that is started from here can hear of it.
        return;
    }
    let dev = Dev::start(0, &["--no-stocks"]).await;
    let node = dev.nodes[0].clone();
    let data = node.data.clone().expect("a replica stores");
    let root = data.parent().expect("dev's own").to_owned();
    assert!(root.join("tls").is_dir());
    let mut process = dev.process;
    process.signal(Signal::HUP);
    assert_eq!(process.end().await.code(), Some(0));
    assert!(!root.exists() && !lives(node.pid));
    let mut process = Process::start(halley(&LONELY));
    until("it serves", async || {
        process.said().contains("serving").then_some(())
    })
    .await;
    process.signal(Signal::HUP);
    assert_eq!(process.end().await.code(), Some(0));
}

/// Whether these tests were started to outlive a terminal, and with them whatever they start.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.expect("every process has it").trim();
    u64::from_str_radix(mask, 16).expect("a mask") & 1 == 1
}

#[tokio::test]
async fn a_disk_of_another_node_is_exit_code_2() {
    let mut node = Node::replica(&[]).await;
    node.process.signal(Signal::TERM);
    assert_eq!(node.process.end().await.code(), Some(0));
    let mut arguments = vec!["serve", "--node-name=n2", "--bootstrap-members=n2"];
    arguments.extend(["--data-directory", node.data.text()]);
    arguments.extend(LONELY.into_iter().filter(|flag| flag.contains("listen")));
    arguments.push("--listen-peer=127.0.0.1:0");
    let output = run(&arguments).await;
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("belongs to the node n1"), "{text}");
}

#[tokio::test]
async fn a_directory_is_of_one_dev_at_a_time() {
    let data = Scratch::new();
    let dev = Dev::start(0, &["--no-stocks", "--data", data.text()]).await;
    let authority = || std::fs::read(data.path().join("tls/authority.pem")).expect("reads");
    let before = authority();
    let base = ports::free(1).to_string();
    let again = ["dev", "--nodes", "1", "--data", data.text()];
    let output = run(&[&again[..], &["--base-port", &base]].concat()).await;
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains(data.text()) && text.contains("in use"),
        "{text}"
    );
    assert!(
        before == authority(),
        "the certificates of the first are gone"
    );
    assert_eq!(dev.stop().await.code(), Some(0));
}

#[tokio::test]
async fn dev_keeps_from_its_nodes_what_is_meant_for_one() {
    let base = ports::free(2).to_string();
    let arguments = ["dev", "--nodes=1", "--edges=1", "--base-port", &base];
    let mut command = halley(&[&arguments[..], &["--output=json", "--no-stocks"]].concat());
    for (variable, value) in [
        ("HALLEY_NODE_NAME", "elsewhere"),
        ("HALLEY_UPSTREAM", "elsewhere:1"),
        ("HALLEY_DATA_DIRECTORY", "/nowhere"),
        ("HALLEY_BOOTSTRAP_MEMBERS", "elsewhere"),
        ("HALLEY_ADVERTISE_GRPC", "elsewhere:1"),
        ("HALLEY_ADVERTISE_PEER", "elsewhere:2"),
        ("HALLEY_TLS_PEER_SERVER_NAME", "elsewhere"),
        ("HALLEY_TLS_GRPC_KEY", "/nowhere/key"),
        // No setting of nodes, and passed on.
        ("HALLEY_CLIENT_TLS_AUTHORITY", "/nowhere/pem"),
    ] {
        command.env(variable, value);
    }
    let printed = Scratch::new();
    command.stdout(std::fs::File::create(printed.path()).expect("creates"));
    let mut process = Process::start(command);
    let announced = until("the announcement", async || {
        assert!(process.ended().is_none(), "{}", process.said());
        let text = std::fs::read_to_string(printed.path()).expect("reads");
        text.ends_with('\n').then(|| line(&text))
    })
    .await;
    std::fs::remove_file(printed.path()).expect("cleans up");
    let grpc = announced["nodes"][0]["grpc"].as_str().expect("text");
    // Addresses come into the status a moment after the node is ready.
    let address = until("an address in the status", async || {
        let status = ["cluster", "status", "--output", "json", "--server", grpc];
        let status = line(&stdout(&run(&status).await));
        Some(status["members"][0]["grpc"].as_str()?.to_owned())
    });
    assert_eq!(address.await, grpc);
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.code(), Some(0));
}

#[tokio::test]
async fn dev_announces_its_nodes_and_ends_them_all() {
    let dev = Dev::start(2, &[]).await;
    let names: Vec<_> = dev.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "e1", "e2"]);
    let roles: Vec<_> = dev.nodes.iter().map(|node| node.role.as_str()).collect();
    assert_eq!(roles, ["replica", "edge", "edge"]);
    let keys = |node: &Value| -> Vec<String> {
        node.as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    let announced = line(&dev.line);
    let mut expected = ["name", "role", "http", "grpc", "ops", "pid", "data"]
        .map(String::from)
        .to_vec();
    expected.sort();
    let mut given = keys(&announced["nodes"][0]);
    given.sort();
    assert_eq!(given, expected);
    let data = dev.nodes[0].data.clone().expect("a replica stores");
    assert!(data.is_dir() && dev.nodes[1].data.is_none());
    for (index, node) in dev.nodes.iter().enumerate() {
        let step = u16::try_from(index).expect("few") * 10;
        assert_eq!(node.http.port(), dev.nodes[0].http.port() + step);
        assert_eq!(
            (node.grpc.port(), node.ops.port()),
            (node.http.port() + 1, node.http.port() + 3)
        );
        assert_eq!(
            http::status(node.ops, "/readyz").await,
            Some(200),
            "{}",
            node.name
        );
        assert_eq!(
            http::status(node.http, "/demo/stocks").await,
            Some(200),
            "{}",
            node.name
        );
    }
    // Its publisher runs: a quote arrives through an edge.
    let poll = "/v1/poll?channel=/demo/stocks/*&since=earliest";
    let answer = http::get(dev.nodes[2].http, poll, &[])
        .await
        .expect("an answer");
    assert_eq!(answer.json()["events"][0]["type"], "quote");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(dev.stop().await.code(), Some(0));
    assert!(!data.exists(), "a directory of its own goes with dev");
}

#[tokio::test]
async fn dev_runs_three_replicas_that_lose_nothing_and_resumes_them() {
    let data = Scratch::new();
    let more = [
        "--data",
        data.text(),
        "--no-stocks",
        "--restart-after-ms",
        "600000",
    ];
    let dev = Dev::cluster(3, 0, &more).await;
    let names: Vec<_> = dev.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    let publish = async |through: usize, key: &str| {
        let at = dev.nodes[through].http;
        until(&format!("{key} is acknowledged"), async || {
            http::publish(at, "/dev/kept", key, &json!(key)).await.ok()
        })
        .await
    };
    assert_eq!(publish(0, "one").await, 1);
    // Whoever led: two of three go on, also when the first is killed.
    send(dev.nodes[0].pid, Signal::KILL);
    assert_eq!(publish(1, "two").await, 2);
    assert_eq!(publish(2, "three").await, 3);
    assert_eq!(dev.stop().await.code(), Some(0));

    // On other ports, with the same disks; the killed one catches up.
    let dev = Dev::cluster(3, 0, &more).await;
    for node in &dev.nodes {
        let path = "/v1/history/dev/kept?consistency=linearizable";
        let answer = http::get(node.http, path, &[]).await.expect("an answer");
        let events = answer.json()["events"].as_array().map(Vec::len);
        assert_eq!(events, Some(3), "{}: {:?}", node.name, answer.body);
    }
    assert_eq!(dev.stop().await.code(), Some(0));
    let output = run(&["dev", "--data", data.text(), "--nodes", "1"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--nodes 3"), "{}", stderr(&output));
}

#[tokio::test]
async fn dev_starts_a_killed_node_again() {
    let dev = Dev::start(1, &["--restart-after-ms", "50", "--no-stocks"]).await;
    let edge = dev.nodes[1].clone();
    send(edge.pid, Signal::KILL);
    until("the end of the edge", async || {
        (!lives(edge.pid)).then_some(())
    })
    .await;
    until("the edge again", async || {
        http::status(edge.ops, "/readyz")
            .await
            .filter(|status| *status == 200)
    })
    .await;
    assert_eq!(dev.stop().await.code(), Some(0));
}

#[tokio::test]
async fn quotes_go_on_after_the_replica_was_killed() {
    let dev = Dev::start(1, &["--restart-after-ms", "50"]).await;
    let (replica, edge) = (dev.nodes[0].clone(), dev.nodes[1].clone());
    send(replica.pid, Signal::KILL);
    until("the end of the replica", async || {
        (!lives(replica.pid)).then_some(())
    })
    .await;
    // Its disk is not gone: new quotes follow the old ones, through the same edge.
    until("quotes through the edge again", async || {
        let path = "/v1/poll?channel=/demo/stocks/*&since=latest&wait=1";
        let answer = http::get(edge.http, path, &[]).await.ok()?;
        let is_quote = |answer: &Value| answer["events"][0]["type"] == "quote";
        (answer.status == 200 && is_quote(&answer.json())).then_some(())
    })
    .await;
    assert!(lives(edge.pid), "the edge survives its upstream");
    assert_eq!(dev.stop().await.code(), Some(0));
}

#[tokio::test]
async fn nodes_do_not_outlive_a_killed_dev() {
    // A killed `dev` leaves its directory behind.
    let data = Scratch::new();
    let mut dev = Dev::start(1, &["--no-stocks", "--data", data.text()]).await;
    dev.process.kill();
    for node in &dev.nodes {
        until("the end of an orphan", async || {
            (!lives(node.pid)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn dev_tells_people_what_to_do() {
    let base = ports::free(2);
    let base_port = base.to_string();
    let arguments = [
        "dev",
        "--nodes",
        "1",
        "--edges",
        "1",
        "--base-port",
        &base_port,
    ];
    let path = std::env::temp_dir().join(format!("halley-dev-{}.txt", std::process::id()));
    let mut command = halley(&arguments);
    command.stdout(std::fs::File::create(&path).expect("creates"));
    let mut process = Process::start(command);
    let text = until("the table", async || {
        let text = std::fs::read_to_string(&path).expect("reads");
        text.contains("Ctrl-C").then_some(text)
    })
    .await;
    for said in [
        format!("curl -d '{{\"text\":\"hello\"}}' http://127.0.0.1:{base}/v1/publish/chat/lobby"),
        format!("curl -N http://127.0.0.1:{}/v1/sse/chat/lobby", base + 10),
        format!("http://127.0.0.1:{}/demo/stocks", base + 10),
        "gone when this command ends".into(),
    ] {
        assert!(text.contains(&said), "`{said}` is missing in:\n{text}");
    }
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.code(), Some(0));
    std::fs::remove_file(&path).expect("cleans up");
}
