//! From values to settings that mean something: bounds, addresses, and what goes with what.

use std::{net::SocketAddr, time::Duration};

use halley_log::Role;
use halley_shard::{Retention, RetentionRule, ShardCount, limits};

use super::{
    DemoNode, Listen, LogFormat, Settings, SettingsError, Tls,
    layer::{Layer, Rule, Value},
    replica, tls,
};

/// Largest `retention.events_max`.
const EVENTS_MAX: u64 = 1_000_000;
const NAME_BYTES_MAX: usize = 64;
/// Largest `retention.age_max_seconds`: ten years.
const AGE_SECONDS_MAX: u64 = limits::AGE_MS_CEILING / 1_000;
const DRAIN_SECONDS_MAX: u64 = 3_600;

/// Builds the settings from all layers together.
///
/// # Errors
/// [`SettingsError`]
pub(super) fn build(layer: &Layer) -> Result<Settings, SettingsError> {
    let role = role(layer)?;
    let name = name(layer)?;
    let listen = Listen {
        http: address(layer, "listen.http")?,
        grpc: address(layer, "listen.grpc")?,
        peer: address(layer, "listen.peer")?,
        ops: address(layer, "listen.ops")?,
    };
    let tls = tls::build(layer)?;
    loopback_or_tls(layer, role, &listen, &tls)?;
    Ok(Settings {
        upstream: upstream(layer, role)?,
        shards: shards(layer)?,
        payload_bytes_max: payload(layer)?,
        shard: shard(layer)?,
        cors_origins: origins(layer)?,
        demos: switch(layer, "demos"),
        demos_nodes: demos_nodes(layer)?,
        drain_max: Duration::from_secs(bounded(layer, "drain.max_seconds", 1, DRAIN_SECONDS_MAX)?),
        log_format: log_format(layer)?,
        log_level: text(layer, "log.level").into(),
        replica: match role {
            Role::Replica => Some(replica::build(layer, &name, &listen)?),
            Role::Edge => None,
        },
        name,
        role,
        listen,
        tls,
    })
}

pub(super) fn text<'a>(layer: &'a Layer, key: &str) -> &'a str {
    match layer.get(key).0 {
        Value::Text(text) => text,
        other => unreachable!("{key} is a text in the table, not {other:?}"),
    }
}

pub(super) fn integer(layer: &Layer, key: &str) -> u64 {
    match layer.get(key).0 {
        Value::Integer(number) => *number,
        other => unreachable!("{key} is an integer in the table, not {other:?}"),
    }
}

fn switch(layer: &Layer, key: &str) -> bool {
    match layer.get(key).0 {
        Value::Switch(on) => *on,
        other => unreachable!("{key} is a switch in the table, not {other:?}"),
    }
}

pub(super) fn list<'a>(layer: &'a Layer, key: &str) -> &'a [String] {
    match layer.get(key).0 {
        Value::List(items) => items,
        other => unreachable!("{key} is a list in the table, not {other:?}"),
    }
}

pub(super) fn invalid(
    layer: &Layer,
    key: &str,
    value: &impl ToString,
    reason: String,
) -> SettingsError {
    SettingsError::invalid(key, &value.to_string(), layer.get(key).1, reason)
}

pub(super) fn bounded(
    layer: &Layer,
    key: &str,
    least: u64,
    most: u64,
) -> Result<u64, SettingsError> {
    let value = integer(layer, key);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid(
        layer,
        key,
        &value,
        format!("{least} to {most} is allowed"),
    ))
}

fn name(layer: &Layer) -> Result<String, SettingsError> {
    node_name(layer, "node.name", text(layer, "node.name"))
}

/// `name`, if a node may be called so.
pub(super) fn node_name(layer: &Layer, key: &str, name: &str) -> Result<String, SettingsError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let reason = format!("1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.` are allowed");
        return Err(invalid(layer, key, &name, reason));
    }
    Ok(name.into())
}

