//! Following: windows, changes, interest that comes and goes, and followers that are lost or too slow.

use std::{future::Future, sync::Arc, time::Duration};

use halley_shard::{
    ChannelName, Event, GapReason, Interest, Item, Lookup, Offset, Revision, Windows,
};

use super::{Lower, PATIENCE, SHORT_FEED, Subject, cases::text_of, channel, name, pattern};
use crate::{FollowEnd, HistoryStart};

fn texts(items: &[Item<Arc<Event>>]) -> Vec<String> {
    items.iter().map(text_of).collect()
}

fn floor_of(windows: &Windows<Arc<Event>>, channel: &ChannelName) -> Option<Offset> {
    match windows.lookup(channel) {
        Lookup::Tombstone(floor) => Some(floor.offset),
        Lookup::Window(_) | Lookup::Absent | Lookup::NotHeld => None,
    }
}

/// What was there comes as a window, what comes after as changes, without hole or double.
pub(super) async fn windows_then_changes(subject: &Subject) {
    let a = name("/follow/a");
    let shard = subject.shard_of(&a).await;
    subject.publish(&a, &["1", "2", "3"]).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([channel("/follow/a")]).await;
    let (items, through) = lower
        .read(&[channel("/follow/a")], Revision::ZERO)
        .expect("held");
    assert_eq!(texts(&items), ["1", "2", "3"]);
    let newest = subject.publish(&a, &["4", "5"]).await[1].revision;
    lower.reach(newest).await;
    let (items, _) = lower.read(&[channel("/follow/a")], through).expect("held");
    assert_eq!(texts(&items), ["4", "5"]);
}

/// A pattern brings the channels that exist and, later, those that begin.
pub(super) async fn late_channels_of_a_pattern(subject: &Subject) {
    let names: Vec<_> = (0..40)
        .map(|number| name(&format!("/late/{number}")))
        .collect();
    let shard = subject.shard_of(&names[0]).await;
    let mut here = Vec::new();
    for channel in names {
        if subject.shard_of(&channel).await == shard {
            here.push(channel);
        }
    }
    let (early, late) = here.split_at(here.len() / 2);
    for channel in early {
        subject.publish(channel, &["early"]).await;
    }
    let mut lower = Lower::new(subject, shard);
    lower.hold([pattern("/late/*")]).await;
    let mut newest = Revision::ZERO;
    for channel in late {
        newest = subject.publish(channel, &["late"]).await[0].revision;
    }
    lower.reach(newest).await;
    let (items, _) = lower
        .read(&[pattern("/late/*")], Revision::ZERO)
        .expect("held");
    let expected = early
        .iter()
        .map(|_| "early")
        .chain(late.iter().map(|_| "late"));
    assert_eq!(texts(&items), expected.collect::<Vec<_>>());
    assert_eq!(
        lower.windows().matching(&pattern("/late/*")).count(),
        here.len()
    );
}

/// A deletion is seen by who follows and by who comes later; offsets go on behind it.
pub(super) async fn deletions_are_seen(subject: &Subject) {
    let a = name("/deleted");
    let shard = subject.shard_of(&a).await;
    subject.publish(&a, &["1", "2"]).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([channel("/deleted")]).await;
    assert!(subject.delete(&a).await, "the channel existed");
    assert!(!subject.delete(&a).await, "the channel is gone");
    lower
        .until("the deletion", |lower| {
            floor_of(lower.windows(), &a).is_some()
        })
        .await;
    assert_eq!(floor_of(lower.windows(), &a), Some(Offset::new(2)));

    let mut later = Lower::new(subject, shard);
    later.hold([channel("/deleted")]).await;
    assert_eq!(
        floor_of(later.windows(), &a),
        Some(Offset::new(2)),
        "a tombstone is told"
    );

    let again = subject.publish(&a, &["3"]).await[0];
    assert_eq!(again.offset, Offset::new(3), "offsets never restart");
    for lower in [&mut lower, &mut later] {
        lower.reach(again.revision).await;
        let (items, _) = lower
            .read(&[channel("/deleted")], again.revision.before())
            .expect("held");
        assert_eq!(texts(&items), ["3"]);
    }
}

