//! The throw-away authority of a `halley dev`: it signs one certificate a node and is forgotten.
//!
//! Invariant: the authority's key never leaves memory, and the nodes' keys are readable by this user only.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// What every certificate is good for besides its node's name: how nodes on one machine call each other.
const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "halley-peer"];

/// PEM files of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// Its certificate.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// The authority's certificate, the same of all nodes.
    pub(super) authority: PathBuf,
}

impl Files {
    /// The files of the node called `name`, below `root`.
    pub(super) fn of(root: &Path, name: &str) -> Self {
        let file = |name: String| root.join("tls").join(name);
        Self {
            certificate: file(format!("{name}.pem")),
            key: file(format!("{name}.key")),
            authority: file("authority.pem".into()),
        }
    }
}

/// Makes an authority and the certificates of `nodes`, and writes them in the place of older ones.
///
/// # Errors
/// A sentence for people.
pub(super) fn write<'a>(nodes: impl Iterator<Item = (&'a str, &'a Files)>) -> Result<(), String> {
    let unmade = |error| format!("no certificate can be made: {error}");
    let authority = authority().map_err(unmade)?;
    for (name, files) in nodes {
        let (certificate, key) = signed(name, &authority).map_err(unmade)?;
        for (path, pem) in [
            (&files.authority, authority.pem()),
            (&files.certificate, certificate),
            (&files.key, key),
        ] {
            put(path, &pem).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority, rcgen::Error> {
    let mut authority = params(&[], "halley dev authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(authority, KeyPair::generate()?)
}

/// Certificate and key of a node, as PEM.
fn signed(name: &str, authority: &Authority) -> Result<(String, String), rcgen::Error> {
    let mut names = NAMES.to_vec();
    names.push(name);
    let mut node = params(&names, name)?;
    node.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Every node is a server to the others, and a client of them.
    node.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = node.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn params(names: &[&str], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}

/// A new file for this user only; what an earlier run left is removed, whatever its mode was.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_for_this_user_only_and_made_anew() {
        let root = std::env::temp_dir().join(format!("halley-authority-{}", std::process::id()));
        let files = ["n1", "n2"].map(|name| Files::of(&root, name));
        let all = || ["n1", "n2"].into_iter().zip(&files);
        write(all()).expect("writes");
        let read = |path: &Path| std::fs::read_to_string(path).expect("reads");
        let before = read(&files[0].key);
        assert!(before.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(read(&files[1].authority).starts_with("-----BEGIN CERTIFICATE-----"));
        assert_ne!(before, read(&files[1].key));
        write(all()).expect("writes again");
        assert_ne!(before, read(&files[0].key));
        let mode = std::fs::metadata(&files[0].key)
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(&root).expect("cleans up");
    }
}