/// Whether `address` is `HOST:PORT`.
pub(super) fn is_host_and_port(address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn role(layer: &Layer) -> Result<Role, SettingsError> {
    match text(layer, "role") {
        "replica" => Ok(Role::Replica),
        "edge" => Ok(Role::Edge),
        other => Err(invalid(
            layer,
            "role",
            &other,
            "`replica` or `edge` is needed".into(),
        )),
    }
}

fn upstream(layer: &Layer, role: Role) -> Result<Vec<String>, SettingsError> {
    let upstream = list(layer, "upstream");
    for address in upstream {
        if !is_host_and_port(address) {
            let reason = "HOST:PORT is needed, the peer address of a replica".into();
            return Err(invalid(layer, "upstream", &address, reason));
        }
    }
    match (role, upstream.is_empty()) {
        (Role::Edge, true) => {
            let reason = "an edge needs the peer address of at least one replica".into();
            Err(invalid(layer, "upstream", &"", reason))
        }
        (Role::Replica, false) => {
            let reason = "only an edge has an upstream; set `role` to `edge`, or leave it out";
            Err(invalid(
                layer,
                "upstream",
                &upstream.join(","),
                reason.into(),
            ))
        }
        _ => Ok(upstream.to_vec()),
    }
}

fn address(layer: &Layer, key: &str) -> Result<SocketAddr, SettingsError> {
    let value = text(layer, key);
    value.parse().map_err(|_| {
        let reason = "IP:PORT is needed, such as 127.0.0.1:8080 or [::]:8080".into();
        invalid(layer, key, &value, reason)
    })
}

fn shards(layer: &Layer) -> Result<ShardCount, SettingsError> {
    let count = bounded(layer, "shards", 1, u64::from(limits::SHARDS_MAX))?;
    let count = u16::try_from(count).expect("at most SHARDS_MAX, which is a u16");
    Ok(ShardCount::new(count).expect("within the bounds of a shard count"))
}

fn payload(layer: &Layer) -> Result<usize, SettingsError> {
    let most = limits::PAYLOAD_BYTES_CEILING as u64;
    let bytes = bounded(layer, "limits.payload_bytes_max", 1, most)?;
    Ok(usize::try_from(bytes).expect("at most the ceiling, which is a usize"))
}

fn shard(layer: &Layer) -> Result<halley_shard::Settings, SettingsError> {
    let retention = Retention {
        events_max: u32::try_from(bounded(layer, "retention.events_max", 0, EVENTS_MAX)?)
            .expect("at most EVENTS_MAX"),
        bytes_max: bounded(layer, "retention.bytes_max", 0, limits::SHARD_BYTES_CEILING)?,
        age_max_ms: age(bounded(
            layer,
            "retention.age_max_seconds",
            0,
            AGE_SECONDS_MAX,
        )?),
    };
    let Value::Rules(written) = layer.get("retention.rules").0 else {
        unreachable!("retention.rules are rules in the table")
    };
    if written.len() > limits::RETENTION_RULES_MAX {
        let reason = format!("at most {} rules are allowed", limits::RETENTION_RULES_MAX);
        let count = format!("{} rules", written.len());
        return Err(invalid(layer, "retention.rules", &count, reason));
    }
    let rules = written
        .iter()
        .map(|written| rule(layer, written, retention));
    let channels = u64::from(limits::SHARD_CHANNELS_DEFAULT);
    let channels = bounded(layer, "retention.shard_channels_max", 1, channels)?;
    Ok(halley_shard::Settings {
        rules: rules.collect::<Result<_, _>>()?,
        retention,
        shard_bytes_max: bounded(
            layer,
            "retention.shard_bytes_max",
            limits::SHARD_BYTES_FLOOR,
            limits::SHARD_BYTES_CEILING,
        )?,
        channels_max: u32::try_from(channels).expect("at most SHARD_CHANNELS_DEFAULT"),
    })
}

/// Zero keeps events whatever their age.
fn age(seconds: u64) -> Option<u64> {
    (seconds > 0).then(|| seconds * 1_000)
}

fn rule(layer: &Layer, written: &Rule, base: Retention) -> Result<RetentionRule, SettingsError> {
    let key = "retention.rules";
    let channels = halley_wire::request::interest(&written.channels)
        .map_err(|rejection| invalid(layer, key, &written.channels, rejection.detail))?;
    let most = |name: &str, value: u64, most: u64| {
        if value <= most {
            return Ok(value);
        }
        let reason = format!("`{name}` of {} may be at most {most}", written.channels);
        Err(invalid(layer, key, &value, reason))
    };
    let mut retention = base;
    if let Some(events) = written.events_max {
        let events = most("events_max", events, EVENTS_MAX)?;
        retention.events_max = u32::try_from(events).expect("at most EVENTS_MAX");
    }
    if let Some(bytes) = written.bytes_max {
        retention.bytes_max = bytes;
    }
    if let Some(seconds) = written.age_max_seconds {
        retention.age_max_ms = age(most("age_max_seconds", seconds, AGE_SECONDS_MAX)?);
    }
    Ok(RetentionRule {
        channels,
        retention,
    })
}

fn origins(layer: &Layer) -> Result<Vec<String>, SettingsError> {
    let origins = list(layer, "cors.origins");
    for origin in origins {
        let host = origin.split_once("://").map(|(_, host)| host);
        if origin != "*" && host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            let reason = "an origin is SCHEME://HOST[:PORT] without a path, or `*`".into();
            return Err(invalid(layer, "cors.origins", &origin, reason));
        }
    }
    Ok(origins.to_vec())
}

fn log_format(layer: &Layer) -> Result<LogFormat, SettingsError> {
    match text(layer, "log.format") {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(invalid(
            layer,
            "log.format",
            &other,
            "`text` or `json` is needed".into(),
        )),
    }
}

fn demos_nodes(layer: &Layer) -> Result<Vec<DemoNode>, SettingsError> {
    let key = "demos_nodes";
    let node = |entry: &String| {
        let parsed = entry.split_once('=').and_then(|(name, address)| {
            let name = node_name(layer, key, name).ok()?;
            let http = address.parse().ok()?;
            Some(DemoNode { name, http })
        });
        let reason = "NAME=IP:PORT is needed, such as n2=127.0.0.1:8081";
        parsed.ok_or_else(|| invalid(layer, key, entry, reason.into()))
    };
    list(layer, key).iter().map(node).collect()
}

/// contract.md, Listeners: no plain peer or grpc listener beyond loopback by accident.
fn loopback_or_tls(
    layer: &Layer,
    role: Role,
    listen: &Listen,
    tls: &Tls,
) -> Result<(), SettingsError> {
    if switch(layer, "insecure") {
        return Ok(());
    }
    let mut exposed = Vec::new();
    if tls.grpc.is_none() {
        exposed.push(("grpc", listen.grpc));
    }
    if role == Role::Replica && tls.peer.is_none() {
        exposed.push(("peer", listen.peer));
    }
    for (listener, address) in exposed {
        if !address.ip().to_canonical().is_loopback() {
            let reason = format!(
                "without TLS this listener may only be on loopback: set `tls.{listener}.certificate` and what \
                 goes with it, use 127.0.0.1, or --insecure in a network where everybody may publish and read"
            );
            return Err(invalid(
                layer,
                &format!("listen.{listener}"),
                &address,
                reason,
            ));
        }
    }
    Ok(())
}
