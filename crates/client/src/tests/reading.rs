//! Subscriptions that lose their streams.

use super::{
    broker::{Broker, Fate::*},
    *,
};
use crate::{Delivery, Since};

#[tokio::test]
async fn every_event_comes_once_however_often_the_stream_breaks() {
    let fates = [
        Well,
        Lost,
        Refused("no_leader"),
        Lost,
        Well,
        Refused("draining"),
        Well,
    ];
    let (broker, address) = Broker::start(&fates).await;
    let mut subscription = client(&[address]).subscribe(["/a"], Since::Earliest);
    assert_eq!(
        within("the opening", subscription.opened()).await,
        Ok("c.0")
    );
    for expected in 1..=9 {
        let delivery = within("a delivery", subscription.next())
            .await
            .expect("open");
        let Delivery::Event(event) = delivery else {
            panic!("{delivery:?}")
        };
        assert_eq!(event.offset, expected);
        assert_eq!(subscription.cursor(), Some(event.cursor.as_str()));
    }
    let since = broker.subscribed_since();
    assert_eq!(
        since,
        ["earliest", "c.2", "c.4", "c.4", "c.6", "c.8", "c.8"]
    );
}

#[tokio::test]
async fn a_refusal_ends_it_for_good() {
    let (broker, address) = Broker::start(&[Refused("cursor_foreign")]).await;
    let since = Since::from("c.3");
    let mut subscription = client(&[address]).subscribe(["/a"], since);
    for _ in 0..2 {
        let error = within("an error", subscription.next())
            .await
            .expect_err("refused");
        assert_eq!(error.code(), "cursor_foreign");
    }
    assert_eq!(broker.subscribed_since(), ["c.3"]);
}

#[test]
fn places_read_as_the_contract_writes_them() {
    for text in ["latest", "earliest", "last:5", "3.0-1"] {
        assert_eq!(Since::from(text).to_string(), text);
    }
    assert_eq!(Since::from("last:5"), Since::Last(5));
    assert_eq!(Since::from("last:x"), Since::Cursor("last:x".into()));
}
