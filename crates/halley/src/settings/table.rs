//! Every setting of a node: its name in the file, in the environment and on the command line, its default and
//! its meaning.
//!
//! The one list: flags, strictness, and `docs/configuration.md` are made from it. Invariant: the environment's
//! name and the flag follow from the key (a test holds them to it), and a default reads back as written.

use halley_shard::limits;

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A whole number, zero or more.
    Integer,
    /// `true` or `false`.
    Switch,
    /// Texts; in the environment and on the command line separated by commas.
    List,
    /// Retention rules; in the environment and on the command line `PATTERN?events_max=N&…`, separated by
    /// white space.
    Rules,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Name in the file, tables separated by dots.
    pub(crate) key: &'static str,
    /// Name in the environment.
    pub(crate) env: &'static str,
    /// Name on the command line, without the dashes.
    pub(crate) flag: &'static str,
    /// Form of its value.
    pub(crate) kind: Kind,
    /// Default, as one would write it in the environment.
    pub(crate) default: &'static str,
    /// What stands for the value in help texts.
    pub(crate) value: &'static str,
    /// What it does, with unit and bounds.
    pub(crate) doc: &'static str,
}

macro_rules! settings {
    ($($key:literal $env:literal $flag:literal $kind:ident $default:literal $value:literal $doc:literal)*) => {
        &[$(Setting {
            key: $key, env: $env, flag: $flag, kind: Kind::$kind, default: $default, value: $value, doc: $doc,
        },)*]
    };
}

