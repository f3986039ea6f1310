//! What only a replica is told: its disk, its cluster, its elections.

use std::{path::PathBuf, time::Duration};

use halley_replica::{DiskBounds, Timing};

use super::{
    Listen, SettingsError,
    layer::Layer,
    typed::{bounded, integer, invalid, is_host_and_port, list, node_name, text},
};

const MEMBERS_MAX: usize = 7;
const HEARTBEAT_MS_MIN: u64 = 10;
const HEARTBEAT_MS_MAX: u64 = 10_000;
const ELECTION_MS_MAX: u64 = 60_000;
const REPLACE_SECONDS_MAX: u64 = 86_400;

/// Settings of a replica.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaSettings {
    /// Its directory.
    pub(crate) data: PathBuf,
    /// Names of the founding members, itself among them; empty when it only joins.
    pub(crate) members: Vec<String>,
    /// Peer addresses at which members may be found.
    pub(crate) peers: Vec<String>,
    /// Where others are told to find it.
    pub(crate) advertise: Advertise,
    /// Heartbeats and elections.
    pub(crate) timing: Timing,
    /// How long a member must be silent before the new node of its name replaces it.
    pub(crate) replace_after: Duration,
    /// When a disk is full.
    pub(crate) disk: DiskBounds,
}

/// `host:port` told to others; `None` where the address that is listened on says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertise {
    /// Other nodes.
    pub(crate) peer: Option<String>,
    /// Back ends.
    pub(crate) grpc: Option<String>,
    /// Browsers.
    pub(crate) http: Option<String>,
}

/// Reads what the replica called `name` is told.
///
/// # Errors
/// [`SettingsError::Invalid`]
pub(super) fn build(
    layer: &Layer,
    name: &str,
    listen: &Listen,
) -> Result<ReplicaSettings, SettingsError> {
    let data = data(layer)?;
    let (members, peers) = cluster(layer, name)?;
    Ok(ReplicaSettings {
        data,
        members,
        peers,
        advertise: Advertise {
            peer: advertised(layer, "peer", listen.peer)?,
            grpc: advertised(layer, "grpc", listen.grpc)?,
            http: advertised(layer, "http", listen.http)?,
        },
        timing: timing(layer)?,
        replace_after: Duration::from_secs(bounded(
            layer,
            "replace.after_seconds",
            1,
            REPLACE_SECONDS_MAX,
        )?),
        disk: DiskBounds {
            ballast_max: integer(layer, "disk.ballast_max_bytes"),
            free_min: integer(layer, "disk.free_min_bytes"),
        },
    })
}

fn data(layer: &Layer) -> Result<PathBuf, SettingsError> {
    let key = "data.directory";
    let directory = text(layer, key);
    if directory.is_empty() {
        let reason = "a replica needs a directory to store events in, such as /var/lib/halley";
        return Err(invalid(layer, key, &directory, reason.into()));
    }
    Ok(directory.into())
}

/// Founding members (none when `name` only joins), and where members may be found.
fn cluster(layer: &Layer, name: &str) -> Result<(Vec<String>, Vec<String>), SettingsError> {
    let (key, others) = ("bootstrap.members", "bootstrap.peers");
    let listed = list(layer, key);
    let joined = || listed.join(",");
    let members = listed.iter().map(|member| node_name(layer, key, member));
    let members: Vec<String> = members.collect::<Result<_, _>>()?;
    if members.len() > MEMBERS_MAX {
        let reason = format!("at most {MEMBERS_MAX} members are allowed");
        return Err(invalid(layer, key, &joined(), reason));
    }
    let mut sorted = members.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("{} is named twice", twice[0]);
        return Err(invalid(layer, key, &joined(), reason));
    }
    let peers = list(layer, others);
    if let Some(address) = peers.iter().find(|address| !is_host_and_port(address)) {
        let reason = "HOST:PORT is needed, the peer address of a replica".into();
        return Err(invalid(layer, others, address, reason));
    }
    let founds = members.iter().any(|member| member == name);
    if peers.is_empty() && members != [name] {
        let reason = if founds {
            "the other members cannot be found: name their peer addresses here".into()
        } else {
            format!(
                "this node has no cluster: set `{key}` to `{name}` for a cluster of one, or name here the peer \
                 addresses of the replicas that it founds one with, or joins"
            )
        };
        return Err(invalid(layer, others, &"", reason));
    }
    let members = if founds { members } else { Vec::new() };
    Ok((members, peers.to_vec()))
}

fn advertised(
    layer: &Layer,
    listener: &str,
    listen: std::net::SocketAddr,
) -> Result<Option<String>, SettingsError> {
    let key = format!("advertise.{listener}");
    let address = text(layer, &key);
    if is_host_and_port(address) {
        return Ok(Some(address.into()));
    }
    if !address.is_empty() {
        let reason = "HOST:PORT is needed, such as n1.example.org:7400".into();
        return Err(invalid(layer, &key, &address, reason));
    }
    if listen.ip().to_canonical().is_unspecified() {
        let reason = format!(
            "`listen.{listener}` is {listen}, which tells others nothing: set the HOST:PORT at which they find \
             this listener"
        );
        return Err(invalid(layer, &key, &address, reason));
    }
    Ok(None)
}

fn timing(layer: &Layer) -> Result<Timing, SettingsError> {
    let heartbeat = bounded(
        layer,
        "raft.heartbeat_ms",
        HEARTBEAT_MS_MIN,
        HEARTBEAT_MS_MAX,
    )?;
    let (min, max) = ("raft.election_min_ms", "raft.election_max_ms");
    let election_min = integer(layer, min);
    if election_min <= heartbeat {
        let reason = format!("more than `raft.heartbeat_ms` is needed, which is {heartbeat}");
        return Err(invalid(layer, min, &election_min, reason));
    }
    let election_max = integer(layer, max);
    if election_max <= election_min || election_max > ELECTION_MS_MAX {
        let reason = format!(
            "more than `{min}` is needed, which is {election_min}, and at most {ELECTION_MS_MAX}"
        );
        return Err(invalid(layer, max, &election_max, reason));
    }
    Ok(Timing {
        heartbeat: Duration::from_millis(heartbeat),
        election_min: Duration::from_millis(election_min),
        election_max: Duration::from_millis(election_max),
    })
}
