//! This node's condition, as its parts say: what `/readyz` answers.
//!
//! Invariant: a node that was ready is not turned away because its log is out of reach: its readers keep their
//! sockets, and turning every node away would help nobody. Parts that must be mended say so themselves.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use halley_log::{Check, NodeStatus, NodeView, Role, ShardLog};

/// A part with checks of its own.
pub(crate) trait Checked: Debug + Send + Sync {
    /// What readiness asks of it, as it stands now.
    fn checks(&self) -> Vec<Check>;
}

/// The parts that are asked.
#[derive(Debug)]
pub(crate) struct View {
    node: String,
    role: Role,
    log: Arc<dyn ShardLog>,
    parts: Vec<Arc<dyn Checked>>,
    started: AtomicBool,
    formed: AtomicBool,
    draining: AtomicBool,
}

impl View {
    /// A node that is neither started nor formed.
    pub(crate) fn new(
        node: String,
        role: Role,
        log: Arc<dyn ShardLog>,
        parts: Vec<Arc<dyn Checked>>,
    ) -> Self {
        let [started, formed, draining] = [false; 3].map(AtomicBool::new);
        Self {
            node,
            role,
            log,
            parts,
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
        let mut checks = vec![self.log_check(), self.listeners_check()];
        checks.extend(self.parts.iter().flat_map(|part| part.checks()));
        NodeStatus {
            node: self.node.clone(),
            role: self.role,
            draining: self.draining.load(Ordering::Relaxed),
            checks,
        }
    }
}
