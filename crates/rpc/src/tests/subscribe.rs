//! `Subscribe`: the opening cursor, events and gaps, progress, ends.

use tonic::Streaming;

use super::*;
use crate::proto::v1::subscribe_response::Delivery;

type Deliveries = Streaming<v1::SubscribeResponse>;

async fn subscribe(client: &mut Client, channels: &[&str], since: &str) -> Deliveries {
    let request = v1::SubscribeRequest {
        channels: channels
            .iter()
            .map(|channel| (*channel).to_owned())
            .collect(),
        since: since.into(),
    };
    within("a subscription", client.subscribe(request))
        .await
        .expect("opened")
        .into_inner()
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let message = within("a delivery", deliveries.message())
        .await
        .expect("a stream");
    message.expect("no end yet").delivery.expect("a delivery")
}

async fn next_event(deliveries: &mut Deliveries) -> v1::Event {
    loop {
        match next(deliveries).await {
            Delivery::Event(event) => return event,
            Delivery::Progress(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn opening(deliveries: &mut Deliveries) -> String {
    match next(deliveries).await {
        Delivery::Progress(progress) => progress.cursor,
        other => panic!("opened with {other:?}"),
    }
}

#[tokio::test]
async fn events_of_channels_and_patterns_arrive_whole() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let mut deliveries = subscribe(&mut client, &["/a", "/b/*"], "").await;
    opening(&mut deliveries).await;
    let request = v1::PublishRequest {
        r#type: "quote".into(),
        id: "mine".into(),
        headers: vec![v1::Header {
            name: "x".into(),
            value: "y".into(),
        }],
        ..json("/a", "{\"p\":1}")
    };
    client.publish(request).await.expect("stored");
    publish(&mut client, "/c", "0").await;
    publish(&mut client, "/b/1", "2").await;
    let mut events = [
        next_event(&mut deliveries).await,
        next_event(&mut deliveries).await,
    ];
    events.sort_by(|one, other| one.channel.cmp(&other.channel));
    let [event, other] = events;
    assert_eq!(
        (event.channel.as_str(), event.offset, event.r#type.as_str()),
        ("/a", 1, "quote")
    );
    assert_eq!(
        (event.id.as_str(), event.headers[0].value.as_str()),
        ("mine", "y")
    );
    assert_eq!(
        (&event.data[..], event.content_type.as_str()),
        (&b"{\"p\":1}"[..], "application/json")
    );
    assert!(event.time_ms > 0);
    assert_eq!(
        (other.channel.as_str(), &other.data[..]),
        ("/b/1", &b"2"[..])
    );
    node.stop().await;
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_was_given() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let mut deliveries = subscribe(&mut client, &["/a"], "").await;
    let mut cursor = opening(&mut deliveries).await;
    for offset in 1..=10 {
        publish(&mut client, "/a", "1").await;
        if offset % 2 == 0 {
            deliveries = subscribe(&mut client, &["/a"], &cursor).await;
            for expected in [offset - 1, offset] {
                let event = next_event(&mut deliveries).await;
                assert_eq!(event.offset, expected);
                cursor = event.cursor;
            }
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_quiet_subscriber_hears_of_progress() {
    let config = GrpcConfig {
        progress_every: Duration::from_millis(20),
        ..GrpcConfig::default()
    };
    let node = Node::with(config, Settings::default()).await;
    let mut client = node.client.clone();
    let mut deliveries = subscribe(&mut client, &["/a"], "").await;
    let first = opening(&mut deliveries).await;
    let other = publish(&mut client, "/elsewhere", "1").await;
    let one_shard = halley_wire::cursor::parse(&first)
        .expect("a cursor")
        .positions()[0]
        .0
        == halley_wire::cursor::parse(&other.cursor)
            .expect("a cursor")
            .positions()[0]
            .0;
    loop {
        let Delivery::Progress(progress) = next(&mut deliveries).await else {
            panic!("no event")
        };
        // In a quiet channel the cursor moves on with its shard.
        if !one_shard || progress.cursor != first {
            break;
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_drains_says_so() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let mut deliveries = subscribe(&mut client, &["/a"], "").await;
    let cursor = opening(&mut deliveries).await;
    node.hub.drain();
    let Delivery::End(end) = next(&mut deliveries).await else {
        panic!("an end")
    };
    assert_eq!((end.reason.as_str(), end.cursor), ("draining", cursor));
    assert!(end.retry_ms > 0);
    assert!(
        within("the end", deliveries.message())
            .await
            .expect("a proper end")
            .is_none()
    );
    let request = v1::SubscribeRequest {
        channels: vec!["/a".into()],
        since: String::new(),
    };
    let answer = within("an answer", client.subscribe(request)).await;
    assert_eq!(refused(answer), (Code::Unavailable, "draining".into()));
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_subscribed_is_refused() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let many: Vec<String> = (0..65).map(|number| format!("/many/{number}")).collect();
    for (channels, since, reason) in [
        (vec![], "", "parameter_invalid"),
        (vec!["a".to_owned()], "", "channel_invalid"),
        (vec!["/*/a".to_owned()], "", "pattern_invalid"),
        (many, "", "too_many_channels"),
        (vec!["/a".to_owned()], "nonsense", "cursor_invalid"),
    ] {
        let request = v1::SubscribeRequest {
            channels,
            since: since.into(),
        };
        let answer = within("an answer", client.subscribe(request)).await;
        assert_eq!(refused(answer), (Code::InvalidArgument, reason.to_owned()));
    }
    node.stop().await;
}
