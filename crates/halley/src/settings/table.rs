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
    "listen.http" "HALLEY_LISTEN_HTTP" "listen-http" Text "0.0.0.0:8080" "IP:PORT"
        "Where browsers come in: every transport, HTTP publish, demos"
    "listen.grpc" "HALLEY_LISTEN_GRPC" "listen-grpc" Text "127.0.0.1:9090" "IP:PORT"
        "Where back ends and operators come in: gRPC `halley.v1`, health, reflection"
    "listen.peer" "HALLEY_LISTEN_PEER" "listen-peer" Text "127.0.0.1:7400" "IP:PORT"
        "Where other nodes come in; an edge has no such listener"
    "listen.ops" "HALLEY_LISTEN_OPS" "listen-ops" Text "127.0.0.1:9100" "IP:PORT"
        "Where the platform comes in: `/livez`, `/readyz`, `/metrics`"
    "insecure" "HALLEY_INSECURE" "insecure" Switch "false" "BOOL"
        "Allows a peer or grpc listener beyond loopback without TLS"
    "shards" "HALLEY_SHARDS" "shards" Integer "2" "COUNT"
        "Into how many independently ordered logs the channels are spread, 1 to 16; fixed for the life of a cluster; an edge learns it from its upstream"
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
