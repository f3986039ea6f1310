//! TLS of the commands that talk to a node: from the files on the command line to what the client is given.
//!
//! Invariant: nothing is talked to in plain text when any of the flags is given.

use std::path::Path;

use halley_client::ClientTls;

use crate::{cli::ServerTls, exit::Failure, tls};

const AUTHORITY: &str = "--tls-authority";
const CERTIFICATE: &str = "--tls-certificate";
const KEY: &str = "--tls-key";
const SERVER_NAME: &str = "--tls-server-name";

/// Reads the files; `None` is plain text.
///
/// # Errors
/// [`Failure::Usage`] that names what is missing beside what was given, or the file that cannot be read.
pub(super) fn read(given: &ServerTls) -> Result<Option<ClientTls>, Failure> {
    if let Some((present, missing)) = half(given) {
        return Err(Failure::Usage(format!(
            "{present} is given, so {missing} is needed too; the variables of both begin with \
             HALLEY_CLIENT_TLS_"
        )));
    }
    let Some(authority) = &given.authority else {
        return Ok(None);
    };
    let optional = |flag, path: Option<&Path>| path.map(|path| file(flag, path)).transpose();
    Ok(Some(ClientTls {
        authority: file(AUTHORITY, authority)?,
        certificate: optional(CERTIFICATE, given.certificate.as_deref())?,
        key: optional(KEY, given.private_key.as_deref())?,
        server_name: given.server_name.clone(),
    }))
}

/// What a message about bad TLS begins with: the flags that were given, with their files.
pub(super) fn named(given: &ServerTls) -> String {
    let files = [
        (AUTHORITY, &given.authority),
        (CERTIFICATE, &given.certificate),
        (KEY, &given.private_key),
    ];
    let files = files.into_iter().filter_map(|(flag, path)| {
        let path = path.as_ref()?;
        Some(format!(", {flag} {}", path.display()))
    });
    files.collect()
}

/// A flag that was given without another that it needs, and that other.
fn half(given: &ServerTls) -> Option<(&'static str, &'static str)> {
    let has = [
        (CERTIFICATE, given.certificate.is_some()),
        (KEY, given.private_key.is_some()),
        (SERVER_NAME, given.server_name.is_some()),
    ];
    match has.map(|(_, is_given)| is_given) {
        [true, false, _] => return Some((CERTIFICATE, KEY)),
        [false, true, _] => return Some((KEY, CERTIFICATE)),
        _ => {}
    }
    let (flag, _) = has.into_iter().find(|(_, is_given)| *is_given)?;
    given.authority.is_none().then_some((flag, AUTHORITY))
}

fn file(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    tls::read(path).map_err(|error| Failure::Usage(format!("{flag}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_it_is_refused_with_what_is_missing() {
        let some = || Some("x".into());
        let name = || Some("x".to_owned());
        for (authority, certificate, private_key, server_name, missing) in [
            (some(), some(), None, None, Some((CERTIFICATE, KEY))),
            (some(), None, some(), None, Some((KEY, CERTIFICATE))),
            (None, some(), some(), None, Some((CERTIFICATE, AUTHORITY))),
            (None, None, None, name(), Some((SERVER_NAME, AUTHORITY))),
            (None, None, some(), name(), Some((KEY, CERTIFICATE))),
            (None, None, None, None, None),
            (some(), None, None, None, None),
            (some(), some(), some(), name(), None),
        ] {
            let given = ServerTls {
                authority,
                certificate,
                private_key,
                server_name,
            };
            assert_eq!(half(&given), missing, "{given:?}");
        }
    }
}
