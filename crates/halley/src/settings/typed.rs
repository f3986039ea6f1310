//! From values to settings that mean something: bounds, addresses, and what goes with what.

use std::{net::SocketAddr, time::Duration};

use halley_log::Role;
use halley_shard::{Retention, RetentionRule, ShardCount, limits};

use super::{
    Listen, LogFormat, Settings, SettingsError,
    layer::{Layer, Rule, Value},
};

/// Largest `retention.events_max`.
const EVENTS_MAX: u64 = 1_000_000;
const NAME_BYTES_MAX: usize = 64;
/// Largest `retention.age_max_seconds`: a century.
const AGE_SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;
const DRAIN_SECONDS_MAX: u64 = 3_600;

/// Builds the settings from all layers together.
///
/// # Errors
/// [`SettingsError`]
pub(super) fn build(layer: &Layer) -> Result<Settings, SettingsError> {
    let role = role(layer)?;
    let settings = Settings {
        name: name(layer)?,
        role,
        upstream: upstream(layer, role)?,
        listen: Listen {
            http: address(layer, "listen.http")?,
            grpc: address(layer, "listen.grpc")?,
            peer: address(layer, "listen.peer")?,
            ops: address(layer, "listen.ops")?,
        },
        shards: shards(layer)?,
        payload_bytes_max: payload(layer)?,
        shard: shard(layer)?,
        cors_origins: origins(layer)?,
        demos: switch(layer, "demos"),
        drain_max: Duration::from_secs(bounded(layer, "drain.max_seconds", 1, DRAIN_SECONDS_MAX)?),
        log_format: log_format(layer)?,
        log_level: text(layer, "log.level").into(),
    };
    loopback_or_insecure(layer, &settings)?;
    Ok(settings)
}

fn text<'a>(layer: &'a Layer, key: &str) -> &'a str {
    match layer.get(key).0 {
        Value::Text(text) => text,
        other => unreachable!("{key} is a text in the table, not {other:?}"),
    }
}

fn integer(layer: &Layer, key: &str) -> u64 {
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

fn list<'a>(layer: &'a Layer, key: &str) -> &'a [String] {
    match layer.get(key).0 {
        Value::List(items) => items,
        other => unreachable!("{key} is a list in the table, not {other:?}"),
    }
}

fn invalid(layer: &Layer, key: &str, value: &impl ToString, reason: String) -> SettingsError {
    SettingsError::invalid(key, &value.to_string(), layer.get(key).1, reason)
}

fn bounded(layer: &Layer, key: &str, least: u64, most: u64) -> Result<u64, SettingsError> {
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
    let name = text(layer, "node.name");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let reason = format!("1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.` are allowed");
        return Err(invalid(layer, "node.name", &name, reason));
    }
    Ok(name.into())
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
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
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
        bytes_max: integer(layer, "retention.bytes_max"),
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
        shard_bytes_max: integer(layer, "retention.shard_bytes_max"),
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

/// contract.md, Listeners: no plain peer or grpc listener beyond loopback by accident.
fn loopback_or_insecure(layer: &Layer, settings: &Settings) -> Result<(), SettingsError> {
    if switch(layer, "insecure") {
        return Ok(());
    }
    let mut exposed = vec![("listen.grpc", settings.listen.grpc)];
    if settings.role == Role::Replica {
        exposed.push(("listen.peer", settings.listen.peer));
    }
    for (key, address) in exposed {
        if !address.ip().to_canonical().is_loopback() {
            let reason = "without TLS this listener may only be on loopback. TLS comes with the next \
                          release; until then use 127.0.0.1, or --insecure in a network where everybody \
                          may publish and read";
            return Err(invalid(layer, key, &address, reason.into()));
        }
    }
    Ok(())
}
