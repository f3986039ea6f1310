//! Certificates and keys as files: what is given together, and what is missing.

use std::path::PathBuf;

use super::{
    SettingsError,
    layer::Layer,
    typed::{invalid, text},
};

/// Files of both listeners that can have TLS; `None` is plain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Between nodes; mutual.
    pub(crate) peer: Option<PeerTls>,
    /// For back ends.
    pub(crate) grpc: Option<GrpcTls>,
}

/// Files of TLS between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerTls {
    /// The node's own, as server and client.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Who signs those of all nodes.
    pub(crate) authority: PathBuf,
    /// The name in all of them; `None`: the host of the address.
    pub(crate) server_name: Option<String>,
}

/// Files of TLS for back ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrpcTls {
    /// The listener's own.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Who signs those of clients; `None`: clients need none.
    pub(crate) client_authority: Option<PathBuf>,
}

/// Reads which files there are.
///
/// # Errors
/// [`SettingsError::Invalid`] names what is missing beside what was given.
pub(super) fn build(layer: &Layer) -> Result<Tls, SettingsError> {
    let peer = ["certificate", "key", "authority"];
    let grpc = ["certificate", "key"];
    let file = |key: &str| PathBuf::from(text(layer, key));
    let peer = given(layer, "tls.peer", &peer, "server_name")?.then(|| PeerTls {
        certificate: file("tls.peer.certificate"),
        key: file("tls.peer.key"),
        authority: file("tls.peer.authority"),
        server_name: optional(layer, "tls.peer.server_name").map(String::from),
    });
    let grpc = given(layer, "tls.grpc", &grpc, "client_authority")?.then(|| GrpcTls {
        certificate: file("tls.grpc.certificate"),
        key: file("tls.grpc.key"),
        client_authority: optional(layer, "tls.grpc.client_authority").map(PathBuf::from),
    });
    Ok(Tls { peer, grpc })
}

fn optional<'a>(layer: &'a Layer, key: &str) -> Option<&'a str> {
    Some(text(layer, key)).filter(|text| !text.is_empty())
}

/// Whether all of `needed` below `table` are given; an error when only some are, or `addition` alone is.
fn given(
    layer: &Layer,
    table: &str,
    needed: &[&str],
    addition: &str,
) -> Result<bool, SettingsError> {
    let key = |name: &&str| format!("{table}.{name}");
    let is_given = |key: &String| optional(layer, key).is_some();
    let (present, missing): (Vec<_>, Vec<_>) = needed.iter().map(key).partition(is_given);
    let extra = Some(key(&addition)).filter(is_given);
    match (present.first().or(extra.as_ref()), missing.first()) {
        (Some(present), Some(missing)) => {
            let reason = format!("`{present}` is given, so this is needed too");
            Err(invalid(layer, missing, &"", reason))
        }
        (present, _) => Ok(present.is_some()),
    }
}
