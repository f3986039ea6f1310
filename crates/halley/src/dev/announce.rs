//! What `halley dev` says once every node is ready.

use serde::Serialize;

use super::{plan::Planned, root::Root};
use crate::{cli::Output, output};

/// A node that runs.
#[derive(Debug)]
pub(super) struct Running<'a> {
    /// What it was planned as.
    pub(super) planned: &'a Planned,
    /// Its process.
    pub(super) pid: u32,
}

/// The whole announcement: one line of JSON, or a table, three lines to copy, and what becomes of events.
pub(super) fn text(nodes: &[Running<'_>], root: &Root, output: Output) -> String {
    match output {
        Output::Json => json(nodes),
        Output::Text => people(nodes, root),
    }
}

/// contract.md, Command line. `data` is left out where a node stores nothing.
#[derive(Serialize)]
struct Line {
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    role: &'static str,
    http: String,
    grpc: String,
    ops: String,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

fn json(nodes: &[Running<'_>]) -> String {
    let nodes = nodes.iter().map(|node| Node {
        name: node.planned.name.clone(),
        role: node.planned.role,
        http: node.planned.http.to_string(),
        grpc: node.planned.grpc.to_string(),
        ops: node.planned.ops.to_string(),
        pid: node.pid,
        data: node
            .planned
            .data
            .as_ref()
            .map(|data| data.display().to_string()),
    });
    let line = Line {
        nodes: nodes.collect(),
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON")
}

fn people(nodes: &[Running<'_>], root: &Root) -> String {
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|Running { planned, pid }| {
            let peer = match planned.upstream[..] {
                [] => planned.peer.to_string(),
                _ => "-".into(),
            };
            vec![
                planned.name.clone(),
                planned.role.into(),
                planned.http.to_string(),
                planned.grpc.to_string(),
                peer,
                planned.ops.to_string(),
                pid.to_string(),
            ]
        })
        .collect();
    let table = output::table(
        &["node", "role", "http", "grpc", "peer", "ops", "pid"],
        &rows,
    );
    let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else {
        return table;
    };
    let kept = if root.is_temporary() {
        "Events are on disk, and gone when this command ends; --data DIR keeps them.".into()
    } else {
        format!("Events are kept below {}.", root.path().display())
    };
    format!(
        "{table}\n\n\
         publish    curl -d '{{\"text\":\"hello\"}}' http://{}/v1/publish/chat/lobby\n\
         subscribe  curl -N http://{}/v1/sse/chat/lobby\n\
         open       http://{}/demo/stocks\n\n\
         {kept} Ctrl-C ends all nodes; a killed one is started again.",
        first.planned.http, last.planned.http, last.planned.http
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{cli, dev::plan::plan};

    const ROOT: &str = "/r";

    fn planned() -> Vec<Planned> {
        let dev = cli::Dev {
            nodes: 1,
            edges: 1,
            data: None,
            base_port: None,
            restart_after_ms: 0,
            no_stocks: true,
        };
        plan(&dev, Path::new(ROOT)).expect("fits")
    }

    fn text(output: Output) -> String {
        let planned = planned();
        let numbered = planned.iter().zip([11, 12]);
        let running: Vec<_> = numbered
            .map(|(planned, pid)| Running { planned, pid })
            .collect();
        super::text(&running, &Root::kept(ROOT.into()), output)
    }

    #[test]
    fn the_line_has_the_form_of_the_contract() {
        let expected = "{\"nodes\":[{\"name\":\"n1\",\"role\":\"replica\",\"http\":\"127.0.0.1:8080\",\
                        \"grpc\":\"127.0.0.1:9090\",\"ops\":\"127.0.0.1:9100\",\"pid\":11,\
                        \"data\":\"/r/n1\"},{\"name\":\"e1\",\"role\":\"edge\",\"http\":\"127.0.0.1:8081\",\
                        \"grpc\":\"127.0.0.1:9091\",\"ops\":\"127.0.0.1:9101\",\"pid\":12}]}";
        assert_eq!(text(Output::Json), expected);
    }

    #[test]
    fn people_get_a_table_and_three_lines() {
        let text = text(Output::Text);
        for wanted in [
            "e1    edge",
            "http://127.0.0.1:8080/v1/publish/",
            "http://127.0.0.1:8081/v1/sse/",
            "/demo/stocks",
            "kept below /r.",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in:\n{text}");
        }
    }
}
