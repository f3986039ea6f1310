//! Who is let in, and what is said to whoever is not.

use bytes::Bytes;
use futures_util::StreamExt;
use halley_log::{Upstream, UpstreamError};
use halley_replica::{Lane, PeerError, Peers};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;

use super::{
    certificates::Authority,
    peers::{Replica, peers},
    *,
};
use crate::{GrpcUpstream, PeerConfig, PeerServer, TlsClient, TlsError, TlsServer};

async fn ask(tls: Option<&TlsClient>, address: &str) -> Result<Bytes, PeerError> {
    let peers = peers(tls);
    let asked = peers.ask(address, Bytes::from_static(b"a"), PATIENCE);
    within("an answer", asked).await
}

/// What is said to a client that was not let in; nothing of it was read.
async fn refusal(tls: Option<&TlsClient>, address: &str) -> String {
    match ask(tls, address).await {
        Err(PeerError::Unreachable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_of_one_authority_let_each_other_in() {
    let authority = Authority::new("one");
    let replica = Replica::with(Some(authority.server())).await;
    let client = authority.client();
    ask(Some(&client), &replica.address())
        .await
        .expect("let in");
    let peers = peers(Some(&client));
    let up = futures_util::stream::iter([Bytes::from(vec![7; 1 << 20])]).boxed();
    let opened = within("opening", peers.open(&replica.address(), Lane::Append, up)).await;
    let heard: Vec<_> = within("the stream", opened.expect("let in").collect()).await;
    let sizes: Vec<_> = heard
        .iter()
        .map(|m| m.as_ref().expect("no error").len())
        .collect();
    assert_eq!(sizes, [6, 1 << 20]);

    let upstream = GrpcUpstream::new(&replica.address(), Some(&client)).expect("good TLS");
    within("hello", upstream.hello(PATIENCE))
        .await
        .expect("let in");
    replica.stop().await;
}

#[tokio::test]
async fn an_address_may_stand_in_the_certificate() {
    let authority = Authority::new("one");
    let (certificate, key) = authority.signed("127.0.0.1");
    let replica = Replica::with(Some(TlsServer {
        certificate,
        key,
        client_authority: Some(authority.pem()),
    }))
    .await;
    let client = TlsClient {
        server_name: None,
        ..authority.client()
    };
    ask(Some(&client), &replica.address())
        .await
        .expect("let in");
    let told = refusal(Some(&authority.client()), &replica.address()).await;
    assert!(told.contains("not valid for name"), "{told}");
    replica.stop().await;
}

#[tokio::test]
async fn who_has_no_good_certificate_is_refused_before_anything_is_read() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let replica = Replica::with(Some(authority.server())).await;
    let address = replica.address();
    let client = authority.client();
    let with = |(certificate, key): (Vec<u8>, Vec<u8>)| TlsClient {
        certificate: Some(certificate),
        key: Some(key),
        ..client.clone()
    };
    let none = TlsClient {
        certificate: None,
        key: None,
        ..client.clone()
    };
    let told = refusal(Some(&none), &address).await;
    assert!(told.contains("CertificateRequired"), "{told}");
    let told = refusal(Some(&with(other.signed("halley-peer"))), &address).await;
    assert!(told.contains("fatal alert"), "{told}");
    let told = refusal(
        Some(&with(authority.signed_until("halley-peer", 2001))),
        &address,
    )
    .await;
    assert!(told.contains("Expired"), "{told}");

    // The same over what edges use.
    let upstream = GrpcUpstream::new(&address, Some(&none)).expect("good TLS");
    match within("an answer", upstream.hello(PATIENCE)).await {
        Err(UpstreamError::Unreachable(told)) => {
            assert!(told.contains("CertificateRequired"), "{told}");
        }
        answer => panic!("{answer:?}"),
    }
    ask(Some(&client), &address).await.expect("still let in");
    replica.stop().await;
}

#[tokio::test]
async fn a_listener_without_a_good_certificate_is_not_believed() {
    let (authority, other) = (Authority::new("one"), Authority::new("other"));
    let client = authority.client();
    for (signed, said) in [
        (other.signed("halley-peer"), "UnknownIssuer"),
        (authority.signed_until("halley-peer", 2001), "expired"),
        (authority.signed("somebody"), "not valid for name"),
    ] {
        let replica = Replica::with(Some(TlsServer {
            certificate: signed.0,
            key: signed.1,
            client_authority: Some(authority.pem()),
        }))
        .await;
        let told = refusal(Some(&client), &replica.address()).await;
        assert!(told.contains(said), "{told}");
        replica.stop().await;
    }
}

#[tokio::test]
async fn tls_and_plain_text_do_not_meet() {
    let authority = Authority::new("one");
    let secure = Replica::with(Some(authority.server())).await;
    match ask(None, &secure.address()).await {
        // Whether the first request went out before the refusal came in is chance.
        Err(PeerError::NoAnswer(told) | PeerError::Unreachable(told)) => {
            assert!(told.contains("expects TLS"), "{told}");
        }
        other => panic!("{other:?}"),
    }
    secure.stop().await;
    let plain = Replica::with(None).await;
    let told = refusal(Some(&authority.client()), &plain.address()).await;
    assert!(told.contains("does not speak TLS"), "{told}");
    plain.stop().await;
}

#[tokio::test]
async fn a_handshake_that_never_comes_holds_nobody_up() {
    let authority = Authority::new("one");
    let replica = Replica::with(Some(authority.server())).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(
            TcpStream::connect(replica.address())
                .await
                .expect("accepted"),
        );
    }
    ask(Some(&authority.client()), &replica.address())
        .await
        .expect("let in");
    for mut stream in silent {
        // Cut by the listener's own bound.
        let read = within("the cut", stream.read(&mut [0; 16])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    replica.stop().await;
}

#[tokio::test]
async fn bad_bytes_are_told_at_the_start() {
    let authority = Authority::new("one");
    let log = memory(Settings::default());
    let start = async |tls: TlsServer| {
        let config = PeerConfig {
            tls: Some(tls),
            ..PeerConfig::default()
        };
        let log = log.clone();
        PeerServer::start(listener().await, log, None, config, Env::system()).map(|_| ())
    };
    let told = start(TlsServer {
        key: b"none".to_vec(),
        ..authority.server()
    });
    assert!(matches!(told.await, Err(TlsError::Key(_))));
    let told = start(TlsServer {
        client_authority: None,
        ..authority.server()
    });
    assert!(matches!(told.await, Err(TlsError::ClientAuthority(_))));
    let client = TlsClient {
        authority: Vec::new(),
        ..authority.client()
    };
    let told = crate::GrpcPeers::new(Some(&client)).map(|_| ());
    assert!(matches!(told, Err(TlsError::Authority(_))), "{told:?}");
    let told = GrpcUpstream::new("127.0.0.1:1", Some(&client)).map(|_| ());
    assert!(
        matches!(told, Err(crate::EndpointError::Tls(_))),
        "{told:?}"
    );
    log.close().await;
}

/// A client of the public listener.
fn public(address: std::net::SocketAddr, tls: &TlsClient) -> Client {
    let dial = crate::dial::Dial::new(
        &address.to_string(),
        Some(tls.trust().expect("good TLS")),
        PATIENCE,
    );
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let dial = dial.clone();
        async move { dial.connect().await.map(hyper_util::rt::TokioIo::new) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://broker");
    BrokerClient::new(endpoint.connect_with_connector_lazy(connector))
}

#[tokio::test]
async fn the_public_listener_asks_for_certificates_only_if_it_is_told_to() {
    let authority = Authority::new("one");
    let anybody = TlsClient {
        certificate: None,
        key: None,
        ..authority.client()
    };
    for client_authority in [None, Some(authority.pem())] {
        let mutual = client_authority.is_some();
        let config = GrpcConfig {
            tls: Some(TlsServer {
                client_authority,
                ..authority.server()
            }),
            ..GrpcConfig::default()
        };
        let node = Node::with(config, Settings::default()).await;
        let mut known = public(node.server.address(), &authority.client());
        publish(&mut known, "/a", "1").await;
        let mut unknown = public(node.server.address(), &anybody);
        let answer = within("an answer", unknown.publish(json("/a", "2"))).await;
        assert_eq!(answer.is_ok(), !mutual, "{answer:?}");
        node.stop().await;
    }
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let authority = Authority::new("one");
    let replica = Replica::with(Some(authority.server())).await;
    let trust = authority.client().trust().expect("good TLS");
    let mut config = (*trust.config).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(replica.address()).await.expect("there");
    let name = trust.name_of("127.0.0.1").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let shaken = within("the handshake", connector.connect(name, stream)).await;
    let told = shaken.expect_err("no HTTP/2").to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
    replica.stop().await;
}
