//! When an interest is asked for, kept and given up.

use halley_shard::{ChannelPattern, Revision};

use super::*;

const LINGER: Duration = Duration::from_secs(30);

fn channel(name: &str) -> Interest {
    Interest::Channel(ChannelName::parse(name).unwrap())
}

fn pattern(text: &str) -> Interest {
    Interest::Pattern(ChannelPattern::parse(text).unwrap())
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Joins, has it asked for, and holds it.
fn read(interests: &mut Interests, interest: &Interest) -> (Arc<Entry>, u32) {
    let (entry, place, _) = interests.join(interest, &Signal::default());
    interests.turn_over(at(0));
    interests.held(interest);
    (entry, place)
}

#[test]
fn the_first_reader_adds_and_the_last_one_removes_after_the_linger() {
    let mut interests = Interests::default();
    let signal = Signal::default();
    let (entry, first, new) = interests.join(&channel("/a"), &signal);
    assert!(new);
    let (_, second, new) = interests.join(&channel("/a"), &signal);
    assert!(!new);
    assert_eq!(interests.turn_over(at(0)).add, [channel("/a")]);
    interests.held(&channel("/a"));

    assert!(!interests.leave(&entry, first, at(0) + LINGER));
    assert_eq!(interests.next_due(), None);
    assert!(interests.leave(&entry, second, at(5) + LINGER));
    assert_eq!(interests.next_due(), Some(at(35)));
    assert!(interests.turn_over(at(34)).remove.is_empty());
    assert_eq!(interests.turn_over(at(35)).remove, [channel("/a")]);
    assert_eq!(interests.len(), 0);
}

#[test]
fn a_reader_who_comes_back_in_time_keeps_it() {
    let mut interests = Interests::default();
    let (entry, place) = read(&mut interests, &channel("/a"));
    interests.leave(&entry, place, at(30));
    let (again, place, new) = interests.join(&channel("/a"), &Signal::default());
    assert!(!new);
    assert!(Arc::ptr_eq(&entry, &again));
    assert_eq!(interests.next_due(), None);
    assert!(interests.turn_over(at(31)).remove.is_empty());
    interests.leave(&again, place, at(61));
    assert_eq!(interests.turn_over(at(61)).remove, [channel("/a")]);
}

#[test]
fn nothing_is_given_up_before_it_is_held() {
    let mut interests = Interests::default();
    let (entry, place, _) = interests.join(&channel("/a"), &Signal::default());
    assert_eq!(interests.turn_over(at(0)).add, [channel("/a")]);
    interests.leave(&entry, place, at(30));
    assert!(interests.turn_over(at(31)).remove.is_empty());
    assert_eq!(
        interests.next_due(),
        None,
        "it waits for the upstream, not for time"
    );
    interests.held(&channel("/a"));
    assert_eq!(interests.turn_over(at(32)).remove, [channel("/a")]);
}

#[test]
fn a_channel_stays_while_a_pattern_over_it_is_on_its_way() {
    let mut interests = Interests::default();
    let (entry, place) = read(&mut interests, &channel("/a/x"));
    interests.leave(&entry, place, at(30));
    interests.join(&pattern("/b/*"), &Signal::default());
    interests.join(&pattern("/a/**"), &Signal::default());
    assert_eq!(interests.turn_over(at(0)).add.len(), 2);
    assert!(interests.turn_over(at(31)).remove.is_empty());
    interests.held(&pattern("/a/**"));
    assert_eq!(interests.turn_over(at(31)).remove, [channel("/a/x")]);
}

#[test]
fn a_pattern_stays_while_a_channel_under_it_is_on_its_way() {
    let mut interests = Interests::default();
    let (entry, place) = read(&mut interests, &pattern("/a/*"));
    interests.leave(&entry, place, at(30));
    interests.join(&channel("/a/x"), &Signal::default());
    interests.turn_over(at(0));
    assert!(interests.turn_over(at(31)).remove.is_empty());
    interests.held(&channel("/a/x"));
    assert_eq!(interests.turn_over(at(31)).remove, [pattern("/a/*")]);
}

#[test]
fn beginning_anew_asks_for_what_is_read_and_forgets_the_rest() {
    let mut interests = Interests::default();
    let (_, _) = read(&mut interests, &channel("/read"));
    let (entry, place) = read(&mut interests, &channel("/idle"));
    interests.leave(&entry, place, at(30));
    interests.begin_anew();
    assert_eq!(interests.len(), 1);
    assert_eq!(interests.next_due(), None);
    assert_eq!(interests.turn_over(at(0)).add, [channel("/read")]);
}

#[test]
fn lingering_is_bounded() {
    let mut interests = Interests::default();
    for index in 0..=LINGERING_MAX {
        let name = channel(&format!("/{index}"));
        let (entry, place) = read(&mut interests, &name);
        let due = at(30) + Duration::from_millis(index as u64);
        interests.leave(&entry, place, due);
    }
    assert_eq!(interests.turn_over(at(1)).remove, [channel("/0")]);
    assert_eq!(interests.len(), LINGERING_MAX);
}

#[test]
fn what_is_never_answered_is_not_kept_without_bound() {
    let mut interests = Interests::default();
    let mut overgrown = false;
    for index in 0..=LEAVING_MAX {
        assert!(!overgrown, "at {index}");
        let (entry, place, _) = interests.join(&channel(&format!("/{index}")), &Signal::default());
        interests.leave(&entry, place, at(0));
        overgrown = interests.turn_over(at(1)).overgrown;
    }
    assert!(overgrown);
    interests.begin_anew();
    assert_eq!(interests.len(), 0);
    assert!(!interests.turn_over(at(1)).overgrown);
}

#[test]
fn a_channel_finds_itself_and_its_patterns() {
    let mut interests = Interests::default();
    let matching = [channel("/a/b/c"), pattern("/a/b/*"), pattern("/a/b/**")];
    let more = [pattern("/a/**"), pattern("/**")];
    let others = [
        channel("/a/b"),
        pattern("/a/*"),
        pattern("/*"),
        pattern("/a/b/c/*"),
    ];
    for interest in matching.iter().chain(&more).chain(&others) {
        interests.join(interest, &Signal::default());
    }
    let mut found = Vec::new();
    let name = ChannelName::parse("/a/b/c").unwrap();
    interests.matching(&name, |entry| found.push(entry.interest().clone()));
    found.sort();
    let mut expected: Vec<_> = matching.into_iter().chain(more).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert!(interests.any_matching(&ChannelName::parse("/z").unwrap()));
    assert!(
        !interests
            .entries()
            .any(|entry| entry.touched_after(Revision::ZERO))
    );
}
