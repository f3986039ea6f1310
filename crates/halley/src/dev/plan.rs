//! Which nodes `halley dev` runs, under which names and on which ports; pure.

use std::net::{Ipv4Addr, SocketAddr};

use crate::cli;

/// Nodes that fit beside each other on the default ports.
const NODES_MAX: u16 = 64;

/// One node to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// `n1`, …, or `e1`, ….
    pub(super) name: String,
    /// `replica` or `edge`.
    pub(super) role: &'static str,
    /// Browsers.
    pub(super) http: SocketAddr,
    /// Back ends.
    pub(super) grpc: SocketAddr,
    /// Other nodes; an edge leaves it unused.
    pub(super) peer: SocketAddr,
    /// The platform.
    pub(super) ops: SocketAddr,
    /// Peer addresses of the replicas; only of an edge.
    pub(super) upstream: Vec<SocketAddr>,
}

impl Planned {
    /// The listeners that it opens, by name.
    pub(super) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut listeners = vec![("http", self.http), ("grpc", self.grpc)];
        if self.upstream.is_empty() {
            listeners.push(("peer", self.peer));
        }
        listeners.push(("ops", self.ops));
        listeners
    }

    /// The command line that makes it, behind the program's name.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["serve", "--exit-with-parent"].map(String::from).into();
        let mut flag = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        flag("node-name", self.name.clone());
        flag("role", self.role.into());
        for (listener, address) in self.listeners() {
            flag(&format!("listen-{listener}"), address.to_string());
        }
        flag("cors-origins", "*".into());
        if !self.upstream.is_empty() {
            let upstream: Vec<_> = self.upstream.iter().map(ToString::to_string).collect();
            flag("upstream", upstream.join(","));
        }
        arguments.push("--demos=true".into());
        arguments
    }
}

/// Plans the cluster.
///
/// # Errors
/// A sentence for people: what this release cannot do yet, or ports that do not exist.
pub(super) fn plan(dev: &cli::Dev) -> Result<Vec<Planned>, String> {
    if let Some(data) = &dev.data {
        return Err(format!(
            "--data {}: storing events on disk comes with the next release; for now events are in memory \
             only. Leave --data out",
            data.display()
        ));
    }
    if dev.nodes != 1 {
        return Err(format!(
            "--nodes {}: replication comes with the next release; for now there is exactly one replica. \
             Leave --nodes out, or add edges with --edges",
            dev.nodes
        ));
    }
    if dev.edges >= NODES_MAX {
        return Err(format!(
            "--edges {}: at most {} are allowed",
            dev.edges,
            NODES_MAX - 1
        ));
    }
    let count = dev.nodes + dev.edges;
    let mut planned: Vec<Planned> = Vec::with_capacity(usize::from(count));
    for index in 0..count {
        let is_edge = index >= dev.nodes;
        let port = |column: u16| port(dev.base_port, index, column);
        let upstream = planned
            .iter()
            .filter(|node| is_edge && node.role == "replica");
        planned.push(Planned {
            name: if is_edge {
                format!("e{}", index - dev.nodes + 1)
            } else {
                format!("n{}", index + 1)
            },
            role: if is_edge { "edge" } else { "replica" },
            http: port(0)?,
            grpc: port(1)?,
            peer: port(2)?,
            ops: port(3)?,
            upstream: upstream.map(|node| node.peer).collect(),
        });
    }
    Ok(planned)
}

/// The port of listener `column` (http, grpc, peer, ops) of node `index`: contract.md, Command line.
fn port(base: Option<u16>, index: u16, column: u16) -> Result<SocketAddr, String> {
    const DEFAULTS: [u16; 4] = [8080, 9090, 7400, 9100];
    let port = match base {
        Some(base) => u32::from(base) + 10 * u32::from(index) + u32::from(column),
        None => u32::from(DEFAULTS[usize::from(column)]) + u32::from(index),
    };
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => Err(format!(
            "--base-port: node {} would need port {port}",
            index + 1
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(edges: u16, base_port: Option<u16>) -> cli::Dev {
        cli::Dev {
            nodes: 1,
            edges,
            data: None,
            base_port,
            restart_after_ms: 0,
            no_stocks: true,
        }
    }

    #[test]
    fn ports_are_those_of_the_contract() {
        let ports = |planned: &Planned| {
            [planned.http, planned.grpc, planned.peer, planned.ops].map(|address| address.port())
        };
        let planned = plan(&dev(2, None)).expect("fits");
        assert_eq!(ports(&planned[0]), [8080, 9090, 7400, 9100]);
        assert_eq!(ports(&planned[2]), [8082, 9092, 7402, 9102]);
        let planned = plan(&dev(1, Some(20_000))).expect("fits");
        assert_eq!(ports(&planned[1]), [20_010, 20_011, 20_012, 20_013]);
        assert_eq!(planned[1].upstream, [planned[0].peer]);
        assert_eq!(
            (planned[0].name.as_str(), planned[1].name.as_str()),
            ("n1", "e1")
        );
    }

    #[test]
    fn what_comes_later_says_so() {
        let error = plan(&cli::Dev {
            nodes: 3,
            ..dev(0, None)
        })
        .expect_err("not yet");
        assert!(
            error.contains("replication comes with the next release"),
            "{error}"
        );
        let error = plan(&cli::Dev {
            data: Some("/d".into()),
            ..dev(0, None)
        })
        .expect_err("not yet");
        assert!(error.contains("next release"), "{error}");
        plan(&dev(1, Some(65_530))).expect_err("no such port");
    }
}
