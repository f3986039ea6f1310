//! Submitting, reading, barriers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use halley_shard::{ChannelName, Event, Item, Next, Offset, Revision, ShardId};

use super::{ALL, PATIENCE, Subject, name, pattern};
use crate::{HistoryStart, LogError, ReadAnswer, ReadQuery};

impl Subject {
    /// Everything retained of a channel and of whatever is told about it.
    pub(super) async fn history(
        &self,
        channel: &ChannelName,
        start: HistoryStart,
        at_least: Revision,
    ) -> (Vec<Item<Arc<Event>>>, Revision) {
        let shard = self.shard_of(channel).await;
        let query = ReadQuery::History {
            channel: channel.clone(),
            start,
            budget: ALL,
        };
        let read = self.log.read(shard, query, at_least, PATIENCE);
        match self.within("history", read).await {
            Ok(ReadAnswer::History(Next::Items {
                items,
                through,
                more: false,
            })) => {
                assert!(
                    through >= at_least,
                    "history answers below what was asked for"
                );
                (items, through)
            }
            other => panic!("history was answered with {other:?}"),
        }
    }

    async fn texts(&self, channel: &ChannelName, start: HistoryStart) -> Vec<String> {
        let (items, _) = self.history(channel, start, Revision::ZERO).await;
        items.iter().map(text_of).collect()
    }
}

/// The text of an event; gaps by their next offset.
pub(super) fn text_of(item: &Item<Arc<Event>>) -> String {
    match item {
        Item::Event(event) => String::from_utf8_lossy(event.data()).into_owned(),
        Item::Gap(gap) => format!("gap {:?}", gap.next.map(Offset::get)),
    }
}

/// Offsets rise by one per channel, revisions per shard, in the order of submission.
pub(super) async fn orders_and_answers(subject: &Subject) {
    let (a, b) = (name("/orders/a"), name("/orders/b"));
    let mut newest = Revision::ZERO;
    for round in 1..=5_u64 {
        let published = subject.publish(&a, &["one"]).await;
        assert_eq!(published[0].offset, Offset::new(round));
        assert!(published[0].revision > newest, "revisions rise");
        assert!(!published[0].duplicate);
        newest = published[0].revision;
        assert_eq!(
            subject.publish(&b, &["other"]).await[0].offset,
            Offset::new(round)
        );
    }
    let batch = subject.command(&[(&a, "six"), (&a, "seven")]);
    let places: Vec<_> = subject.submit(&a, batch).await;
    assert_eq!(
        places
            .iter()
            .map(|place| place.offset.get())
            .collect::<Vec<_>>(),
        [6, 7]
    );
    assert!(
        places[0].revision < places[1].revision,
        "every event has its own revision"
    );

    assert_eq!(
        subject.texts(&a, HistoryStart::Last(2)).await,
        ["six", "seven"]
    );
    assert_eq!(
        subject
            .texts(&a, HistoryStart::After(places[0].revision))
            .await,
        ["seven"]
    );
    assert_eq!(subject.texts(&a, HistoryStart::Latest).await, [""; 0]);
    assert_eq!(
        subject
            .texts(&name("/orders/none"), HistoryStart::Last(9))
            .await,
        [""; 0]
    );
}

/// The same bytes again get the same answer, and nothing is stored twice.
pub(super) async fn remembers_what_it_answered(subject: &Subject) {
    let channel = name("/twice");
    let command = subject.command(&[(&channel, "once"), (&channel, "and once more")]);
    let first = subject.submit(&channel, command.clone()).await;
    subject.publish(&channel, &["later"]).await;
    let again = subject.submit(&channel, command).await;
    assert_eq!(first, again, "a repetition is answered like the first");
    let all = subject
        .texts(&channel, HistoryStart::After(Revision::ZERO))
        .await;
    assert_eq!(all, ["once", "and once more", "later"]);
}

