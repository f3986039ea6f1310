//! `PublishStream`: numbered publishes, answered in order, resent over another stream.

use futures_util::stream;
use halley_log::RemoteLog;
use tonic::Streaming;

use super::*;
use crate::{GrpcUpstream, PeerConfig, PeerServer, proto::v1::publish_outcome::Outcome};

const PRODUCER: &str = "000102030405060708090a0b0c0d0e0f";

fn numbered(channel: &str, sequence: u64) -> v1::PublishRequest {
    v1::PublishRequest {
        sequence,
        ..json(channel, "1")
    }
}

fn first(request: v1::PublishRequest) -> v1::PublishRequest {
    v1::PublishRequest {
        producer: PRODUCER.into(),
        ..request
    }
}

/// The answers as text, and how the stream ended.
async fn answers(
    client: &mut Client,
    requests: Vec<v1::PublishRequest>,
) -> (Vec<String>, Result<(), Status>) {
    let opened = within("a stream", client.publish_stream(stream::iter(requests))).await;
    let mut answers: Streaming<_> = opened.expect("opened").into_inner();
    let mut told = Vec::new();
    loop {
        match within("an answer", answers.message()).await {
            Ok(Some(answer)) => told.push(text(&answer)),
            Ok(None) => return (told, Ok(())),
            Err(status) => return (told, Err(status)),
        }
    }
}

fn text(answer: &v1::PublishStreamResponse) -> String {
    let outcome = answer
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.outcome.as_ref());
    match outcome.expect("an outcome") {
        Outcome::Result(stored) => {
            let duplicate = if stored.duplicate { " again" } else { "" };
            format!(
                "{}: {} {}{duplicate}",
                answer.sequence, stored.channel, stored.offset
            )
        }
        Outcome::Error(error) => format!("{}: {}", answer.sequence, error.code),
    }
}

/// Many publishes to seven channels: each has its answer, in its place.
async fn publish_many(node: &Node) {
    let mut client = node.client.clone();
    let mut requests: Vec<_> = (1..=3_000)
        .map(|number| numbered(&format!("/s/{}", number % 7), number))
        .collect();
    requests[0].producer = PRODUCER.into();
    let (told, ended) = answers(&mut client, requests).await;
    ended.expect("a proper end");
    let expected: Vec<_> = (1_u64..=3_000)
        .map(|number| format!("{number}: /s/{} {}", number % 7, number.div_ceil(7)))
        .collect();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_in_order_whatever_the_shard() {
    let node = Node::start().await;
    publish_many(&node).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_in_order_through_an_edge() {
    let log = memory(Settings::default());
    let config = PeerConfig {
        grace: Duration::from_millis(20),
        ..PeerConfig::default()
    };
    let peer = PeerServer::start(listener().await, log.clone(), None, config, Env::system())
        .expect("no TLS");
    let upstream = GrpcUpstream::new(&peer.address().to_string(), None).expect("an address");
    let remote = RemoteLog::new(vec![Arc::new(upstream)], Env::system());
    within("the cluster", remote.formed()).await;
    let node = Node::over(remote.clone(), log, GrpcConfig::default()).await;
    // On their way they overtake each other.
    publish_many(&node).await;
    remote.close().await;
    peer.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn what_is_sent_again_is_answered_as_the_first_time() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let requests = vec![
        first(numbered("/a", 1)),
        numbered("/a", 2),
        numbered("/a", 3),
    ];
    let (told, ended) = answers(&mut client, requests).await;
    ended.expect("a proper end");
    assert_eq!(told, ["1: /a 1", "2: /a 2", "3: /a 3"]);
    let requests = vec![
        first(numbered("/a", 2)),
        numbered("/a", 3),
        numbered("/a", 4),
    ];
    let (told, ended) = answers(&mut client, requests).await;
    ended.expect("a proper end");
    assert_eq!(told, ["2: /a 2 again", "3: /a 3 again", "4: /a 4"]);
    node.stop().await;
}

#[tokio::test]
async fn an_event_that_is_refused_does_not_end_the_stream() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let broken = v1::PublishRequest {
        sequence: 2,
        ..json("/a", "{")
    };
    let requests = vec![first(numbered("/a", 1)), broken, numbered("/a", 3)];
    let (told, ended) = answers(&mut client, requests).await;
    ended.expect("a proper end");
    assert_eq!(told, ["1: /a 1", "2: body_invalid", "3: /a 2"]);
    node.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_its_form_is_ended() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let other = v1::PublishRequest {
        producer: "f".repeat(32),
        ..numbered("/a", 2)
    };
    let short = v1::PublishRequest {
        producer: "0102".into(),
        ..numbered("/a", 1)
    };
    for (requests, stored) in [
        (vec![numbered("/a", 1)], 0),
        (vec![short], 0),
        (vec![first(json("/a", "1"))], 0),
        (vec![first(numbered("/a", 1)), other], 1),
        (vec![first(numbered("/a", 5)), numbered("/a", 5)], 1),
    ] {
        let (told, ended) = answers(&mut client, requests).await;
        assert_eq!(told.len(), stored);
        assert_eq!(
            refused(ended),
            (Code::InvalidArgument, "parameter_invalid".into())
        );
    }
    node.stop().await;
}
