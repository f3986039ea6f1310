//! Which nodes `halley dev` runs, under which names and on which ports; pure.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::authority::Files;
use crate::cli;

/// Replicas of a cluster on one machine.
const REPLICAS_MAX: u16 = 7;
/// Nodes of such a cluster.
const NODES_MAX: u16 = 64;
/// Nodes whose default ports do not meet.
const DEFAULT_PORTS_FIT: u16 = 10;

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
    /// Where it stores events; only of a replica.
    pub(super) data: Option<PathBuf>,
    /// Its certificate among nodes.
    pub(super) tls: Files,
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

    /// The command line that makes it one of `all`, behind the program's name.
    pub(super) fn arguments(&self, all: &[Self]) -> Vec<String> {
        let replicas = || all.iter().filter(|node| node.data.is_some());
        let mut arguments: Vec<String> = ["serve", "--exit-with-parent"].map(String::from).into();
        let mut flag = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
        flag("node-name", self.name.clone());
        flag("role", self.role.into());
        for (listener, address) in self.listeners() {
            flag(&format!("listen-{listener}"), address.to_string());
        }
        match &self.data {
            Some(data) => {
                flag("data-directory", data.display().to_string());
                let names: Vec<_> = replicas().map(|node| node.name.as_str()).collect();
                flag("bootstrap-members", names.join(","));
                flag(
                    "bootstrap-peers",
                    joined(replicas().map(|node| node.peer.to_string())),
                );
            }
            None => flag("upstream", joined(self.upstream.iter())),
        }
        flag(
            "tls-peer-certificate",
            self.tls.certificate.display().to_string(),
        );
        flag("tls-peer-key", self.tls.key.display().to_string());
        flag(
            "tls-peer-authority",
            self.tls.authority.display().to_string(),
        );
        flag("cors-origins", "*".into());
        flag("demos", "true".into());
        let pages = all
            .iter()
            .map(|node| format!("{}={}", node.name, node.http));
        flag("demos-nodes", joined(pages));
        arguments
    }
}

fn joined(items: impl Iterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(",")
}

/// Plans the cluster, with everything it stores below `root`.
///
/// # Errors
/// A sentence for people: too many nodes, or ports that do not exist.
pub(super) fn plan(dev: &cli::Dev, root: &Path) -> Result<Vec<Planned>, String> {
    if !(1..=REPLICAS_MAX).contains(&dev.nodes) {
        return Err(format!(
            "--nodes {}: 1 to {REPLICAS_MAX} replicas are allowed; --edges adds nodes that only fan out",
            dev.nodes
        ));
    }
    let edges_max = NODES_MAX - dev.nodes;
    if dev.edges > edges_max {
        return Err(format!(
            "--edges {}: at most {edges_max} are allowed beside {} replicas",
            dev.edges, dev.nodes
        ));
    }
    let count = dev.nodes + dev.edges;
    if dev.base_port.is_none() && count > DEFAULT_PORTS_FIT {
        return Err(format!(
            "{count} nodes: the default ports are enough for {DEFAULT_PORTS_FIT}; choose others with --base-port"
        ));
    }
    let mut planned: Vec<Planned> = Vec::with_capacity(usize::from(count));
    for index in 0..count {
        let is_edge = index >= dev.nodes;
        let port = |column: u16| port(dev.base_port, index, column);
        let name = if is_edge {
            format!("e{}", index - dev.nodes + 1)
        } else {
            format!("n{}", index + 1)
        };
        planned.push(Planned {
            role: if is_edge { "edge" } else { "replica" },
            http: port(0)?,
            grpc: port(1)?,
            peer: port(2)?,
            ops: port(3)?,
            upstream: if is_edge {
                upstream(&planned[..usize::from(dev.nodes)], index - dev.nodes)
            } else {
                Vec::new()
            },
            data: (!is_edge).then(|| root.join(&name)),
            tls: Files::of(root, &name),
            name,
        });
    }
    Ok(planned)
}

/// The replicas in the order in which edge `index` tries them: each edge begins with another one.
fn upstream(replicas: &[Planned], index: u16) -> Vec<SocketAddr> {
    let mut upstream: Vec<_> = replicas.iter().map(|node| node.peer).collect();
    upstream.rotate_left(usize::from(index) % replicas.len());
    upstream
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

    fn dev(nodes: u16, edges: u16, base_port: Option<u16>) -> cli::Dev {
        cli::Dev {
            nodes,
            edges,
            data: None,
            base_port,
            restart_after_ms: 0,
            no_stocks: true,
        }
    }

    fn plan(dev: &cli::Dev) -> Result<Vec<Planned>, String> {
        super::plan(dev, Path::new("/r"))
    }

    #[test]
    fn ports_are_those_of_the_contract() {
        let ports = |planned: &Planned| {
            [planned.http, planned.grpc, planned.peer, planned.ops].map(|address| address.port())
        };
        let planned = plan(&dev(1, 2, None)).expect("fits");
        assert_eq!(ports(&planned[0]), [8080, 9090, 7400, 9100]);
        assert_eq!(ports(&planned[2]), [8082, 9092, 7402, 9102]);
        let planned = plan(&dev(1, 1, Some(20_000))).expect("fits");
        assert_eq!(ports(&planned[1]), [20_010, 20_011, 20_012, 20_013]);
        assert_eq!(
            (planned[0].name.as_str(), planned[1].name.as_str()),
            ("n1", "e1")
        );
    }

    #[test]
    fn every_edge_knows_all_replicas_and_begins_with_another() {
        let planned = plan(&dev(3, 4, None)).expect("fits");
        let [a, b, c] = [0, 1, 2].map(|index: usize| planned[index].peer);
        let upstreams: Vec<_> = planned[3..].iter().map(|edge| &edge.upstream[..]).collect();
        assert_eq!(upstreams, [[a, b, c], [b, c, a], [c, a, b], [a, b, c]]);
        assert!(
            planned[..3]
                .iter()
                .all(|replica| replica.upstream.is_empty())
        );
    }

    #[test]
    fn replicas_found_a_cluster_together_and_store_apart() {
        let planned = plan(&dev(2, 1, Some(20_000))).expect("fits");
        let line = planned[1].arguments(&planned).join(" ");
        for wanted in [
            "--node-name=n2",
            "--listen-peer=127.0.0.1:20012",
            "--data-directory=/r/n2",
            "--bootstrap-members=n1,n2",
            "--bootstrap-peers=127.0.0.1:20002,127.0.0.1:20012",
            "--tls-peer-key=/r/tls/n2.key",
            "--demos-nodes=n1=127.0.0.1:20000,n2=127.0.0.1:20010,e1=127.0.0.1:20020",
        ] {
            assert!(line.contains(wanted), "{wanted} is missing in {line}");
        }
        let line = planned[2].arguments(&planned).join(" ");
        assert!(line.contains("--upstream=127.0.0.1:20002,127.0.0.1:20012"));
        assert!(!line.contains("--data-directory") && !line.contains("--listen-peer"));
    }

    #[test]
    fn too_many_nodes_are_refused_with_the_bound() {
        for (dev, bound) in [
            (dev(0, 0, None), "1 to 7"),
            (dev(8, 0, None), "1 to 7"),
            (dev(3, 62, Some(20_000)), "at most 61"),
            (dev(3, 8, None), "--base-port"),
            (dev(1, 1, Some(65_530)), "--base-port"),
        ] {
            let error = plan(&dev).expect_err("is refused");
            assert!(error.contains(bound), "{error}");
        }
        plan(&dev(7, 3, None)).expect("fits");
    }
}