/// Bytes that are no command are refused and change nothing.
pub(super) async fn refuses_unreadable_commands(subject: &Subject) {
    let shard = ShardId::new(0);
    let before = subject
        .log
        .barrier(shard, PATIENCE)
        .await
        .expect("a barrier");
    for bytes in [&b""[..], b"\xff\xff\xff", b"halley"] {
        let submitted = subject
            .log
            .submit(shard, Bytes::from_static(bytes), PATIENCE);
        match subject.within("a refusal", submitted).await {
            Err(LogError::Unreadable(_)) => {}
            other => panic!("{bytes:?} was answered with {other:?}"),
        }
    }
    assert_eq!(
        subject
            .log
            .barrier(shard, PATIENCE)
            .await
            .expect("a barrier"),
        before
    );
}

/// A reading at a revision waits for it, and says so when it does not come.
pub(super) async fn reads_wait_for_their_revision(subject: &Subject) {
    let channel = name("/awaited");
    let first = subject.publish(&channel, &["first"]).await;
    let wanted = first[0].revision.next();
    let reading = subject.history(&channel, HistoryStart::After(Revision::ZERO), wanted);
    let publishing = async {
        subject.env.clock.sleep(Duration::from_millis(700)).await;
        subject.publish(&channel, &["second"]).await;
    };
    let ((items, _), ()) = tokio::join!(biased; reading, publishing);
    assert_eq!(
        items.iter().map(text_of).collect::<Vec<_>>(),
        ["first", "second"]
    );

    let shard = subject.shard_of(&channel).await;
    let wanted = Revision::new(1_000_000);
    let query = ReadQuery::Channel(channel);
    let read = subject
        .log
        .read(shard, query, wanted, Duration::from_millis(300));
    match subject.within("being told", read).await {
        Err(LogError::Behind { wanted: told, head }) => assert!(told == wanted && head < wanted),
        other => panic!("a reading of the future was answered with {other:?}"),
    }
}

/// A barrier is at or above everything acknowledged before it was asked for.
pub(super) async fn barrier_covers_what_was_acknowledged(subject: &Subject) {
    let channel = name("/barrier");
    let shard = subject.shard_of(&channel).await;
    for _ in 0..10 {
        let newest = subject.publish(&channel, &["x"]).await[0].revision;
        let barrier = subject
            .within("a barrier", subject.log.barrier(shard, PATIENCE))
            .await;
        assert!(barrier.expect("a barrier") >= newest);
    }
}

/// Channels come by name, in pages, with their figures.
pub(super) async fn lists_channels(subject: &Subject) {
    let names: Vec<_> = (0..9)
        .map(|number| name(&format!("/list/{number}")))
        .collect();
    for channel in &names {
        subject.publish(channel, &["x", "yz"]).await;
    }
    subject.publish(&name("/elsewhere"), &["x"]).await;
    let halley_shard::Interest::Pattern(pattern) = pattern("/list/*") else {
        unreachable!()
    };
    let mut listed = Vec::new();
    for shard in subject.cluster().await.shards.ids() {
        let mut after = None;
        loop {
            let query = ReadQuery::Channels {
                after,
                pattern: Some(pattern.clone()),
                count: 2,
            };
            let read = subject.log.read(shard, query, Revision::ZERO, PATIENCE);
            let Ok(ReadAnswer::Channels(page)) = subject.within("a page", read).await else {
                panic!("a page of channels was refused")
            };
            assert!(page.channels.len() <= 2);
            after = page.channels.last().map(|info| info.name.clone());
            let in_order = page.channels.is_sorted_by(|a, b| a.name < b.name);
            assert!(in_order, "a page is in the order of names");
            listed.extend(page.channels);
            if !page.more {
                break;
            }
        }
    }
    assert!(
        listed
            .iter()
            .all(|info| info.events == 2 && info.next_offset == Offset::new(3))
    );
    let mut found: Vec<_> = listed.into_iter().map(|info| info.name).collect();
    found.sort();
    assert_eq!(found, names);
    let query = ReadQuery::Channel(name("/nowhere"));
    let read = subject
        .log
        .read(ShardId::new(0), query, Revision::ZERO, PATIENCE)
        .await;
    assert_eq!(read, Ok(ReadAnswer::Channel(None)));
}
