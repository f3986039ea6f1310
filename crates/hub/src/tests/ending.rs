//! How subscriptions, interests and hubs end.

use super::*;
use crate::EndReason;

#[tokio::test(start_paused = true)]
async fn draining_ends_everybody_and_refuses_the_next() {
    let source = Source::new(1, 2);
    let link = Link::to(&source);
    let hub = hub(&link);
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    let waiting = tokio::spawn(async move { reader.next(ALL).await.unwrap_err() });
    link.hold_back(true);
    let opening = hub.clone();
    let opening =
        tokio::spawn(async move { refused(&opening, &[channel("/b")], Since::Latest).await });
    settle().await;
    hub.drain();
    assert_eq!(waiting.await.unwrap(), EndReason::Draining);
    assert_eq!(opening.await.unwrap(), SubscribeError::Draining);
    assert_eq!(
        refused(&hub, &[channel("/a")], Since::Latest).await,
        SubscribeError::Draining
    );
    hub.close().await;
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_of_a_hub_ends_its_readers() {
    let source = Source::new(1, 1);
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub.clone(), &[channel("/a")], Since::Latest).await;
    assert!(reader.take(ALL).unwrap().is_empty());
    drop(hub);
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_never_formed_drains_and_closes() {
    let hub = hub(&Link::unformed());
    let opening = hub.clone();
    let opening =
        tokio::spawn(async move { refused(&opening, &[channel("/b")], Since::Latest).await });
    settle().await;
    hub.close().await;
    assert_eq!(opening.await.unwrap(), SubscribeError::Draining);
}

#[tokio::test(start_paused = true)]
async fn interest_is_counted_and_lingers() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    let first = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    let second = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    drop(first);
    drop(second);
    tokio::time::sleep(LINGER - Duration::from_secs(1)).await;
    // A long poll comes back in time.
    let third = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    tokio::time::sleep(LINGER * 2).await;
    assert_eq!(link.asked(), [(vec![channel("/a")], vec![])]);
    drop(third);
    tokio::time::sleep(LINGER * 2).await;
    assert_eq!(link.asked().last().unwrap(), &(vec![], vec![channel("/a")]));
    // And once more from the start.
    source.publish("/a");
    let mut fourth = subscribe(&hub, &[channel("/a")], Since::Earliest).await;
    assert_eq!(words(&read(&mut fourth, 1).await), ["/a:1"]);
    assert_eq!(link.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_is_given_up_leaves_no_interest() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    link.hold_back(true);
    let hub = hub(&link);
    let opening = hub.subscribe(request(&[channel("/a")], Since::Latest));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), opening)
            .await
            .is_err()
    );
    link.hold_back(false);
    tokio::time::sleep(LINGER * 2).await;
    assert_eq!(link.asked().last().unwrap(), &(vec![], vec![channel("/a")]));
}

#[tokio::test(start_paused = true)]
async fn another_cluster_ends_the_readers_of_the_old_one() {
    let (old, new) = (Source::new(1, 2), Source::new(2, 1));
    let link = Link::to(&old);
    let hub = hub(&link);
    old.publish("/a");
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    let own = reader.cursor();
    new.publish("/a");
    link.form(&new);
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::Behind);
    assert_eq!(reader.cursor(), own);
    let error = refused(&hub, &[channel("/a")], Since::Cursor(own)).await;
    assert_eq!(error, SubscribeError::CursorForeign);
    let mut fresh = subscribe(&hub, &[channel("/a")], Since::Earliest).await;
    assert_eq!(words(&read(&mut fresh, 1).await), ["/a:1"]);
    assert_eq!(fresh.cursor().cluster(), new.cluster.id);
}
