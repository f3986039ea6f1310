//! What operators type: `halley cluster …` against a node's service, and on the disk of a stopped node.

mod support;

use std::sync::Arc;

use halley_env::{Disk as _, Env, SystemDisk};
use halley_hub::{Hub, HubConfig};
use halley_log::{Member, MemoryConfig, MemoryLog, Publisher, Standing};
use halley_rpc::{GrpcConfig, GrpcServer};
use halley_shard::{ClusterId, Settings, ShardCount};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use support::{
    ports,
    process::{self, Scratch, halley, run, stderr, stdout},
};

/// A cluster of one node in this process.
struct Node {
    log: Arc<MemoryLog>,
    hub: Hub,
    server: GrpcServer,
}

impl Node {
    async fn start() -> Self {
        let config = MemoryConfig {
            cluster: ClusterId::new(37),
            shards: ShardCount::new(2).expect("a shard count"),
            settings: Settings::default(),
        };
        let env = Env::system();
        let log = MemoryLog::start(config, env.clone());
        let hub = Hub::start(Arc::clone(&log) as _, env.clone(), HubConfig::default());
        let publisher = Publisher::new(Arc::clone(&log) as _, env.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let admin = Some(log.admin(me()));
        let config = GrpcConfig::default();
        let server = GrpcServer::start(listener, hub.clone(), publisher, admin, config, env)
            .expect("no TLS");
        Self { log, hub, server }
    }

    /// Runs a command against it: exit code, standard output, standard error.
    async fn ask(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let address = self.server.address().to_string();
        let arguments: Vec<_> = [&["cluster"], arguments, &["--server", &address]].concat();
        let output = run(&arguments).await;
        (output.status.code(), stdout(&output), stderr(&output))
    }

    async fn stop(self) {
        self.hub.drain();
        self.server.stop().await;
        self.hub.close().await;
        self.log.close().await;
    }
}

fn me() -> Member {
    Member {
        name: "n1".to_owned(),
        id: 0xab,
        standing: Standing::Voter,
        incarnation: 3,
        peer: "127.0.0.1:7400".to_owned(),
        grpc: "127.0.0.1:9090".to_owned(),
        http: String::new(),
        heard: Some(true),
    }
}

fn object(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one line is promised: {text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

#[tokio::test]
async fn a_cluster_is_shown_and_its_settings_change() {
    let node = Node::start().await;
    let set = ["set", "retention.events_max", "5"];
    let (code, said, wrong) = node.ask(&set).await;
    assert_eq!(
        (code, said.as_str(), wrong.as_str()),
        (Some(0), "retention.events_max is 5 from now on\n", "")
    );
    let set = [
        "set",
        "retention.rules",
        "/a?events_max=1 /b/**",
        "--output",
        "json",
    ];
    let (_, said, _) = node.ask(&set).await;
    let expected = json!({"key": "retention.rules", "value": "/a?events_max=1 /b/**"});
    assert_eq!(object(&said), expected);

    let (code, said, _) = node.ask(&["status", "--output", "json"]).await;
    let status = object(&said);
    assert_eq!(code, Some(0));
    assert_eq!(
        (&status["cluster"], &status["answered_by"]),
        (&json!("11"), &json!("n1"))
    );
    assert_eq!(status["settings"]["retention.events_max"], "5");
    let member = json!({
        "name": "n1", "id": "00000000000000ab", "standing": "voter", "incarnation": 3,
        "peer": "127.0.0.1:7400", "grpc": "127.0.0.1:9090", "heard": true,
    });
    assert_eq!(status["members"], json!([member]));
    assert_eq!(status["groups"][1]["name"], "shard 1");
    assert_eq!(status["groups"][1]["progress"][0]["lag"], 0);

    let (code, said, _) = node.ask(&["status"]).await;
    assert_eq!(code, Some(0));
    for part in [
        "cluster 11, 2 shards",
        "00000000000000ab",
        "shard 0  n1",
        "/a?events_max=1&bytes_max=1048576",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_refusal_says_why_and_is_exit_code_1() {
    let node = Node::start().await;
    for (arguments, reason, said) in [
        (
            &["set", "retention.events", "5"][..],
            "parameter_invalid",
            "retention.events_max",
        ),
        (
            &["set", "retention.events_max", "-5"],
            "parameter_invalid",
            "a whole number",
        ),
        (&["replace", "n1", "n2"], "refused", "one node"),
    ] {
        let (code, printed, text) = node.ask(arguments).await;
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        let arguments = [arguments, &["--output", "json"]].concat();
        let (_, _, text) = node.ask(&arguments).await;
        assert_eq!(object(&text)["error"]["code"], reason, "{arguments:?}");
    }
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_exit_code_2_and_nobody_there_3() {
    for (arguments, said) in [
        (&["cluster"][..], "status"),
        (&["cluster", "set", "retention.events_max"], "<VALUE>"),
        (&["cluster", "replace", "n1"], "<NEW>"),
        (&["cluster", "form", "--data", "/tmp"], "--reset"),
        (&["cluster", "form", "--reset"], "--data"),
        (
            &["cluster", "form", "--reset", "--data", "/nowhere"],
            "/nowhere",
        ),
    ] {
        let output = run(arguments).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    let nobody = format!("127.0.0.1:{}", ports::free(1));
    let output = run(&["cluster", "status", "--server", &nobody]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[tokio::test]
async fn a_formation_is_reset_on_a_stopped_node_only() {
    let data = Scratch::new();
    std::fs::create_dir_all(data.path().join("node")).expect("creates");
    std::fs::write(data.path().join("node/identity"), "n1").expect("writes");
    let reset = [
        "cluster",
        "form",
        "--reset",
        "--data",
        data.text(),
        "--output",
        "json",
    ];
    let running = SystemDisk
        .lock(&data.path().join("lock"))
        .expect("nobody holds it");
    let output = run(&reset).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(object(&stderr(&output))["error"]["code"], "in_use");
    drop(running);
    let output = run(&reset).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let moved_to = data.path().join("node.reset-1");
    assert_eq!(
        object(&stdout(&output)),
        json!({"moved_to": moved_to.to_str().expect("text")})
    );
    assert!(moved_to.join("identity").exists() && !data.path().join("node").exists());
}

/// PEM files of an authority and of a certificate that it signs, for a server that has only a name and for clients.
struct Pem {
    folder: Scratch,
    authority: String,
    certificate: String,
    key: String,
}

impl Pem {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("signs itself");
        let mut params = CertificateParams::new(vec!["halley.test".to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("signs");
        let folder = Scratch::new();
        std::fs::create_dir_all(folder.path()).expect("creates");
        let file = |name: &str, pem: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).expect("writes");
            path.to_str().expect("text").to_owned()
        };
        Self {
            authority: file("authority.pem", authority.pem()),
            certificate: file("node.pem", certificate.pem()),
            key: file("node.key", key.serialize_pem()),
            folder,
        }
    }
}

#[tokio::test]
async fn commands_talk_through_tls_and_show_a_certificate() {
    let pem = Pem::new();
    let node = process::Node::replica(&[
        "--tls-grpc-certificate",
        &pem.certificate,
        "--tls-grpc-key",
        &pem.key,
        "--tls-grpc-client-authority",
        &pem.authority,
    ])
    .await;
    let server = node.at.grpc.to_string();
    let server = ["--server", &server];
    let believed = ["--tls-authority", &pem.authority];
    let named = ["--tls-server-name", "halley.test"];
    let shown = ["--tls-certificate", &pem.certificate, "--tls-key", &pem.key];
    let all = [&server[..], &believed, &named, &shown].concat();
    for verb in [
        &["publish", "/tls/a", "1"][..],
        &["history", "/tls/a"],
        &["subscribe", "/tls/a", "--since", "earliest", "--count", "1"],
        &["channels"],
        &["cluster", "status"],
        &["cluster", "set", "retention.events_max", "5"],
        &["check", "round-trip", "--timeout", "60"],
    ] {
        let output = run(&[verb, &all].concat()).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{verb:?}: {}",
            stderr(&output)
        );
    }
    // By the environment, as a probe in a container is told.
    let mut command = halley(&["history", "/tls/a"]);
    command.env("HALLEY_SERVER", server[1]);
    for (variable, value) in [
        ("AUTHORITY", pem.authority.as_str()),
        ("CERTIFICATE", &pem.certificate),
        ("KEY", &pem.key),
        ("SERVER_NAME", "halley.test"),
    ] {
        command.env(format!("HALLEY_CLIENT_TLS_{variable}"), value);
    }
    let output = command.output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let trip = ["check", "round-trip", "--timeout", "2"];
    let without_a_name = [&trip[..], &server, &believed, &shown].concat();
    let shows_none = [&trip[..], &server, &believed, &named].concat();
    let in_plain_text = [&trip[..], &server].concat();
    for arguments in [without_a_name, shows_none, in_plain_text] {
        let output = run(&arguments).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn tls_that_cannot_be_meant_is_exit_code_2() {
    let pem = Pem::new();
    let nothing = pem.folder.path().join("nothing.pem");
    std::fs::write(&nothing, "nothing").expect("writes");
    let nothing = nothing.to_str().expect("text");
    let (authority, certificate) = (pem.authority.as_str(), pem.certificate.as_str());
    for (arguments, said) in [
        (&["--tls-authority", "/nowhere/a.pem"][..], "/nowhere/a.pem"),
        (&["--tls-authority", nothing], nothing),
        (&["--tls-server-name", "n1"], "--tls-authority"),
        (&["--tls-key", &pem.key], "--tls-certificate"),
        (
            &["--tls-certificate", certificate, "--tls-key", &pem.key],
            "--tls-authority",
        ),
        (
            &[
                "--tls-authority",
                authority,
                "--tls-certificate",
                certificate,
            ],
            "--tls-key",
        ),
        (
            &[
                "--tls-authority",
                authority,
                "--server",
                "http://127.0.0.1:1",
            ],
            "https://",
        ),
    ] {
        for verb in [&["channels"][..], &["check", "round-trip"]] {
            let output = run(&[verb, arguments].concat()).await;
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            assert!(text.contains(said), "{arguments:?}: {text}");
        }
    }
}
