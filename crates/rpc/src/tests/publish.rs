//! `Publish`, `PublishBatch`, `DeleteChannel`.

use super::*;
use crate::proto::v1::publish_outcome::Outcome;

#[tokio::test]
async fn offsets_rise_and_cursors_read_on_behind() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let first = publish(&mut client, "/a", "1").await;
    let second = publish(&mut client, "/a", "2").await;
    assert_eq!((first.offset, second.offset), (1, 2));
    assert_eq!((first.channel.as_str(), first.duplicate), ("/a", false));
    let request = v1::HistoryRequest {
        channel: "/a".into(),
        since: first.cursor,
        ..Default::default()
    };
    let page = within("history", client.history(request))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(
        page.events
            .iter()
            .map(|event| event.offset)
            .collect::<Vec<_>>(),
        [2]
    );
    node.stop().await;
}

#[tokio::test]
async fn a_key_is_stored_once_and_means_one_content() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let keyed = |data| v1::PublishRequest {
        idempotency_key: "k".into(),
        ..json("/a", data)
    };
    let first = client
        .publish(keyed("1"))
        .await
        .expect("stored")
        .into_inner();
    let again = client
        .publish(keyed("1"))
        .await
        .expect("remembered")
        .into_inner();
    assert_eq!((again.offset, &again.cursor), (first.offset, &first.cursor));
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    let conflict = refused(client.publish(keyed("2")).await);
    assert_eq!(conflict, (Code::AlreadyExists, "key_conflict".into()));
    node.stop().await;
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let large = v1::PublishRequest {
        data: vec![b'x'; 64 * 1024 + 1].into(),
        content_type: "text/plain".into(),
        ..json("/a", "")
    };
    let numbered = v1::PublishRequest {
        sequence: 1,
        ..json("/a", "1")
    };
    let reserved = v1::PublishRequest {
        r#type: "gap".into(),
        ..json("/a", "1")
    };
    for (request, code, reason) in [
        (json("a", "1"), Code::InvalidArgument, "channel_invalid"),
        (json("/a/*", "1"), Code::InvalidArgument, "channel_invalid"),
        (json("/a", "{"), Code::InvalidArgument, "body_invalid"),
        (numbered, Code::InvalidArgument, "parameter_invalid"),
        (reserved, Code::InvalidArgument, "parameter_invalid"),
        (large, Code::ResourceExhausted, "payload_too_large"),
    ] {
        let answer = within("an answer", client.publish(request)).await;
        assert_eq!(refused(answer), (code, reason.to_owned()));
    }
    node.stop().await;
}

#[tokio::test]
async fn too_large_is_said_whoever_notices() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    // The first is decoded and measured here, the second refused by tonic's decoder.
    for bytes in [1024 * 1024 + 1, 3 * 1024 * 1024] {
        let request = v1::PublishRequest {
            data: vec![b' '; bytes].into(),
            ..json("/a", "")
        };
        let answer = within("an answer", client.publish(request)).await;
        assert_eq!(
            refused(answer),
            (Code::ResourceExhausted, "payload_too_large".into())
        );
    }
    let many = v1::PublishBatchRequest {
        events: vec![json("/a", "1"); 513],
    };
    let answer = within("an answer", client.publish_batch(many)).await;
    assert_eq!(
        refused(answer),
        (Code::ResourceExhausted, "payload_too_large".into())
    );
    node.stop().await;
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let events = vec![
        json("/a", "1"),
        json("/a", "{"),
        json("/b", "1"),
        json("/a", "2"),
        json("no", "1"),
        json("/b", "2"),
    ];
    let request = v1::PublishBatchRequest { events };
    let answer = within("a batch", client.publish_batch(request))
        .await
        .expect("answered");
    let told: Vec<String> = answer
        .into_inner()
        .results
        .into_iter()
        .map(|result| match result.outcome.expect("an outcome") {
            Outcome::Result(stored) => format!("{} {}", result.channel, stored.offset),
            Outcome::Error(error) => format!("{} {}", result.channel, error.code),
        })
        .collect();
    let expected = [
        "/a 1",
        "/a body_invalid",
        "/b 1",
        "/a aborted",
        "no channel_invalid",
        "/b 2",
    ];
    assert_eq!(told, expected);
    let empty = within(
        "an answer",
        client.publish_batch(v1::PublishBatchRequest::default()),
    )
    .await;
    assert_eq!(
        refused(empty),
        (Code::InvalidArgument, "body_invalid".into())
    );
    node.stop().await;
}

#[tokio::test]
async fn deleted_offsets_never_restart() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    publish(&mut client, "/a", "1").await;
    let request = v1::DeleteChannelRequest {
        channel: "/a".into(),
    };
    let deleted = client
        .delete_channel(request.clone())
        .await
        .expect("deleted")
        .into_inner();
    assert!(deleted.existed);
    let again = client
        .delete_channel(request)
        .await
        .expect("deleted")
        .into_inner();
    assert!(!again.existed);
    assert_eq!(publish(&mut client, "/a", "2").await.offset, 2);
    let request = v1::HistoryRequest {
        channel: "/a".into(),
        since: deleted.cursor,
        ..Default::default()
    };
    let page = client.history(request).await.expect("read").into_inner();
    assert_eq!(page.events.len(), 1);
    node.stop().await;
}
