//! Authorities and certificates for tests.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::{TlsClient, TlsServer};

/// Who signs.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    /// A certificate for `name`, and its key.
    pub(crate) fn signed(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        self.signed_until(name, 4000)
    }

    /// The same, which ends with the year before `year`.
    pub(crate) fn signed_until(&self, name: &str, year: i32) -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (
            certificate.pem().into_bytes(),
            key.serialize_pem().into_bytes(),
        )
    }

    /// A node's listener, known as `halley-peer`.
    pub(crate) fn server(&self) -> TlsServer {
        let (certificate, key) = self.signed("halley-peer");
        TlsServer {
            certificate,
            key,
            client_authority: Some(self.pem()),
        }
    }

    /// A node as a client of others.
    pub(crate) fn client(&self) -> TlsClient {
        let (certificate, key) = self.signed("halley-peer");
        TlsClient {
            authority: self.pem(),
            certificate: Some(certificate),
            key: Some(key),
            server_name: Some("halley-peer".to_owned()),
        }
    }
}
