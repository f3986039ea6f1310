//! This node's condition, as its parts say: what `/readyz` answers.
//!
//! Invariant: readiness is latched. A node that was ready stays so until it drains, also while its log is
//! out of reach: its readers keep their sockets, and turning every node away would help nobody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use halley_log::{Check, NodeStatus, NodeView, Role, ShardLog};

/// The parts that are asked.
#[derive(Debug)]
pub(crate) struct View {
    node: String,
    role: Role,
    log: Arc<dyn ShardLog>,
    started: AtomicBool,
    formed: AtomicBool,
    draining: AtomicBool,
}

impl View {
    /// A node that is neither started nor formed.
    pub(crate) fn new(node: String, role: Role, log: Arc<dyn ShardLog>) -> Self {
        let [started, formed, draining] = [false; 3].map(AtomicBool::new);
        Self {
            node,
            role,
            log,
            started,
            formed,
            draining,
        }
    }

    /// All listeners serve.
    pub(crate) fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// The node goes down.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn log_check(&self) -> Check {
        if let Some(cluster) = self.log.cluster() {
            self.formed.store(true, Ordering::Relaxed);
            let detail = format!("{} shards", cluster.shards.get());
            return Check {
                name: "log",
                ok: true,
                detail,
            };
        }
        if self.formed.load(Ordering::Relaxed) {
            return Check {
                name: "log",
                ok: true,
                detail: "out of reach for the moment".into(),
            };
        }
        Check {
            name: "log",
            ok: false,
            detail: "the cluster is not known yet".into(),
        }
    }

    fn listeners_check(&self) -> Check {
        let ok = self.started.load(Ordering::Relaxed);
        let detail = if ok { "serving" } else { "starting" };
        Check {
            name: "listeners",
            ok,
            detail: detail.into(),
        }
    }
}

impl NodeView for View {
    fn status(&self) -> NodeStatus {
        NodeStatus {
            node: self.node.clone(),
            role: self.role,
            draining: self.draining.load(Ordering::Relaxed),
            checks: vec![self.log_check(), self.listeners_check()],
        }
    }
}
