//! What a TLS configuration takes and refuses, without a socket.

use super::*;
use crate::tests::certificates::Authority;

fn server(authority: &Authority) -> TlsServer {
    let (certificate, key) = authority.signed("n1");
    TlsServer {
        certificate,
        key,
        client_authority: Some(authority.pem()),
    }
}

#[test]
fn bad_bytes_are_told_by_what_they_are_for() {
    let authority = Authority::new("one");
    let good = server(&authority);
    good.mutual_config().expect("good");
    let bytes = |text: &str| text.as_bytes().to_vec();
    let torn = bytes("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    for bad in [bytes(""), bytes("garbage"), torn.clone()] {
        let certificate = TlsServer {
            certificate: bad.clone(),
            ..good.clone()
        };
        let told = certificate.config().expect_err("bad");
        assert!(matches!(told, TlsError::Certificate(_)), "{told}");
        let key = TlsServer {
            key: bad.clone(),
            ..good.clone()
        };
        let told = key.config().expect_err("bad");
        assert!(matches!(told, TlsError::Key(_)), "{told}");
        let clients = TlsServer {
            client_authority: Some(bad.clone()),
            ..good.clone()
        };
        let told = clients.config().expect_err("bad");
        assert!(matches!(told, TlsError::ClientAuthority(_)), "{told}");
        let client = TlsClient {
            authority: bad,
            certificate: None,
            key: None,
            server_name: None,
        };
        let told = client.trust().expect_err("bad");
        assert!(matches!(told, TlsError::Authority(_)), "{told}");
    }
}

#[test]
fn certificate_and_key_belong_together() {
    let authority = Authority::new("one");
    let good = server(&authority);
    let other = TlsServer {
        key: authority.signed("n2").1,
        ..good.clone()
    };
    let told = other.config().expect_err("another key");
    assert!(matches!(told, TlsError::Key(_)), "{told}");
    let client = |certificate: bool, key: bool| TlsClient {
        authority: authority.pem(),
        certificate: certificate.then(|| good.certificate.clone()),
        key: key.then(|| good.key.clone()),
        server_name: None,
    };
    client(true, true).trust().expect("good");
    client(false, false).trust().expect("good");
    assert!(matches!(client(true, false).trust(), Err(TlsError::Key(_))));
    assert!(matches!(
        client(false, true).trust(),
        Err(TlsError::Certificate(_))
    ));
    let named = TlsClient {
        server_name: Some("no name".to_owned()),
        ..client(false, false)
    };
    assert!(matches!(named.trust(), Err(TlsError::ServerName(_))));
}

#[test]
fn nodes_must_know_each_other() {
    let open = TlsServer {
        client_authority: None,
        ..server(&Authority::new("one"))
    };
    open.config().expect("good for others");
    assert!(matches!(
        open.mutual_config(),
        Err(TlsError::ClientAuthority(_))
    ));
}

#[test]
fn a_key_is_never_printed() {
    let server = server(&Authority::new("one"));
    let client = TlsClient {
        authority: server.certificate.clone(),
        certificate: Some(server.certificate.clone()),
        key: Some(server.key.clone()),
        server_name: None,
    };
    let printed = format!("{server:?} {client:?}");
    assert!(printed.len() < 200, "{printed}");
}
