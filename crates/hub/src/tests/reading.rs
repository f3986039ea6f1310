//! History and live, in one shard and across two, fast and slow.

use super::*;

#[tokio::test(start_paused = true)]
async fn history_and_live_are_one_path() {
    let source = Source::new(1, 1);
    source.publish("/a");
    source.publish("/b");
    source.publish("/a");
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Earliest).await;
    assert!(reader.single_shard());
    assert_eq!(words(&read(&mut reader, 2).await), ["/a:1", "/a:2"]);
    let mut late = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    source.publish("/a");
    assert_eq!(words(&read(&mut reader, 1).await), ["/a:3"]);
    assert_eq!(words(&read(&mut late, 1).await), ["/a:3"]);
    assert_eq!(reader.cursor(), late.cursor());
    nothing_comes(&mut reader).await;
}

#[tokio::test(start_paused = true)]
async fn no_event_is_missed_between_subscribing_and_the_first_reading() {
    // Each round publishes at another moment of a subscription's opening.
    for moment in 0..60 {
        let source = Source::new(1, 1);
        source.publish("/a");
        let hub = hub(&Link::to(&source));
        settle().await;
        let publisher = Arc::clone(&source);
        let publishing = tokio::spawn(async move {
            for _ in 0..moment {
                tokio::task::yield_now().await;
            }
            publisher.publish("/a");
        });
        let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
        let cursor = reader.cursor();
        publishing.await.unwrap();
        // Placed before it: it comes. Placed behind it: the cursor says so.
        if cursor.get(ShardId::new(0)) < Some(Revision::new(2)) {
            assert_eq!(
                words(&read(&mut reader, 1).await),
                ["/a:2"],
                "moment {moment}"
            );
        }
        source.publish("/a");
        assert_eq!(
            words(&read(&mut reader, 1).await),
            ["/a:3"],
            "moment {moment}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken_by_every_event_of_its_own() {
    let source = Source::new(1, 1);
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    for offset in 1..200_u64 {
        let publisher = Arc::clone(&source);
        let yields = offset % 7;
        let publishing = tokio::spawn(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            publisher.publish("/a");
        });
        assert_eq!(words(&read(&mut reader, 1).await), [format!("/a:{offset}")]);
        publishing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn other_channels_and_progress_wake_nobody() {
    let source = Source::new(1, 1);
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub, &[channel("/a"), pattern("/x/*")], Since::Latest).await;
    let _other = subscribe(&hub, &[channel("/b")], Since::Latest).await;
    let before = reader.cursor();
    assert!(reader.take(ALL).unwrap().is_empty());
    // A wake-up of its own opening may be left.
    let _ = tokio::time::timeout(Duration::from_millis(1), reader.ready()).await;
    assert!(reader.take(ALL).unwrap().is_empty());
    source.publish("/b");
    source.publish("/x/y/z");
    settle().await;
    assert!(
        tokio::time::timeout(Duration::from_secs(60), reader.ready())
            .await
            .is_err()
    );
    assert!(
        reader.cursor() != before,
        "the cursor moves on with the node"
    );
    source.publish("/x/y");
    assert_eq!(words(&read(&mut reader, 1).await), ["/x/y:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_a_gap_and_goes_on() {
    let source = Source::new(1, 1);
    let hub = hub(&Link::to(&source));
    let mut slow = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    let mut fast = subscribe(&hub, &[channel("/a")], Since::Latest).await;
    for _ in 0..10 {
        source.publish("/a");
    }
    assert_eq!(read(&mut fast, 10).await.len(), 10);
    source.trim("/a", 2);
    settle().await;
    let given = read(&mut slow, 3).await;
    assert_eq!(words(&given), ["/a>9 Trimmed", "/a:9", "/a:10"]);
    assert_eq!(
        cursor_of(&given[0]).get(ShardId::new(0)),
        Some(Revision::new(8))
    );
    source.publish("/a");
    assert_eq!(words(&read(&mut slow, 1).await), ["/a:11"]);
    assert_eq!(words(&read(&mut fast, 1).await), ["/a:11"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_erase_is_no_loss_to_a_quiet_reader() {
    let source = Source::new(1, 1);
    let hub = hub(&Link::to(&source));
    let mut reader = subscribe(&hub, &[pattern("/mine/*")], Since::Latest).await;
    assert!(reader.take(ALL).unwrap().is_empty());
    source.publish("/theirs");
    source.erase("/theirs");
    settle().await;
    source.publish("/mine/x");
    source.publish("/mine/x");
    settle().await;
    assert_eq!(
        words(&read(&mut reader, 2).await),
        ["/mine/x:1", "/mine/x:2"]
    );
    source.publish("/theirs");
    settle().await;
    assert!(reader.take(ALL).unwrap().is_empty());
    source.erase("/theirs");
    settle().await;
    assert!(reader.take(ALL).unwrap().is_empty());
    nothing_comes(&mut reader).await;
}

#[tokio::test(start_paused = true)]
async fn many_channels_and_patterns_across_two_shards() {
    let source = Source::new(1, 2);
    let hub = hub(&Link::to(&source));
    let interests = [
        pattern("/p/**"),
        channel("/c1"),
        channel("/c2"),
        channel("/c3"),
    ];
    let mut reader = subscribe(&hub, &interests, Since::Latest).await;
    assert!(!reader.single_shard());
    assert_eq!(reader.cursor().positions().len(), 2);
    let names = ["/c1", "/p/x", "/p/y/z", "/c2", "/c3", "/q"];
    for _ in 0..20 {
        for name in names {
            source.publish(name);
        }
    }
    // In small steps, coming back with the cursor of the last one on a fresh subscription each time.
    let small = Budget {
        items: 3,
        bytes: 1 << 20,
        scanned: 64,
    };
    let mut seen = Vec::new();
    let mut cursor = reader.cursor();
    while seen.len() < 100 {
        let since = Since::Cursor(cursor.clone());
        let mut step = subscribe(&hub, &interests, since).await;
        let given = step.next(small).await.unwrap();
        assert!(given.len() <= 3);
        let through = cursor_of(given.last().unwrap());
        assert_eq!(
            through.positions().len(),
            2,
            "every cursor names all shards"
        );
        cursor = through.clone();
        seen.extend(words(&given));
    }
    for name in &names[..5] {
        let of_name: Vec<_> = seen
            .iter()
            .filter(|word| word.starts_with(&format!("{name}:")))
            .collect();
        let expected: Vec<_> = (1..=20).map(|offset| format!("{name}:{offset}")).collect();
        assert_eq!(of_name, expected.iter().collect::<Vec<_>>());
    }
    let mut rest = subscribe(&hub, &interests, Since::Cursor(cursor)).await;
    nothing_comes(&mut rest).await;
    assert_eq!(read(&mut reader, 100).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn no_shard_starves() {
    let source = Source::new(1, 2);
    let (left, right) = (source.name_in(0, "/l"), source.name_in(1, "/r"));
    for _ in 0..10 {
        source.publish(&left);
        source.publish(&right);
    }
    let hub = hub(&Link::to(&source));
    let interests = [channel(&left), channel(&right)];
    let mut reader = subscribe(&hub, &interests, Since::Earliest).await;
    let warm = subscribe(&hub, &interests, Since::Latest).await;
    let one = Budget {
        items: 1,
        bytes: 1 << 20,
        scanned: 64,
    };
    let mut shards = Vec::new();
    for _ in 0..6 {
        let given = reader.next(one).await.unwrap();
        shards.push(words(&given)[0].starts_with(&left));
    }
    assert_eq!(shards.iter().filter(|left| **left).count(), 3, "{shards:?}");
    drop(warm);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_does_not_tell_what_an_erased_name_left_behind() {
    let source = Source::new(1, 1);
    let link = Link::to(&source);
    let hub = hub(&link);
    source.publish("/a");
    source.publish("/a");
    source.erase("/a");
    let _all = subscribe(&hub, &[pattern("/**")], Since::Latest).await;
    // The channel's own answer is still out; the pattern over it is here.
    link.keep_waiting(true);
    let own = Cursor::single(source.cluster.id, ShardId::new(0), Revision::new(1));
    let mut reader = subscribe(&hub, &[channel("/a")], Since::Cursor(own.clone())).await;
    settle().await;
    assert!(reader.take(ALL).unwrap().is_empty());
    assert_eq!(reader.cursor(), own);
    link.keep_waiting(false);
    assert_eq!(words(&read(&mut reader, 1).await), ["/a>3 Trimmed"]);
    source.publish("/a");
    assert_eq!(
        words(&read(&mut reader, 2).await),
        ["/a>3 Recreated", "/a:3"]
    );
}
