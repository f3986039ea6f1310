//! TLS as a caller gives it: PEM bytes, looked at before anything is connected to.

use std::fmt;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Whom a client believes, and how it identifies itself. All of it is PEM.
#[derive(Clone, Default)]
pub struct ClientTls {
    /// Who has signed the brokers' certificates.
    pub authority: Vec<u8>,
    /// The client's own certificate, where brokers ask for one; goes with `key`.
    pub certificate: Option<Vec<u8>>,
    /// Its private key; goes with `certificate`.
    pub key: Option<Vec<u8>>,
    /// The name that brokers' certificates must carry; without it the host of the endpoint, a name or an IP.
    pub server_name: Option<String>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("certificate", &self.certificate.is_some())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl ClientTls {
    /// The same for the transport, or which part of it is bad and why.
    pub(crate) fn config(&self) -> Result<ClientTlsConfig, String> {
        certificates(&self.authority).map_err(|error| format!("the TLS authority: {error}"))?;
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority));
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        match (&self.certificate, &self.key) {
            (None, None) => Ok(config),
            (Some(certificate), Some(key)) => {
                certificates(certificate)
                    .map_err(|error| format!("the TLS certificate: {error}"))?;
                PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the TLS key: no readable PEM: {error}"))?;
                Ok(config.identity(Identity::from_pem(certificate, key)))
            }
            (Some(_), None) => Err("the TLS key: a certificate without one".to_owned()),
            (None, Some(_)) => Err("the TLS certificate: a key without one".to_owned()),
        }
    }
}

/// Whether certificates are in `pem`, all of them readable.
fn certificates(pem: &[u8]) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("no readable PEM: {error}"))?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() {
        return Err("no CERTIFICATE in it".to_owned());
    }
    Ok(())
}
