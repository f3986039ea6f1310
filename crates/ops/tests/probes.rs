//! Probes and metrics over a real socket, as a platform asks for them.

use std::sync::{Arc, Mutex};

use halley_env::Env;
use halley_log::{Check, NodeStatus, NodeView, Role};
use halley_ops::{OpsServer, install_metrics};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Debug)]
struct View(Mutex<NodeStatus>);

impl NodeView for View {
    fn status(&self) -> NodeStatus {
        self.0.lock().expect("nobody panics holding it").clone()
    }
}

async fn get(server: &OpsServer, target: &str) -> String {
    let mut stream = TcpStream::connect(server.local_addr())
        .await
        .expect("the listener is there");
    let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the listener is there");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("the listener is there");
    answer
}

#[tokio::test]
async fn probes_follow_the_node_and_metrics_have_names_and_help() {
    let status = NodeStatus {
        node: "n1".to_owned(),
        role: Role::Edge,
        draining: false,
        checks: vec![Check {
            name: "log",
            ok: true,
            detail: "formed".to_owned(),
        }],
    };
    let view = Arc::new(View(Mutex::new(status)));
    let metrics = install_metrics();
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("the listener is there");
    let server = OpsServer::start(listener, view.clone(), metrics, Env::system());

    assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&server, "/console").await.starts_with("HTTP/1.1 404"));

    let metrics = get(&server, "/metrics").await;
    for line in [
        "halley_ready 1",
        "halley_draining 0",
        "halley_node_info{node=\"n1\",role=\"edge\"} 1",
        "# TYPE process_open_fds gauge",
        "# HELP process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(line), "{line} is missing of:\n{metrics}");
    }

    view.0.lock().unwrap().checks[0] = Check {
        name: "log",
        ok: false,
        detail: "no \"upstream\"".to_owned(),
    };
    let answer = get(&server, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("log: no \"upstream\""));
    let verbose = get(&server, "/readyz?verbose").await;
    let body: serde_json::Value =
        serde_json::from_str(verbose.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["checks"][0]["detail"], "no \"upstream\"");
    assert_eq!(body["ready"], false);
    assert!(
        get(&server, "/livez").await.starts_with("HTTP/1.1 200"),
        "alive all the same"
    );
    server.stop().await;
}
