//! Settings from the environment: `HALLEY_…`, strict. A name that is neither a setting nor one of those that
//! Kubernetes sets for a service called `halley…` is an error.

use super::{
    SettingsError,
    layer::{Layer, Origin},
    nearest::nearest,
    table::TABLE,
};

/// Names of this program that are no settings: read by the command line.
const OTHERS: [&str; 2] = ["HALLEY_CONFIG", "HALLEY_SERVER"];

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
