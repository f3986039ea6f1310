//! A node's condition in neutral words, for `ops` and the command line.

use std::fmt::Debug;

/// What kind of node this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Votes and stores.
    Replica,
    /// Only fans out.
    Edge,
}

/// One thing that must hold for a node to be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Short name, `[a-z-]+`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Why, for people.
    pub detail: String,
}

/// A node's condition now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Its role.
    pub role: Role,
    /// It is going down.
    pub draining: bool,
    /// All that readiness asks for.
    pub checks: Vec<Check>,
}

impl NodeStatus {
    /// Whether the node should be given work.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.draining && self.checks.iter().all(|check| check.ok)
    }
}

/// Where `ops` asks. Must answer at once.
pub trait NodeView: Debug + Send + Sync + 'static {
    /// The condition now.
    fn status(&self) -> NodeStatus;
}
