//! What a node is told: settings from flags, environment and file, read once, checked as a whole.
//!
//! Invariant: a [`Settings`] is within every bound; nothing behind it reads the environment or a file.

mod environment;
mod file;
mod flags;
mod layer;
mod nearest;
#[cfg(test)]
mod reference;
mod replica;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod typed;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use halley_log::Role;
use halley_shard::ShardCount;
use thiserror::Error;

pub(crate) use environment::of_one_node;
pub(crate) use flags::Flags;
use layer::{Layer, Origin};
pub(crate) use replica::ReplicaSettings;
pub(crate) use tls::{GrpcTls, PeerTls, Tls};

/// Everything a node is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) role: Role,
    /// Peer addresses of replicas; only of an edge, then at least one.
    pub(crate) upstream: Vec<String>,
    /// What only a replica is told; `None` of an edge.
    pub(crate) replica: Option<ReplicaSettings>,
    /// Its listeners.
    pub(crate) listen: Listen,
    /// Certificates and keys, as files.
    pub(crate) tls: Tls,
    /// Shards of a cluster that this node begins.
    pub(crate) shards: ShardCount,
    /// Largest payload of an event.
    pub(crate) payload_bytes_max: usize,
    /// First settings of every shard of such a cluster.
    pub(crate) shard: halley_shard::Settings,
    /// Origins whose pages may use this node.
    pub(crate) cors_origins: Vec<String>,
    /// Serve the demos.
    pub(crate) demos: bool,
    /// Nodes that demo pages go on with.
    pub(crate) demos_nodes: Vec<DemoNode>,
    /// Longest drain.
    pub(crate) drain_max: Duration,
    /// Form of log lines.
    pub(crate) log_format: LogFormat,
    /// Directives of the log filter.
    pub(crate) log_level: String,
}

/// Addresses to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    /// Browsers.
    pub(crate) http: SocketAddr,
    /// Back ends.
    pub(crate) grpc: SocketAddr,
    /// Other nodes; not used by an edge.
    pub(crate) peer: SocketAddr,
    /// The platform.
    pub(crate) ops: SocketAddr,
}

/// A node as demo pages know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DemoNode {
    /// Its name.
    pub(crate) name: String,
    /// Its http listener.
    pub(crate) http: SocketAddr,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a node does not know what to do. All of them are mistakes in what it was told.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The file names something that is no setting.
    #[error("{}, line {line}: there is no setting `{key}`{}", path.display(), hint(nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// The environment names something that is no setting.
    #[error("environment: there is no setting `{name}`{}", hint(nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value cannot be.
    #[error("`{key}` is `{value}` ({origin}): {reason}")]
    Invalid {
        /// Which setting.
        key: String,
        /// What was said.
        value: String,
        /// Where.
        origin: String,
        /// What would be right.
        reason: String,
    },
}

impl SettingsError {
    fn invalid(key: &str, value: &str, origin: &Origin, reason: String) -> Self {
        Self::Invalid {
            key: key.into(),
            value: value.into(),
            origin: origin.to_string(),
            reason,
        }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest
        .map(|nearest| format!("; did you mean `{nearest}`?"))
        .unwrap_or_default()
}

/// Reads the settings: flag > environment > file > default.
///
/// # Errors
/// [`SettingsError`]
pub(crate) fn load(
    path: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Settings, SettingsError> {
    let mut layer = Layer::defaults();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path).map_err(|reason| SettingsError::Unreadable {
            path: path.into(),
            reason,
        })?;
        layer.over(file::read(path, &text)?);
    }
    layer.over(environment::read(variables)?);
    layer.over(flags.layer()?);
    typed::build(&layer)
}

/// The process's environment, as far as it is text.
pub(crate) fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
