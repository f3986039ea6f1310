//! Settings from the environment: `HALLEY_…`, strict. A name that is neither a setting nor one of those that
//! Kubernetes sets for a service called `halley…` is an error.

use super::{
    SettingsError,
    layer::{Layer, Origin},
    nearest::nearest,
    table::TABLE,
};

/// Names of this program that are no settings: read by the command line.
const OTHERS: [&str; 6] = [
    "HALLEY_CONFIG",
    "HALLEY_SERVER",
    "HALLEY_CLIENT_TLS_AUTHORITY",
    "HALLEY_CLIENT_TLS_CERTIFICATE",
    "HALLEY_CLIENT_TLS_KEY",
    "HALLEY_CLIENT_TLS_SERVER_NAME",
];
/// What tells one node from another, or what only its own address or disk makes true: keys, and tables of keys.
const OF_ONE_NODE: [&str; 9] = [
    "node",
    "role",
    "upstream",
    "data",
    "bootstrap",
    "listen",
    "advertise",
    "tls",
    "demos_nodes",
];

/// Names of the settings that cannot be the same on several nodes of one machine.
pub(crate) fn of_one_node() -> impl Iterator<Item = &'static str> {
    let is_own = |key: &str| {
        let table = key.split_once('.').map_or(key, |(table, _)| table);
        OF_ONE_NODE.contains(&table)
    };
    let own = TABLE.iter().filter(move |setting| is_own(setting.key));
    own.map(|setting| setting.env)
}

/// Reads the settings among `variables`.
///
/// # Errors
/// [`SettingsError::UnknownVariable`], or [`SettingsError::Invalid`].
pub(crate) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Layer, SettingsError> {
    let mut ours: Vec<_> = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with("HALLEY_"))
        .collect();
    ours.sort();
    let mut layer = Layer::default();
    for (name, value) in ours {
        if let Some(setting) = TABLE.iter().find(|setting| setting.env == name) {
            layer.read(setting, &value, Origin::Environment(name))?;
        } else if !OTHERS.contains(&name.as_str()) && !is_service_link(&name, &value) {
            let known = TABLE.iter().map(|setting| setting.env).chain(OTHERS);
            let nearest = nearest(&name, known).map(String::from);
            return Err(SettingsError::UnknownVariable { name, nearest });
        }
    }
    Ok(layer)
}

/// Whether Kubernetes sets this in every pod beside a service called `halley` or `halley-…`:
/// `…_SERVICE_HOST`, `…_SERVICE_PORT[_NAME]`, `…_PORT` (an address), `…_PORT_<number>_<protocol>[_…]`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    if name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT") {
        return true;
    }
    if name.ends_with("_PORT") && is_address {
        return true;
    }
    let Some((_, port)) = name.split_once("_PORT_") else {
        return false;
    };
    let mut parts = port.split('_');
    let numbered = parts
        .next()
        .is_some_and(|number| number.parse::<u16>().is_ok());
    numbered
        && parts
            .next()
            .is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::layer::Value;

    fn one(name: &str, value: &str) -> Result<Layer, SettingsError> {
        read([(name.into(), value.into())])
    }

    #[test]
    fn settings_are_read_and_strangers_refused() {
        let layer = one("HALLEY_SHARDS", "3").expect("a setting");
        assert_eq!(layer.get("shards").0, &Value::Integer(3));
        let error = one("HALLEY_SHARD", "3")
            .expect_err("no setting")
            .to_string();
        assert!(
            error.contains("`HALLEY_SHARD`") && error.contains("`HALLEY_SHARDS`"),
            "{error}"
        );
        let error = one("HALLEY_DEMOS", "maybe")
            .expect_err("no switch")
            .to_string();
        assert!(error.contains("HALLEY_DEMOS"), "{error}");
        one("PATH", "/bin").expect("not ours");
        one("HALLEY_SERVER", "http://127.0.0.1:9090").expect("of the command line");
        one("HALLEY_CLIENT_TLS_KEY", "/k").expect("of the command line");
        let error = one("HALLEY_CLIENT_TLS_KEYS", "/k").expect_err("no setting");
        assert!(
            error.to_string().contains("`HALLEY_CLIENT_TLS_KEY`"),
            "{error}"
        );
    }

    #[test]
    fn addresses_and_identities_are_of_one_node() {
        let own: Vec<_> = of_one_node().collect();
        for (name, is_own) in [
            ("HALLEY_NODE_NAME", true),
            ("HALLEY_ROLE", true),
            ("HALLEY_ADVERTISE_GRPC", true),
            ("HALLEY_TLS_PEER_SERVER_NAME", true),
            ("HALLEY_TLS_GRPC_KEY", true),
            ("HALLEY_DEMOS_NODES", true),
            ("HALLEY_DEMOS", false),
            ("HALLEY_SHARDS", false),
            ("HALLEY_DISK_FREE_MIN_BYTES", false),
        ] {
            assert_eq!(own.contains(&name), is_own, "{name}");
        }
    }

    #[test]
    fn kubernetes_service_links_are_no_settings() {
        for (name, value) in [
            ("HALLEY_SERVICE_HOST", "10.96.0.7"),
            ("HALLEY_SERVICE_PORT", "8080"),
            ("HALLEY_SERVICE_PORT_HTTP", "8080"),
            ("HALLEY_PORT", "tcp://10.96.0.7:8080"),
            ("HALLEY_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
            ("HALLEY_PORT_8080_TCP_PROTO", "tcp"),
            ("HALLEY_PORT_8080_TCP_PORT", "8080"),
            ("HALLEY_EDGE_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ] {
            one(name, value).expect(name);
        }
        for (name, value) in [("HALLEY_PORT", "8080"), ("HALLEY_PORT_HTTP", "8080")] {
            one(name, value).expect_err(name);
        }
    }
}
