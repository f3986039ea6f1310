//! TLS as it is configured: PEM bytes in, rustls' own configuration out, or which of them is bad.
//!
//! Invariant: whatever is wrong with the bytes themselves is told when a listener or a client is made, never at
//! the first connection; a key is never printed.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use thiserror::Error;

/// HTTP/2, the only protocol spoken here.
const ALPN_H2: &[u8] = b"h2";

/// How a listener identifies itself, and whom it lets in.
#[derive(Clone)]
pub struct TlsServer {
    /// The certificate and what leads to its authority, PEM, its own first.
    pub certificate: Vec<u8>,
    /// Its private key, PEM.
    pub key: Vec<u8>,
    /// Who has signed the certificates of clients, PEM. With it a client without such a certificate is refused; the
    /// peer listener demands it.
    pub client_authority: Option<Vec<u8>>,
}

/// Whom a client believes, and how it identifies itself.
#[derive(Clone)]
pub struct TlsClient {
    /// Who has signed the certificates of listeners, PEM.
    pub authority: Vec<u8>,
    /// The client's own certificate, PEM; goes with `key`.
    pub certificate: Option<Vec<u8>>,
    /// Its private key, PEM; goes with `certificate`.
    pub key: Option<Vec<u8>>,
    /// The name that certificates of listeners must carry; without it the host of the address, a name or an IP.
    pub server_name: Option<String>,
}

/// Which part of a TLS configuration is bad.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The certificate.
    #[error("the TLS certificate: {0}")]
    Certificate(String),
    /// The private key, or it is not the certificate's.
    #[error("the TLS key: {0}")]
    Key(String),
    /// The authority that listeners' certificates are checked against.
    #[error("the TLS authority: {0}")]
    Authority(String),
    /// The authority that clients' certificates are checked against.
    #[error("the TLS authority of clients: {0}")]
    ClientAuthority(String),
    /// The name that listeners' certificates must carry.
    #[error("the TLS server name: {0}")]
    ServerName(String),
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("client_authority", &self.client_authority.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("certificate", &self.certificate.is_some())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsServer {
    /// The listener's side of TLS.
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions");
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let roots = roots(pem).map_err(TlsError::ClientAuthority)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| TlsError::ClientAuthority(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (certificate, key) = identity(&self.certificate, &self.key)?;
        let mut config = builder
            .with_single_cert(certificate, key)
            .map_err(of_identity)?;
        config.alpn_protocols.push(ALPN_H2.to_vec());
        if self.client_authority.is_some() {
            // A resumed session is not checked again: it would outlive the client's certificate.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    /// The same, where clients must have a certificate.
    pub(crate) fn mutual_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        if self.client_authority.is_none() {
            return Err(TlsError::ClientAuthority(
                "none is given, and nodes must know each other".to_owned(),
            ));
        }
        self.config()
    }
}

/// The calling side of TLS, ready to be used.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    pub(crate) config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl TlsClient {
    pub(crate) fn trust(&self) -> Result<Trust, TlsError> {
        let roots = roots(&self.authority).map_err(TlsError::Authority)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let (certificate, key) = identity(certificate, key)?;
                builder
                    .with_client_auth_cert(certificate, key)
                    .map_err(of_identity)?
            }
            (Some(_), None) => return Err(TlsError::Key("a certificate without one".to_owned())),
            (None, Some(_)) => {
                return Err(TlsError::Certificate("a key without one".to_owned()));
            }
        };
        config.alpn_protocols.push(ALPN_H2.to_vec());
        let server_name = self.server_name.as_deref().map(name).transpose()?;
        Ok(Trust {
            config: Arc::new(config),
            server_name,
        })
    }
}

impl Trust {
    /// The name that the certificate of the listener at `host` must carry.
    pub(crate) fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => name(host),
        }
    }
}

fn name(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned())
        .map_err(|error| TlsError::ServerName(format!("{text:?}: {error}")))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("no readable PEM: {error}"))?;
    if read.is_empty() {
        return Err("no CERTIFICATE in it".to_owned());
    }
    Ok(read)
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(roots))
}

fn identity(
    certificate: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let certificate = certificates(certificate).map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| TlsError::Key(format!("no readable PEM of a private key: {error}")))?;
    Ok((certificate, key))
}

/// What rustls says of a certificate and its key.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_identity(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InvalidCertificate(_) => TlsError::Certificate(error.to_string()),
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Key("not that of the certificate".to_owned())
        }
        _ => TlsError::Key(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