/// Who asks for a deleted channel by name is told of it, also where a pattern that matches is held: a
/// pattern knows nothing of names that are gone.
pub(super) async fn deletions_are_told_beside_a_pattern(subject: &Subject) {
    let a = name("/beside/a");
    let shard = subject.shard_of(&a).await;
    subject.publish(&a, &["1", "2"]).await;
    subject.delete(&a).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([pattern("/beside/*")]).await;
    let wanted = [channel("/beside/a")];
    assert_eq!(
        lower.read(&wanted, Revision::ZERO),
        None,
        "nobody has asked for the name yet"
    );
    lower.hold(wanted.clone()).await;
    let (items, _) = lower.read(&wanted, Revision::ZERO).expect("held");
    assert_eq!(texts(&items), ["gap Some(3)"]);
}

/// Where nothing happens that is wanted, the head moves all the same.
pub(super) async fn quiet_followers_hear_of_progress(subject: &Subject) {
    let quiet = name("/quiet");
    let shard = subject.shard_of(&quiet).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([channel("/quiet")]).await;
    let mut noisy = Vec::new();
    for number in 0..20 {
        let other = name(&format!("/noise/{number}"));
        if subject.shard_of(&other).await == shard {
            noisy.push(other);
        }
    }
    let mut newest = Revision::ZERO;
    for channel in &noisy {
        newest = subject.publish(channel, &["x"]).await[0].revision;
    }
    lower.reach(newest).await;
    let (items, through) = lower
        .read(&[channel("/quiet")], Revision::ZERO)
        .expect("held");
    assert!(items.is_empty() && through >= newest);
}

/// What is wanted no more is not told any more.
pub(super) async fn removed_interest_stops(subject: &Subject) {
    let a = name("/removed/a");
    let shard = subject.shard_of(&a).await;
    let mut number = 0;
    let marker = loop {
        let marker = name(&format!("/marker/{number}"));
        if subject.shard_of(&marker).await == shard {
            break marker;
        }
        number += 1;
    };
    let mut lower = Lower::new(subject, shard);
    lower
        .hold([channel("/removed/a"), pattern("/removed/*")])
        .await;
    subject.publish(&a, &["1"]).await;
    lower.remove(&pattern("/removed/*"));
    let newest = subject.publish(&a, &["2"]).await[0].revision;
    lower.reach(newest).await;
    let (items, _) = lower
        .read(&[channel("/removed/a")], Revision::ZERO)
        .expect("still held");
    assert_eq!(texts(&items), ["1", "2"]);

    lower.remove(&channel("/removed/a"));
    lower.hold([Interest::Channel(marker.clone())]).await;
    subject.publish(&a, &["3"]).await;
    let newest = subject.publish(&marker, &["seen"]).await[0].revision;
    lower.reach(newest).await;
    assert!(!lower.windows().holds(&channel("/removed/a")));
    assert!(
        matches!(lower.windows().lookup(&a), Lookup::NotHeld),
        "nobody wants it here"
    );
}

/// Interests come and go while events pour in; whoever holds one reads all of it.
pub(super) async fn interest_changes_under_load(subject: &Subject) {
    let names: Vec<_> = (0..6)
        .map(|number| name(&format!("/load/{number}")))
        .collect();
    let shard = subject.shard_of(&names[0]).await;
    let publishing = async {
        let mut newest = Revision::ZERO;
        for round in 0..120 {
            for channel in &names {
                let published = subject.publish(channel, &[&format!("{round}")]).await;
                if subject.shard_of(channel).await == shard {
                    newest = newest.max(published[0].revision);
                }
            }
            subject.env.clock.sleep(Duration::from_millis(1)).await;
        }
        newest
    };
    let changing = async {
        let mut lower = Lower::new(subject, shard);
        let steady = Interest::Channel(names[0].clone());
        lower.hold([steady.clone()]).await;
        for round in 0..20 {
            let passing = if round % 2 == 0 {
                pattern("/load/**")
            } else {
                pattern("/load/*")
            };
            lower.hold([passing.clone()]).await;
            lower.step().await.expect("nothing ends here");
            lower.remove(&passing);
        }
        lower.hold([pattern("/load/*")]).await;
        lower
    };
    let (newest, mut lower) = tokio::join!(biased; publishing, changing);
    lower.reach(newest).await;
    for channel in &names {
        if subject.shard_of(channel).await != shard {
            continue;
        }
        // Covered by the pattern: no window comes, what changes have made of it is what is read.
        lower.hold([Interest::Channel(channel.clone())]).await;
        let (mine, _) = lower
            .read(&[Interest::Channel(channel.clone())], Revision::ZERO)
            .expect("held");
        let (theirs, _) = subject
            .history(channel, HistoryStart::After(Revision::ZERO), newest)
            .await;
        assert_eq!(mine, theirs, "the copy of {channel} is the log's");
    }
}

