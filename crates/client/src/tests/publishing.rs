//! Batches and streams: what is sent again, and in which order it is stored.

use super::{
    broker::{Broker, Fate::*},
    *,
};
use crate::Publish;

fn events(count: u64) -> Vec<Publish> {
    (0..count)
        .map(|number| Publish::json("/a", number.to_string()))
        .collect()
}

fn in_order(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn of_a_batch_only_what_failed_is_sent_again() {
    let (broker, address) =
        Broker::start(&[Well, Refused("overloaded"), Well, Refused("no_leader")]).await;
    let results = within("a batch", client(&[address]).publish_batch(events(4))).await;
    let offsets: Vec<_> = results
        .expect("answered")
        .into_iter()
        .map(|result| result.expect("stored").offset)
        .collect();
    assert_eq!(offsets, [1, 2, 3, 4]);
    assert_eq!(broker.log(), in_order(4));
    assert_eq!(
        broker.keys_seen().len(),
        4,
        "nothing was sent again that had been stored"
    );
}

#[tokio::test]
async fn what_a_batch_cannot_store_stays_refused() {
    let (broker, address) = Broker::start(&[Well, Refused("payload_too_large")]).await;
    let results = within("a batch", client(&[address]).publish_batch(events(3))).await;
    let codes: Vec<String> = results
        .expect("answered")
        .into_iter()
        .map(|result| result.map_or_else(|error| error.code().to_owned(), |_| "ok".to_owned()))
        .collect();
    assert_eq!(codes, ["ok", "payload_too_large", "aborted"]);
    assert_eq!(broker.log(), ["0"]);
}

#[tokio::test]
async fn a_stream_stores_everything_once_and_in_order() {
    let mut fates = Vec::new();
    for round in 0..40 {
        fates.extend([Well; 5]);
        fates.push(match round % 4 {
            0 => Lost,
            1 => Refused("overloaded"),
            2 => Refused("out_of_sequence"),
            _ => Refused("draining"),
        });
    }
    let (broker, address) = Broker::start(&fates).await;
    let client = client(&[nobody().await, address]);
    let stream = client.publish_stream();
    let mut receipts = Vec::new();
    for event in events(300) {
        receipts.push(
            within("room", stream.send(event))
                .await
                .expect("handed over"),
        );
    }
    for (index, receipt) in receipts.into_iter().enumerate() {
        let published = within("a receipt", receipt).await.expect("stored");
        assert_eq!(
            (published.offset, published.duplicate),
            (index as u64 + 1, false)
        );
    }
    within("the end", stream.finish()).await;
    assert_eq!(broker.log(), in_order(300));
}

#[tokio::test]
async fn one_refused_event_does_not_hold_back_the_others() {
    let (broker, address) = Broker::start(&[Well, Refused("body_invalid"), Well]).await;
    let stream = client(&[address]).publish_stream();
    let mut receipts = Vec::new();
    for event in events(3) {
        receipts.push(stream.send(event).await.expect("handed over"));
    }
    within("the end", stream.finish()).await;
    let mut codes = Vec::new();
    for receipt in receipts {
        codes.push(
            receipt
                .await
                .map_or_else(|error| error.code().to_owned(), |_| "ok".into()),
        );
    }
    assert_eq!(codes, ["ok", "body_invalid", "ok"]);
    assert_eq!(broker.log(), ["0", "2"]);
}

#[tokio::test]
async fn a_stream_without_a_broker_says_so_for_each_event() {
    let config = ClientConfig {
        deadline: Duration::from_millis(300),
        backoff_first: Duration::from_millis(1),
        ..ClientConfig::default()
    };
    let address = nobody().await.to_string();
    let client = Client::with_config([address], config, Env::system()).expect("an address");
    let stream = client.publish_stream();
    let first = stream
        .send(Publish::json("/a", "1"))
        .await
        .expect("handed over");
    let second = stream
        .send(Publish::json("/a", "2"))
        .await
        .expect("handed over");
    for receipt in [first, second] {
        let error = within("a receipt", receipt).await.expect_err("nobody");
        assert_eq!(error.code(), "unreachable", "{error:?}");
    }
    within("the end", stream.finish()).await;
}
