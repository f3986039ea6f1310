//! Certificates and keys: from their files to the PEM bytes that rooms are given.

use std::{
    io,
    path::{Path, PathBuf},
};

use halley_rpc::{TlsClient, TlsServer};
use thiserror::Error;

use crate::settings::{GrpcTls, PeerTls};

/// Why there is no TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsFileError {
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// Both sides of TLS between nodes.
#[derive(Clone, Debug)]
pub(crate) struct Mutual {
    /// How the peer listener identifies itself, and whom it lets in.
    pub(crate) server: TlsServer,
    /// How this node calls others.
    pub(crate) client: TlsClient,
}

/// Reads the files of TLS between nodes.
///
/// # Errors
/// [`TlsFileError`]
pub(crate) fn mutual(files: &PeerTls) -> Result<Mutual, TlsFileError> {
    let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
    let authority = read(&files.authority)?;
    Ok(Mutual {
        server: TlsServer {
            certificate: certificate.clone(),
            key: key.clone(),
            client_authority: Some(authority.clone()),
        },
        client: TlsClient {
            authority,
            certificate: Some(certificate),
            key: Some(key),
            server_name: files.server_name.clone(),
        },
    })
}

/// Reads the files of TLS for back ends.
///
/// # Errors
/// [`TlsFileError`]
pub(crate) fn server(files: &GrpcTls) -> Result<TlsServer, TlsFileError> {
    let client_authority = files.client_authority.as_deref().map(read).transpose()?;
    Ok(TlsServer {
        certificate: read(&files.certificate)?,
        key: read(&files.key)?,
        client_authority,
    })
}

/// Reads one file.
///
/// # Errors
/// [`TlsFileError`]
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|reason| TlsFileError::Unreadable {
        path: path.into(),
        reason,
    })
}
