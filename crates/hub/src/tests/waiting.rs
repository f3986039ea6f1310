//! Readers that this node is behind, and upstreams that go and come.

use halley_log::{FollowEnd, LogError};

use super::*;
use crate::EndReason;

#[tokio::test(start_paused = true)]
async fn a_reader_hops_to_a_node_that_lags() {
    let source = Source::new(1, 1);
    let lagging = Link::to(&source);
    let (first, second) = (hub(&Link::to(&source)), hub(&lagging));
    let mut here = subscribe(&first, &[channel("/a")], Since::Latest).await;
    let mut there = subscribe(&second, &[channel("/a")], Since::Latest).await;
    lagging.hold_back(true);
    for _ in 0..5 {
        source.publish("/a");
    }
    read(&mut here, 5).await;
    let own = here.cursor();
    let mut hopped = subscribe(&second, &[channel("/a")], Since::Cursor(own.clone())).await;
    assert!(hopped.take(ALL).unwrap().is_empty());
    assert_eq!(
        hopped.cursor(),
        own,
        "the client's own while this node is behind"
    );
    assert!(
        tokio::time::timeout(Duration::from_secs(5), hopped.ready())
            .await
            .is_err()
    );
    source.publish("/a");
    lagging.hold_back(false);
    assert_eq!(words(&read(&mut hopped, 1).await), ["/a:6"]);
    assert_eq!(read(&mut there, 6).await.len(), 6);
    assert_eq!(lagging.barriers(), 0);
}

#[tokio::test(start_paused = true)]
async fn progress_alone_wakes_a_reader_that_was_ahead() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    let _warm = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    link.hold_back(true);
    let head = source.publish("/other");
    let own = Cursor::single(source.cluster.id, ShardId::new(0), head);
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Cursor(own.clone())).await;
    assert!(reader.take(ALL).unwrap().is_empty());
    link.hold_back(false);
    nothing_comes(&mut reader).await;
    assert_eq!(reader.cursor(), own);
}

async fn ahead(link: &Arc<Link>, source: &Source) -> (Hub, Subscription) {
    let hub = hub(link);
    let _warm = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    let own = Cursor::single(source.cluster.id, ShardId::new(0), Revision::new(100));
    let reader = subscribe(&hub, &[channel("/a")], Since::Cursor(own)).await;
    (hub, reader)
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_leader_is_told_so_after_patience() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let (_hub, mut reader) = ahead(&link, &source).await;
    let start = tokio::time::Instant::now();
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::CursorAhead);
    assert!(start.elapsed() >= PATIENCE * 8 / 10 && start.elapsed() <= PATIENCE);
    assert_eq!(link.barriers(), 1);
    assert_eq!(reader.take(ALL).unwrap_err(), EndReason::CursorAhead);
    assert_eq!(
        reader.cursor().get(ShardId::new(0)),
        Some(Revision::new(100))
    );
}

#[tokio::test(start_paused = true)]
async fn a_true_cursor_is_sent_elsewhere_when_this_node_stays_behind() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    link.answer_barriers(Ok(Revision::new(100)));
    let (_hub, mut reader) = ahead(&link, &source).await;
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::Behind);
    assert_eq!(
        reader.cursor().get(ShardId::new(0)),
        Some(Revision::new(100))
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_to_ask_nobody_is_called_ahead() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    link.answer_barriers(Err(LogError::NoLeader {
        shard: ShardId::new(0),
    }));
    let (_hub, mut reader) = ahead(&link, &source).await;
    assert_eq!(reader.verdict().await, Some(EndReason::NoLeader));
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::NoLeader);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_level_has_no_verdict() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    assert_eq!(reader.verdict().await, None);
    assert_eq!(link.barriers(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_survive_a_following_that_fell_behind() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    let interests = [channel("/a"), pattern("/p/*")];
    let mut reader = subscribe(&hub, &interests, Since::Latest).await;
    source.publish("/a");
    assert_eq!(words(&read(&mut reader, 1).await), ["/a:1"]);
    link.hold_back(true);
    for _ in 0..3 {
        source.publish("/a");
        source.publish("/p/x");
    }
    link.cut(FollowEnd::Behind);
    link.hold_back(false);
    let mut given = words(&read(&mut reader, 6).await);
    given.sort();
    assert_eq!(
        given,
        ["/a:2", "/a:3", "/a:4", "/p/x:1", "/p/x:2", "/p/x:3"]
    );
    source.publish("/p/x");
    assert_eq!(words(&read(&mut reader, 1).await), ["/p/x:4"]);
}

#[tokio::test(start_paused = true)]
async fn readers_survive_the_loss_of_an_upstream_within_patience() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    source.publish("/a");
    assert_eq!(words(&read(&mut reader, 1).await), ["/a:1"]);
    let own = reader.cursor();
    link.hold_back(true);
    link.cut(FollowEnd::Lost("test".into()));
    source.publish("/a");
    let waiting = tokio::time::timeout(PATIENCE / 2, reader.next(ALL)).await;
    assert!(waiting.is_err());
    assert_eq!(reader.cursor(), own);
    assert_eq!(
        hub.delivered(ShardId::new(0)),
        Revision::new(1),
        "what was given stays given"
    );
    link.hold_back(false);
    assert_eq!(words(&read(&mut reader, 1).await), ["/a:2"]);

    link.hold_back(true);
    link.cut(FollowEnd::Lost("test".into()));
    settle().await;
    assert_eq!(reader.next(ALL).await.unwrap_err(), EndReason::Behind);
    assert_eq!(reader.cursor().get(ShardId::new(0)), Some(Revision::new(2)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_a_new_upstream_that_is_behind() {
    let (source, behind) = (Source::new(1, 1), Source::new(1, 1));
    for _ in 0..4 {
        source.publish("/a");
    }
    behind.publish("/a");
    let link = Link::to(&source);
    let hub = hub(&link);
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Earliest).await;
    read(&mut reader, 4).await;
    link.form(&behind);
    assert!(
        tokio::time::timeout(PATIENCE / 2, reader.next(ALL))
            .await
            .is_err()
    );
    for _ in 0..4 {
        behind.publish("/a");
    }
    assert_eq!(words(&read(&mut reader, 1).await), ["/a:5"]);
}
