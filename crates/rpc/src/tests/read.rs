//! `History`, `GetChannel`, `ListChannels`.

use halley_shard::Retention;

use super::*;

fn history(channel: &str, since: &str, limit: u32) -> v1::HistoryRequest {
    v1::HistoryRequest {
        channel: channel.into(),
        since: since.into(),
        limit,
        ..Default::default()
    }
}

#[tokio::test]
async fn history_goes_on_page_by_page() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    for _ in 0..7 {
        publish(&mut client, "/a", "1").await;
    }
    let (mut since, mut seen) = (String::new(), Vec::new());
    loop {
        let page = client
            .history(history("/a", &since, 3))
            .await
            .expect("read")
            .into_inner();
        if page.events.is_empty() {
            break;
        }
        seen.extend(page.events.iter().map(|event| event.offset));
        since = page.cursor;
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    let last = client
        .history(history("/a", "last:2", 0))
        .await
        .expect("read")
        .into_inner();
    assert_eq!(
        last.events
            .iter()
            .map(|event| event.offset)
            .collect::<Vec<_>>(),
        [6, 7]
    );
    let latest = client
        .history(history("/a", "latest", 0))
        .await
        .expect("read")
        .into_inner();
    assert!(latest.events.is_empty() && !latest.cursor.is_empty());
    let unknown = client
        .history(history("/unknown", "", 0))
        .await
        .expect("read")
        .into_inner();
    assert!(unknown.events.is_empty() && unknown.gaps.is_empty());
    let linearizable = v1::HistoryRequest {
        consistency: v1::Consistency::Linearizable.into(),
        ..history("/a", "", 0)
    };
    let page = client
        .history(linearizable)
        .await
        .expect("read")
        .into_inner();
    assert_eq!(page.events.len(), 7);
    node.stop().await;
}

#[tokio::test]
async fn what_was_trimmed_is_told_before_what_is_left() {
    let retention = Retention {
        events_max: 2,
        ..Retention::default()
    };
    let settings = Settings {
        retention,
        ..Settings::default()
    };
    let node = Node::with(GrpcConfig::default(), settings).await;
    let mut client = node.client.clone();
    for _ in 0..5 {
        publish(&mut client, "/a", "1").await;
    }
    let page = client
        .history(history("/a", "", 0))
        .await
        .expect("read")
        .into_inner();
    let gap = &page.gaps[0];
    assert_eq!(
        (gap.channel.as_str(), gap.next, gap.reason.as_str()),
        ("/a", Some(4), "trimmed")
    );
    assert_eq!(
        page.events
            .iter()
            .map(|event| event.offset)
            .collect::<Vec<_>>(),
        [4, 5]
    );
    node.stop().await;
}

#[tokio::test]
async fn cursors_that_cannot_be_are_refused() {
    let config = GrpcConfig {
        patience: Duration::from_millis(50),
        ..GrpcConfig::default()
    };
    let node = Node::with(config, Settings::default()).await;
    let mut client = node.client.clone();
    let stored = publish(&mut client, "/a", "1").await;
    let place = halley_wire::cursor::parse(&stored.cursor).expect("a cursor");
    let (shard, revision) = place.positions()[0];
    let text = |cluster, shard: u16, revision| {
        let shard = halley_shard::ShardId::new(shard);
        halley_wire::cursor::format(&halley_shard::Cursor::single(cluster, shard, revision))
    };
    let ahead = halley_shard::Revision::new(revision.get() + 1_000);
    for (since, code, reason) in [
        ("!".to_owned(), Code::InvalidArgument, "cursor_invalid"),
        (
            text(place.cluster(), 9, revision),
            Code::InvalidArgument,
            "cursor_invalid",
        ),
        (
            text(ClusterId::new(8), shard.get(), revision),
            Code::FailedPrecondition,
            "cursor_foreign",
        ),
        (
            text(place.cluster(), shard.get(), ahead),
            Code::OutOfRange,
            "cursor_ahead",
        ),
        (
            "last:1001".to_owned(),
            Code::InvalidArgument,
            "parameter_invalid",
        ),
    ] {
        let answer = within("an answer", client.history(history("/a", &since, 0))).await;
        assert_eq!(refused(answer), (code, reason.to_owned()), "{since}");
    }
    let answer = client.history(history("/a", "", 1_001)).await;
    assert_eq!(
        refused(answer),
        (Code::InvalidArgument, "parameter_invalid".into())
    );
    let answer = client.history(history("/a/*", "", 1)).await;
    assert_eq!(
        refused(answer),
        (Code::InvalidArgument, "channel_invalid".into())
    );
    node.stop().await;
}

#[tokio::test]
async fn a_channel_in_figures() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    publish(&mut client, "/a", "1").await;
    publish(&mut client, "/a", "2").await;
    let request = v1::GetChannelRequest {
        channel: "/a".into(),
    };
    let info = client
        .get_channel(request)
        .await
        .expect("found")
        .into_inner();
    assert_eq!(
        (info.first_offset, info.next_offset, info.events),
        (1, 3, 2)
    );
    assert!(info.bytes > 0 && info.last_time_ms > 0);
    let unknown = v1::GetChannelRequest {
        channel: "/b".into(),
    };
    let answer = client.get_channel(unknown).await;
    assert_eq!(refused(answer), (Code::NotFound, "not_found".into()));
    node.stop().await;
}

#[tokio::test]
async fn channels_of_all_shards_by_name() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let mut names: Vec<String> = (0..25).map(|number| format!("/list/{number}")).collect();
    for name in &names {
        publish(&mut client, name, "1").await;
    }
    publish(&mut client, "/other", "1").await;
    names.sort();
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListChannelsRequest {
            pattern: "/list/*".into(),
            page_size: 4,
            page_token: token,
        };
        let page = client
            .list_channels(request)
            .await
            .expect("listed")
            .into_inner();
        assert!(page.channels.len() <= 4);
        listed.extend(page.channels.into_iter().map(|info| info.channel));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, names);
    let all = client
        .list_channels(v1::ListChannelsRequest::default())
        .await
        .expect("listed");
    assert_eq!(all.into_inner().channels.len(), 26);
    let broken = v1::ListChannelsRequest {
        page_token: "zz".into(),
        ..Default::default()
    };
    let answer = client.list_channels(broken).await;
    assert_eq!(
        refused(answer),
        (Code::InvalidArgument, "parameter_invalid".into())
    );
    let no_pattern = v1::ListChannelsRequest {
        pattern: "/a".into(),
        ..Default::default()
    };
    let answer = client.list_channels(no_pattern).await;
    assert_eq!(
        refused(answer),
        (Code::InvalidArgument, "pattern_invalid".into())
    );
    node.stop().await;
}
