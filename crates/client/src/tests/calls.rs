//! Calls with one answer: retries, failover, refusals.

use super::{
    broker::{Broker, Fate::*},
    *,
};
use crate::{ClientError, Publish};

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let (broker, address) = Broker::start(&[Lost, Refused("overloaded"), Well]).await;
    let published = within(
        "a publish",
        client(&[address]).publish(Publish::json("/a", "1")),
    )
    .await;
    let published = published.expect("stored");
    assert_eq!((published.offset, published.duplicate), (1, false));
    assert_eq!(broker.log(), ["1"]);
    let keys = broker.keys_seen();
    assert_eq!(keys.len(), 3);
    assert!(
        keys[0].len() == 32 && keys.iter().all(|key| *key == keys[0]),
        "{keys:?}"
    );
}

#[tokio::test]
async fn two_publishes_have_two_keys_unless_the_caller_says_otherwise() {
    let (broker, address) = Broker::start(&[]).await;
    let client = client(&[address]);
    for _ in 0..2 {
        client
            .publish(Publish::json("/a", "1"))
            .await
            .expect("stored");
    }
    assert_eq!(broker.log().len(), 2);
    let own = Publish {
        key: Some("mine".into()),
        ..Publish::json("/a", "2")
    };
    assert!(!client.publish(own.clone()).await.expect("stored").duplicate);
    assert!(client.publish(own).await.expect("remembered").duplicate);
}

#[tokio::test]
async fn another_endpoint_does_when_one_is_gone() {
    let (broker, address) = Broker::start(&[]).await;
    let client = client(&[nobody().await, nobody().await, address]);
    within("a publish", client.publish(Publish::json("/a", "1")))
        .await
        .expect("stored");
    assert_eq!(broker.log(), ["1"]);
    let info = within("a channel", client.channel("/a"))
        .await
        .expect("found");
    assert_eq!((info.channel.as_str(), info.last_time_ms), ("/a", None));
}

#[tokio::test]
async fn a_refusal_is_not_asked_for_twice() {
    let (broker, address) = Broker::start(&[Refused("key_conflict")]).await;
    let client = client(&[address]);
    let refused = client
        .publish(Publish::json("/a", "1"))
        .await
        .expect_err("refused");
    assert_eq!(
        (refused.code(), refused.detail()),
        ("key_conflict", "by script")
    );
    assert!(!refused.is_unreachable());
    assert_eq!(broker.keys_seen().len(), 1);
    let refused = client.delete_channel("x").await.expect_err("refused");
    assert_eq!(refused.code(), "channel_invalid");
    let refused = client.channels(None, None, 1).await.expect_err("refused");
    assert!(
        matches!(refused, ClientError::Refused { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nobody_there_is_unreachable_after_the_deadline() {
    let config = ClientConfig {
        deadline: Duration::from_millis(300),
        backoff_first: Duration::from_millis(1),
        ..ClientConfig::default()
    };
    let address = nobody().await.to_string();
    let client = Client::with_config([address], config, Env::system()).expect("an address");
    let error = within("an error", client.channel("/a"))
        .await
        .expect_err("nobody");
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    let mut subscription = client.subscribe(["/a"], crate::Since::Latest);
    let error = within("an error", subscription.opened())
        .await
        .expect_err("nobody");
    assert!(error.is_unreachable(), "{error:?}");
}

#[tokio::test]
async fn what_is_no_endpoint_is_said_at_once() {
    for endpoint in ["", "host", "https://host:1", "http://host", "a b:1"] {
        let error = Client::connect([endpoint], Env::system()).expect_err("no endpoint");
        assert!(
            matches!(error, ClientError::Endpoint { .. }),
            "{endpoint:?}: {error:?}"
        );
    }
    assert!(Client::connect(Vec::<String>::new(), Env::system()).is_err());
}