/// History and followers tell the same, gaps of trimming included.
pub(super) async fn history_is_what_followers_saw(subject: &Subject) {
    let a = name("/same");
    let shard = subject.shard_of(&a).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([channel("/same")]).await;
    let numbers: Vec<_> = (0..130).map(|number| number.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    let published = subject.publish(&a, &numbers).await;
    let newest = published.last().expect("something was published").revision;
    let barrier = subject
        .log
        .barrier(shard, PATIENCE)
        .await
        .expect("a barrier");
    lower.reach(barrier).await;
    for start in [
        Revision::ZERO,
        published[40].revision,
        published[100].revision,
        newest,
    ] {
        let (theirs, _) = subject
            .history(&a, HistoryStart::After(start), barrier)
            .await;
        let (mine, _) = lower.read(&[channel("/same")], start).expect("held");
        assert_eq!(mine, theirs);
    }
    let (all, _) = lower
        .read(&[channel("/same")], Revision::ZERO)
        .expect("held");
    let Item::Gap(gap) = &all[0] else {
        panic!("what was trimmed is told first")
    };
    assert_eq!(
        (gap.reason, gap.next),
        (GapReason::Trimmed, Some(Offset::new(81)))
    );
    assert_eq!(texts(&all[1..]), numbers[80..]);
}

/// A follower that does not listen is ended once it is further behind than the log keeps.
pub(super) async fn slow_followers_are_ended(subject: &Subject) {
    let a = name("/slow");
    let shard = subject.shard_of(&a).await;
    let mut lower = Lower::new(subject, shard);
    lower.hold([channel("/slow")]).await;
    for _ in 0..SHORT_FEED * 3 {
        subject.publish(&a, &["x"]).await;
    }
    let ended = async {
        loop {
            if let Err(end) = lower.step().await {
                return end;
            }
        }
    };
    assert_eq!(
        subject.within("being ended", ended).await,
        FollowEnd::Behind
    );
}

/// A reader behind a following that is disturbed in any way sees every acknowledged event exactly once, in
/// order. `disturb` runs all the while; the subject must recover within [`PATIENCE`] once it is over.
/// Returns how often the reader's copy had to begin anew.
///
/// # Panics
/// When an event is lost, doubled or out of order.
pub async fn survives_disturbance(subject: &Subject, disturb: impl Future<Output = ()>) -> usize {
    let a = name("/storm");
    let shard = subject.shard_of(&a).await;
    let publishing = async {
        let mut published = Vec::new();
        for number in 0..300 {
            published.extend(subject.publish(&a, &[&number.to_string()]).await);
            subject.env.clock.sleep(Duration::from_millis(5)).await;
        }
        published
    };
    let published = async { tokio::join!(biased; publishing, disturb).0 };
    let mut lower = Lower::new(subject, shard);
    lower.add([channel("/storm")]);
    let mut cursor = Revision::ZERO;
    let mut seen = Vec::new();
    let mut read = |lower: &Lower| {
        if let Some((items, through)) = lower.read(&[channel("/storm")], cursor) {
            seen.extend(items);
            cursor = through;
        }
    };
    let mut published = std::pin::pin!(published);
    let published = loop {
        tokio::select! {
            biased;
            published = &mut published => break published,
            ended = lower.step() => if ended.is_err() {
                lower.begin_anew();
                subject.env.clock.sleep(Duration::from_millis(20)).await;
            },
        }
        read(&lower);
    };
    lower
        .reach(published.last().expect("something was published").revision)
        .await;
    read(&lower);
    let offsets: Vec<_> = published.iter().map(|place| place.offset.get()).collect();
    assert_eq!(
        offsets,
        (1..=300).collect::<Vec<_>>(),
        "every publish is stored once"
    );
    check_reading(&seen);
    lower.begun_anew()
}

/// Offsets rise by one; where they do not, a gap says so.
fn check_reading(seen: &[Item<Arc<Event>>]) {
    let mut next = Offset::new(1);
    for item in seen {
        match item {
            Item::Event(event) => {
                assert_eq!(
                    event.offset(),
                    next,
                    "an event is lost, doubled or out of order"
                );
                next = next.next();
            }
            Item::Gap(gap) => {
                let to = gap.next.expect("a trimmed channel is known");
                assert!(to > next, "a gap without a loss");
                next = to;
            }
        }
    }
    assert_eq!(next, Offset::new(301), "the end is missing");
}
