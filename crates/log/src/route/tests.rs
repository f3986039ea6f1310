//! A submission's life, step by step.

use super::*;

/// Draws zero only: every wait is a millisecond.
#[derive(Debug)]
struct Zero;

impl Rng for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Counts up, so that no two draws are equal.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Rng for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

const SHARD: ShardId = ShardId::new(0);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn route(targets: usize) -> Route {
    Route::new(SHARD, targets, Target(0), ms(0), ms(5_000))
}

fn tried(action: &Action) -> usize {
    match action {
        Action::Try { target, .. } => target.0,
        other => panic!("{other:?} instead of an attempt"),
    }
}

#[test]
fn a_reply_ends_it() {
    let mut route = route(1);
    assert_eq!(
        route.action(ms(0)),
        Action::Try {
            target: Target(0),
            patience: ms(2_000)
        }
    );
    route.outcome(Outcome::Reply(Reply::Done), ms(1), &Zero);
    assert_eq!(route.action(ms(2)), Action::Done(Ok(Reply::Done)));
}

#[test]
fn every_target_is_tried_before_the_wait() {
    let mut route = route(3);
    for target in [0, 1, 2] {
        assert_eq!(tried(&route.action(ms(0))), target);
        route.outcome(Outcome::NotReached, ms(0), &Zero);
    }
    assert_eq!(route.action(ms(0)), Action::SleepUntil(ms(1)));
    assert_eq!(tried(&route.action(ms(1))), 0);
}

#[test]
fn nothing_sent_is_no_leader_and_something_sent_is_unknown() {
    let mut unsent = route(1);
    unsent.outcome(Outcome::NotReached, ms(0), &Zero);
    let no_leader = LogError::NoLeader { shard: SHARD };
    assert_eq!(unsent.action(ms(5_000)), Action::Done(Err(no_leader)));

    let mut sent = route(1);
    sent.outcome(Outcome::NoAnswer, ms(0), &Zero);
    sent.outcome(Outcome::NotReached, ms(10), &Zero);
    assert_eq!(
        sent.action(ms(5_000)),
        Action::Done(Err(LogError::UnknownOutcome))
    );
}

#[test]
fn a_later_reply_settles_an_unknown_outcome() {
    let mut route = route(2);
    route.outcome(Outcome::NoAnswer, ms(0), &Zero);
    assert_eq!(tried(&route.action(ms(1))), 1);
    route.outcome(Outcome::Reply(Reply::Done), ms(2), &Zero);
    assert_eq!(route.action(ms(3)), Action::Done(Ok(Reply::Done)));
}

#[test]
fn a_full_log_is_said_at_once_but_never_after_an_unknown_outcome() {
    let full = LogError::Overloaded {
        what: "proposals",
        value: 9,
        limit: 8,
    };
    let mut first = route(1);
    first.outcome(Outcome::Failed(full.clone()), ms(0), &Zero);
    assert_eq!(first.action(ms(0)), Action::Done(Err(full.clone())));

    let mut second = route(1);
    second.outcome(Outcome::Failed(LogError::UnknownOutcome), ms(0), &Zero);
    second.outcome(Outcome::Failed(full), ms(5), &Zero);
    assert_eq!(
        second.action(ms(5_000)),
        Action::Done(Err(LogError::UnknownOutcome))
    );
}

#[test]
fn unreadable_bytes_are_not_tried_again() {
    let mut route = route(3);
    let unreadable = LogError::Unreadable("version".into());
    route.outcome(Outcome::Failed(unreadable.clone()), ms(0), &Zero);
    assert_eq!(route.action(ms(0)), Action::Done(Err(unreadable)));
}

#[test]
fn draining_targets_are_left_for_others() {
    let mut route = route(2);
    route.outcome(Outcome::Failed(LogError::Draining), ms(0), &Zero);
    assert_eq!(tried(&route.action(ms(0))), 1);
    route.outcome(Outcome::Failed(LogError::Draining), ms(0), &Zero);
    assert_eq!(
        route.action(ms(5_000)),
        Action::Done(Err(LogError::Draining))
    );
}

#[test]
fn three_hops_are_followed_and_no_more() {
    let mut route = route(3);
    for hop in [1, 2, 1] {
        route.outcome(Outcome::Elsewhere(Some(Target(hop))), ms(0), &Zero);
        assert_eq!(tried(&route.action(ms(0))), hop);
    }
    route.outcome(Outcome::Elsewhere(Some(Target(2))), ms(0), &Zero);
    assert_eq!(
        route.action(ms(0)),
        Action::Done(Err(LogError::NoLeader { shard: SHARD }))
    );
}

#[test]
fn an_unknown_leader_is_waited_for() {
    let mut route = route(1);
    for time in 0..20 {
        route.outcome(Outcome::Elsewhere(None), ms(time * 10), &Zero);
        assert_eq!(
            route.action(ms(time * 10)),
            Action::SleepUntil(ms(time * 10 + 1))
        );
        assert_eq!(tried(&route.action(ms(time * 10 + 1))), 0);
    }
}

#[test]
fn no_attempt_outlives_the_deadline() {
    let mut route = Route::new(SHARD, 1, Target(7), ms(100), ms(50));
    assert_eq!(
        route.action(ms(120)),
        Action::Try {
            target: Target(0),
            patience: ms(30)
        }
    );
    assert!(matches!(route.action(ms(150)), Action::Done(Err(_))));
}

#[test]
fn stamps_rise_and_change_their_producer_after_an_abandoned_command() {
    let (minter, rng) = (Minter::new(), Counting::default());
    let first = minter.mint(SHARD, &rng);
    let second = minter.mint(SHARD, &rng);
    let other = minter.mint(ShardId::new(1), &rng);
    assert_eq!((first.sequence, second.sequence, other.sequence), (1, 2, 1));
    assert_eq!(first.producer, second.producer);
    assert_ne!(first.producer, other.producer);
    assert_eq!((first.previous, first.origin), (None, Origin::Node));

    minter.abandon(SHARD, &first);
    let third = minter.mint(SHARD, &rng);
    assert_ne!(third.producer, first.producer);
    assert_eq!(third.sequence, 1);
    minter.abandon(SHARD, &second);
    assert_eq!(
        minter.mint(SHARD, &rng).producer,
        third.producer,
        "abandoned long ago"
    );
    assert_eq!(minter.mint(ShardId::new(1), &rng).producer, other.producer);
}