/// All settings, in the order of the reference.
#[rustfmt::skip]
pub(crate) const TABLE: &[Setting] = settings! {
    "node.name" "HALLEY_NODE_NAME" "node-name" Text "n1" "NAME"
        "Name of this node in logs and answers: 1 to 64 letters, digits, `-`, `_` and `.`"
    "role" "HALLEY_ROLE" "role" Text "replica" "replica|edge"
        "`replica` stores events; `edge` stores nothing, follows a replica and serves the same public API"
    "upstream" "HALLEY_UPSTREAM" "upstream" List "" "HOST:PORT,…"
        "Peer addresses of the replicas that an edge follows, tried in this order; an edge needs at least one, a replica has none"
    "data.directory" "HALLEY_DATA_DIRECTORY" "data-directory" Text "" "PATH"
        "Where a replica keeps its log and snapshots, used by no other process; a replica needs it, an edge stores nothing"
    "bootstrap.members" "HALLEY_BOOTSTRAP_MEMBERS" "bootstrap-members" List "" "NAME,…"
        "Names of the 1 to 7 replicas that found the cluster, the same on each of them; `n1` alone is a cluster of one. A replica that is not among them, or is told none, only joins. Read by empty disks only"
    "bootstrap.peers" "HALLEY_BOOTSTRAP_PEERS" "bootstrap-peers" List "" "HOST:PORT,…"
        "Peer addresses at which replicas may be found, its own may be among them; whoever answers says its name"
    "listen.http" "HALLEY_LISTEN_HTTP" "listen-http" Text "0.0.0.0:8080" "IP:PORT"
        "Where browsers come in: every transport, HTTP publish, demos"
    "listen.grpc" "HALLEY_LISTEN_GRPC" "listen-grpc" Text "127.0.0.1:9090" "IP:PORT"
        "Where back ends and operators come in: gRPC `halley.v1`, health, reflection"
    "listen.peer" "HALLEY_LISTEN_PEER" "listen-peer" Text "127.0.0.1:7400" "IP:PORT"
        "Where other nodes come in; an edge has no such listener"
    "listen.ops" "HALLEY_LISTEN_OPS" "listen-ops" Text "127.0.0.1:9100" "IP:PORT"
        "Where the platform comes in: `/livez`, `/readyz`, `/metrics`"
    "advertise.peer" "HALLEY_ADVERTISE_PEER" "advertise-peer" Text "" "HOST:PORT"
        "Where other nodes find the peer listener of a replica; the address it listens on where none is given"
    "advertise.grpc" "HALLEY_ADVERTISE_GRPC" "advertise-grpc" Text "" "HOST:PORT"
        "Where back ends find the grpc listener of a replica; the address it listens on where none is given"
    "advertise.http" "HALLEY_ADVERTISE_HTTP" "advertise-http" Text "" "HOST:PORT"
        "Where browsers find the http listener of a replica; the address it listens on where none is given"
    "tls.peer.certificate" "HALLEY_TLS_PEER_CERTIFICATE" "tls-peer-certificate" Text "" "FILE"
        "PEM file of the certificate, with its chain, that this node shows to other nodes, as server and as client"
    "tls.peer.key" "HALLEY_TLS_PEER_KEY" "tls-peer-key" Text "" "FILE"
        "PEM file of its private key"
    "tls.peer.authority" "HALLEY_TLS_PEER_AUTHORITY" "tls-peer-authority" Text "" "FILE"
        "PEM file of the authorities that sign the certificates of all nodes; whoever shows none of theirs is refused"
    "tls.peer.server_name" "HALLEY_TLS_PEER_SERVER_NAME" "tls-peer-server-name" Text "" "NAME"
        "Name that the certificates of all nodes carry; where none is given, a certificate carries the host by which its node is addressed"
    "tls.grpc.certificate" "HALLEY_TLS_GRPC_CERTIFICATE" "tls-grpc-certificate" Text "" "FILE"
        "PEM file of the certificate, with its chain, of the grpc listener"
    "tls.grpc.key" "HALLEY_TLS_GRPC_KEY" "tls-grpc-key" Text "" "FILE"
        "PEM file of its private key"
    "tls.grpc.client_authority" "HALLEY_TLS_GRPC_CLIENT_AUTHORITY" "tls-grpc-client-authority" Text "" "FILE"
        "PEM file of the authorities whose clients may use the grpc listener; everybody may where none is given"
    "insecure" "HALLEY_INSECURE" "insecure" Switch "false" "BOOL"
        "Allows a peer or grpc listener beyond loopback without TLS"
    "shards" "HALLEY_SHARDS" "shards" Integer "2" "COUNT"
        "Into how many independently ordered logs the channels are spread, 1 to 16; fixed for the life of a cluster; an edge learns it from its upstream"
    "raft.heartbeat_ms" "HALLEY_RAFT_HEARTBEAT_MS" "raft-heartbeat-ms" Integer "100" "MILLISECONDS"
        "Milliseconds between two signs of life of a leader, 10 to 10000 and less than `raft.election_min_ms`"
    "raft.election_min_ms" "HALLEY_RAFT_ELECTION_MIN_MS" "raft-election-min-ms" Integer "250" "MILLISECONDS"
        "Least time without a leader before a replica stands for election: more than `raft.heartbeat_ms`, less than `raft.election_max_ms`"
    "raft.election_max_ms" "HALLEY_RAFT_ELECTION_MAX_MS" "raft-election-max-ms" Integer "350" "MILLISECONDS"
        "Most of it, at most 60000; a failover takes this and a draw between the two bounds"
    "replace.after_seconds" "HALLEY_REPLACE_AFTER_SECONDS" "replace-after-seconds" Integer "60" "SECONDS"
        "A replica whose disk is gone is replaced by the new one of its name and address once nobody heard the old one for so long, 1 to 86400"
    "disk.ballast_max_bytes" "HALLEY_DISK_BALLAST_MAX_BYTES" "disk-ballast-max-bytes" Integer "268435456" "BYTES"
        "Bytes set aside for when the disk is full; the smaller of this and 2 % of the disk"
    "disk.free_min_bytes" "HALLEY_DISK_FREE_MIN_BYTES" "disk-free-min-bytes" Integer "1073741824" "BYTES"
        "Below so many free bytes, or 10 % of the disk when that is less, a replica takes no publishes, leads nothing and is not ready, until there is space again"
    "limits.payload_bytes_max" "HALLEY_LIMITS_PAYLOAD_BYTES_MAX" "limits-payload-bytes-max" Integer "65536" "BYTES"
        "Largest payload of an event, 1 to 262144 bytes"
    "retention.events_max" "HALLEY_RETENTION_EVENTS_MAX" "retention-events-max" Integer "1000" "COUNT"
        "Newest events kept of a channel, 0 to 1000000, where no rule matches"
    "retention.bytes_max" "HALLEY_RETENTION_BYTES_MAX" "retention-bytes-max" Integer "1048576" "BYTES"
        "Bytes kept of a channel, where no rule matches; the newest event stays even if it is larger"
    "retention.age_max_seconds" "HALLEY_RETENTION_AGE_MAX_SECONDS" "retention-age-max-seconds" Integer "0" "SECONDS"
        "Seconds after which an event goes, where no rule matches; 0 keeps events whatever their age"
    "retention.rules" "HALLEY_RETENTION_RULES" "retention-rules" Rules "" "PATTERN?events_max=N&…"
        "Retention of the channels that match; the first matching rule counts, at most 64 rules. In the file `[[retention.rules]]` tables with `channels`, `events_max`, `bytes_max`, `age_max_seconds`; what a rule leaves out is the default of `retention`"
    "retention.shard_bytes_max" "HALLEY_RETENTION_SHARD_BYTES_MAX" "retention-shard-bytes-max" Integer "268435456" "BYTES"
        "Bytes kept of a whole shard; beyond, the oldest events of the shard go first"
    "retention.shard_channels_max" "HALLEY_RETENTION_SHARD_CHANNELS_MAX" "retention-shard-channels-max" Integer "1000000" "COUNT"
        "Channels of a shard, 1 to 1000000; beyond, the channel empty for longest goes, else that of the oldest event"
    "cors.origins" "HALLEY_CORS_ORIGINS" "cors-origins" List "" "ORIGIN,…"
        "Origins whose pages may use this node, such as `https://example.org`; `*` allows all, without credentials"
    "demos" "HALLEY_DEMOS" "demos" Switch "false" "BOOL"
        "Serves the demo pages below `/demo/` on the http listener"
    "demos_nodes" "HALLEY_DEMOS_NODES" "demos-nodes" List "" "NAME=IP:PORT,…"
        "Nodes of the cluster that demo pages go on with when the node that served them is gone, by their http listeners"
    "drain.max_seconds" "HALLEY_DRAIN_MAX_SECONDS" "drain-max-seconds" Integer "60" "SECONDS"
        "Longest time that a node going down gives to subscribers and requests over HTTP, 1 to 3600; subscribers are told to come back elsewhere one by one over three quarters of it. Calls over gRPC then have up to 10 seconds more"
    "log.format" "HALLEY_LOG_FORMAT" "log-format" Text "text" "text|json"
        "Form of the log lines on standard error"
    "log.level" "HALLEY_LOG_LEVEL" "log-level" Text "info" "LEVEL"
        "`error`, `warn`, `info`, `debug` or `trace`, also by module: `info,halley_http=debug`"
};

const _: () = assert!(limits::PAYLOAD_BYTES_DEFAULT == 65_536);
const _: () = assert!(limits::PAYLOAD_BYTES_CEILING == 262_144);
const _: () = assert!(limits::SHARDS_MAX == 16);
const _: () = assert!(limits::RETAINED_EVENTS_DEFAULT == 1_000);
const _: () = assert!(limits::RETAINED_BYTES_DEFAULT == 1_048_576);
const _: () = assert!(limits::SHARD_BYTES_DEFAULT == 268_435_456);
const _: () = assert!(limits::SHARD_CHANNELS_DEFAULT == 1_000_000);
const _: () = assert!(limits::RETENTION_RULES_MAX == 64);

/// The setting called `key` in the file.
pub(crate) fn by_key(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_and_flag_follow_from_the_key() {
        for setting in TABLE {
            let env = format!("HALLEY_{}", setting.key.to_uppercase().replace('.', "_"));
            let flag = setting.key.replace(['.', '_'], "-");
            assert_eq!((setting.env, setting.flag), (env.as_str(), flag.as_str()));
        }
    }

    #[test]
    fn keys_are_listed_once() {
        let mut keys: Vec<_> = TABLE.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), TABLE.len());
    }
}
