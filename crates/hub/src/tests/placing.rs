//! Where a subscription starts.

use super::*;

#[tokio::test(start_paused = true)]
async fn latest_is_the_head_of_this_copy() {
    let source = Source::new(1, 1);
    for _ in 0..3 {
        source.publish("/other");
    }
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    assert_eq!(reader.cursor().get(ShardId::new(0)), Some(Revision::new(3)));
    assert_eq!(hub.delivered(ShardId::new(0)), Revision::new(3));
    assert_eq!(hub.delivered(ShardId::new(9)), Revision::ZERO);
}

#[tokio::test(start_paused = true)]
async fn latest_waits_for_the_channels_within_patience() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    link.hold_back(true);
    let hub = hub(&link);
    assert_eq!(
        refused(&hub, &[channel("/a")], Since::Latest).await,
        SubscribeError::NotReady
    );
    let mut earliest = subscribe(&hub, &[channel("/a")], Since::Earliest).await;
    assert_eq!(earliest.cursor().get(ShardId::new(0)), Some(Revision::ZERO));
    link.hold_back(false);
    source.publish("/a");
    assert_eq!(words(&read(&mut earliest, 1).await), ["/a:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_learns_its_cluster_late_is_waited_for() {
    let link = Link::unformed();
    let hub = hub(&link);
    assert_eq!(
        refused(&hub, &[channel("/a")], Since::Earliest).await,
        SubscribeError::NotReady
    );
    let waiting = hub.clone();
    let opened = tokio::spawn(async move {
        subscribe(&waiting, &[channel("/a")], Since::Latest)
            .await
            .cursor()
    });
    settle().await;
    link.form(&Source::new(7, 1));
    assert_eq!(opened.await.unwrap().cluster().get(), 7);
}

#[tokio::test(start_paused = true)]
async fn the_last_n_are_of_all_channels_together() {
    let source = Source::new(1, 2);
    let (left, right) = (source.name_in(0, "/l"), source.name_in(1, "/r"));
    source.publish_at(10, &left);
    source.publish_at(20, &right);
    source.publish_at(30, &left);
    source.publish_at(30, &right);
    source.publish_at(40, &left);
    let hub = hub(&Link::to(&source));
    let interests = [channel(&left), channel(&right)];

    // At one time the higher shard counts as the newer.
    let mut last = subscribe(&hub, &interests, Since::Last(2)).await;
    let mut given = words(&read(&mut last, 2).await);
    given.sort();
    assert_eq!(given, [format!("{left}:3"), format!("{right}:2")]);

    let mut last = subscribe(&hub, &interests, Since::Last(3)).await;
    let mut given = words(&read(&mut last, 3).await);
    given.sort();
    assert_eq!(
        given,
        [
            format!("{left}:2"),
            format!("{left}:3"),
            format!("{right}:2")
        ]
    );

    let mut one = subscribe(&hub, &interests, Since::Last(1)).await;
    assert_eq!(words(&read(&mut one, 1).await), [format!("{left}:3")]);
    nothing_comes(&mut one).await;
    let mut all = subscribe(&hub, &interests, Since::Last(1_000)).await;
    assert_eq!(read(&mut all, 5).await.len(), 5);
    let mut none = subscribe(&hub, &[pattern("/none/*")], Since::Last(10)).await;
    assert_eq!(none.cursor().get(ShardId::new(0)), Some(source.head(0)));
    nothing_comes(&mut none).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_the_cursor_does_not_name_starts_at_latest() {
    let source = Source::new(1, 2);
    let (left, right) = (source.name_in(0, "/l"), source.name_in(1, "/r"));
    for name in [&left, &left, &right, &right] {
        source.publish(name);
    }
    let hub = hub(&Link::to(&source));
    let cursor = Cursor::single(source.cluster.id, ShardId::new(0), Revision::new(1));
    let interests = [channel(&left), channel(&right)];
    let mut reader = subscribe(&hub, &interests, Since::Cursor(cursor)).await;
    assert_eq!(reader.cursor().get(ShardId::new(0)), Some(Revision::new(1)));
    assert_eq!(reader.cursor().get(ShardId::new(1)), Some(Revision::new(2)));
    assert_eq!(words(&read(&mut reader, 1).await), [format!("{left}:2")]);
    source.publish(&right);
    assert_eq!(words(&read(&mut reader, 1).await), [format!("{right}:3")]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_history_or_shard_is_refused() {
    let source = Source::new(1, 2);
    let hub = hub(&Link::to(&source));
    let foreign = Cursor::new(
        Source::new(2, 1).cluster.id,
        [(ShardId::new(0), Revision::new(5))],
    );
    let error = refused(&hub, &[channel("/a")], Since::Cursor(foreign)).await;
    assert_eq!(error, SubscribeError::CursorForeign);
    let beyond = Cursor::new(source.cluster.id, [(ShardId::new(2), Revision::new(5))]);
    let error = refused(&hub, &[channel("/a")], Since::Cursor(beyond)).await;
    assert_eq!(error, SubscribeError::CursorInvalid(2));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cursor_is_told_once_where_it_must_not_be_refused() {
    let source = Source::new(1, 1);
    source.publish("/a");
    source.publish("/p/x");
    let hub = hub(&Link::to(&source));
    let foreign = Cursor::single(
        Source::new(2, 1).cluster.id,
        ShardId::new(0),
        Revision::new(5),
    );
    let interests = vec![channel("/a"), pattern("/p/*"), channel("/a")];
    let since = Since::Cursor(foreign.clone());
    let ask = SubscribeRequest {
        interests,
        since,
        tell_foreign: true,
        unreadable: false,
    };
    let mut reader = hub.subscribe(ask.clone()).await.unwrap();
    assert_eq!(
        reader.cursor(),
        foreign,
        "the client's own until it has been told"
    );
    let tiny = Budget {
        items: 1,
        bytes: 1,
        scanned: 1,
    };
    let mut given = reader.next(tiny).await.unwrap();
    while given.len() < 4 {
        given.extend(reader.next(ALL).await.unwrap());
    }
    let told = ["/a> ForeignCursor", "/p/*> ForeignCursor", "/a:1", "/p/x:1"];
    assert_eq!(words(&given), told);

    let back = cursor_of(&given[0]).clone();
    assert_eq!(back.get(ShardId::new(0)), Some(Revision::ZERO));
    let mut again = subscribe(&hub, &ask.interests, Since::Cursor(back)).await;
    assert_eq!(words(&read(&mut again, 2).await), ["/a:1", "/p/x:1"]);

    let unreadable = SubscribeRequest {
        since: Since::Earliest,
        unreadable: true,
        ..ask
    };
    let mut reader = hub.subscribe(unreadable).await.unwrap();
    assert_eq!(reader.cursor().get(ShardId::new(0)), Some(Revision::ZERO));
    let given = read(&mut reader, 4).await;
    assert!(
        matches!(&given[0], Delivery::Gap { gap, .. } if gap.reason == GapReason::ForeignCursor)
    );
}
