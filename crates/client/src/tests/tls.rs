//! Who is believed, and what is said of whoever is not.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::{broker::Broker, *};
use crate::{ClientError, ClientTls, Publish};

struct Authority {
    pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self {
            pem: certificate.pem().into_bytes(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `name` and its key.
    fn signed(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (
            certificate.pem().into_bytes(),
            key.serialize_pem().into_bytes(),
        )
    }

    /// A broker that asks for certificates of this authority.
    async fn broker(&self) -> SocketAddr {
        let (certificate, key) = self.signed("127.0.0.1");
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .client_ca_root(Certificate::from_pem(&self.pem));
        let server = Server::builder().tls_config(tls).expect("good TLS");
        Broker::serve(&[], server).await.1
    }

    fn tls(&self) -> ClientTls {
        let (certificate, key) = self.signed("client");
        ClientTls {
            authority: self.pem.clone(),
            certificate: Some(certificate),
            key: Some(key),
            server_name: None,
        }
    }
}

fn secured(endpoint: String, tls: ClientTls) -> Result<Client, ClientError> {
    let config = ClientConfig {
        deadline: Duration::from_millis(500),
        backoff_first: Duration::from_millis(1),
        tls: Some(tls),
        ..ClientConfig::default()
    };
    Client::with_config([endpoint], config, Env::system())
}

async fn refusal(client: Client) -> ClientError {
    let answer = within("an answer", client.publish(Publish::json("/a", "1"))).await;
    answer.expect_err("not let in")
}

#[tokio::test]
async fn a_known_client_is_let_in() {
    let authority = Authority::new();
    let address = authority.broker().await;
    for endpoint in [address.to_string(), format!("https://{address}")] {
        let mut tls = authority.tls();
        let client = secured(endpoint, tls.clone()).expect("good TLS");
        let published = within("a publish", client.publish(Publish::json("/a", "1"))).await;
        published.expect("let in");
        tls.server_name = Some("another".to_owned());
        let client = secured(address.to_string(), tls).expect("good TLS");
        let told = refusal(client).await;
        assert!(told.to_string().contains("not valid for name"), "{told}");
    }
}

#[tokio::test]
async fn strangers_are_told_apart() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = authority.broker().await.to_string();
    let unsigned = ClientTls {
        certificate: None,
        key: None,
        ..authority.tls()
    };
    let client = secured(address.clone(), unsigned).expect("good TLS");
    assert!(refusal(client).await.is_unreachable());
    let believing_others = ClientTls {
        authority: other.pem.clone(),
        ..authority.tls()
    };
    let client = secured(address.clone(), believing_others).expect("good TLS");
    let told = refusal(client).await;
    assert!(matches!(told, ClientError::Unreachable { .. }), "{told}");
    assert!(
        told.to_string().contains("invalid peer certificate"),
        "{told}"
    );

    let config = ClientConfig {
        deadline: Duration::from_millis(500),
        ..ClientConfig::default()
    };
    let plain = Client::with_config([address], config, Env::system()).expect("an address");
    assert!(refusal(plain).await.is_unreachable());
    let (_, plain) = Broker::start(&[]).await;
    let client = secured(plain.to_string(), authority.tls()).expect("good TLS");
    let told = refusal(client).await;
    assert!(matches!(told, ClientError::Unreachable { .. }), "{told}");
}

#[tokio::test]
async fn bad_bytes_are_told_before_anything_is_connected_to() {
    let authority = Authority::new();
    let good = authority.tls();
    let told = |tls: ClientTls| {
        let refused = secured("127.0.0.1:1".to_owned(), tls).expect_err("bad");
        refused.detail().to_owned()
    };
    for bad in [Vec::new(), b"garbage".to_vec()] {
        let text = told(ClientTls {
            authority: bad.clone(),
            ..good.clone()
        });
        assert!(text.starts_with("the TLS authority"), "{text}");
        let text = told(ClientTls {
            certificate: Some(bad.clone()),
            ..good.clone()
        });
        assert!(text.starts_with("the TLS certificate"), "{text}");
        let text = told(ClientTls {
            key: Some(bad),
            ..good.clone()
        });
        assert!(text.starts_with("the TLS key"), "{text}");
    }
    let text = told(ClientTls {
        key: None,
        ..good.clone()
    });
    assert!(text.starts_with("the TLS key"), "{text}");
    let text = told(ClientTls {
        key: Some(authority.signed("another").1),
        ..good.clone()
    });
    assert!(text.contains("key"), "{text}");
    assert!(secured("http://127.0.0.1:1".to_owned(), good).is_err());
    assert!(Client::connect(["https://127.0.0.1:1"], Env::system()).is_err());
}
