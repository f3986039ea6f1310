//! The life of one submission on its way to its shard's leader, and the stamps that make it repeatable.
//!
//! Pure: told what happened and the time, [`Route`] says what to do next. Invariant: every attempt sends the
//! same bytes; once an attempt may have been stored, the end is its reply or [`LogError::UnknownOutcome`],
//! never an error that says nothing was stored.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use halley_env::Rng;
use halley_shard::{Origin, ProducerId, Reply, ShardId, Stamp};

use crate::{LogError, backoff::Backoff, limits};

/// Where a submission may be sent: one of the caller's targets, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(pub usize);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it there, and wait no longer than `patience` for the answer.
    Try {
        /// Where to.
        target: Target,
        /// How long.
        patience: Duration,
    },
    /// Ask again at this time.
    SleepUntil(Duration),
    /// It is over.
    Done(Result<Reply, LogError>),
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The shard answered.
    Reply(Reply),
    /// It was never sent.
    NotReached,
    /// It was sent, and the answer is missing.
    NoAnswer,
    /// Nothing was stored: somebody else leads, `Some` when it is known who.
    Elsewhere(Option<Target>),
    /// The target's log answered with an error.
    Failed(LogError),
}

/// One submission on its way.
#[derive(Debug)]
pub struct Route {
    shard: ShardId,
    targets: usize,
    target: Target,
    /// Targets tried since the last wait.
    tried: usize,
    hops: u32,
    ends: Duration,
    backoff: Backoff,
    /// An attempt may have been stored.
    may_be_stored: bool,
    /// Why the last attempt failed.
    last: LogError,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Try,
    Wait(Duration),
    Done(Result<Reply, LogError>),
}

impl Route {
    /// A submission to `shard` over `targets` (at least one), beginning with `first`, from `now` on for
    /// `deadline`.
    #[must_use]
    pub fn new(
        shard: ShardId,
        targets: usize,
        first: Target,
        now: Duration,
        deadline: Duration,
    ) -> Self {
        let targets = targets.max(1);
        Self {
            shard,
            targets,
            target: Target(first.0 % targets),
            tried: 0,
            hops: 0,
            ends: now.saturating_add(deadline),
            backoff: Backoff::new(limits::BACKOFF_LAST),
            may_be_stored: false,
            last: LogError::NoLeader { shard },
            next: Next::Try,
        }
    }

    /// What to do at `now`. After `Try` the caller reports with [`Route::outcome`].
    pub fn action(&mut self, now: Duration) -> Action {
        if let Next::Done(result) = &self.next {
            return Action::Done(result.clone());
        }
        let left = self.ends.saturating_sub(now);
        if left.is_zero() {
            return Action::Done(self.give_up());
        }
        if let Next::Wait(until) = self.next
            && now < until
        {
            return Action::SleepUntil(until.min(self.ends));
        }
        self.next = Next::Try;
        Action::Try {
            target: self.target,
            patience: left.min(limits::ATTEMPT_MAX),
        }
    }

    /// Takes what became of the attempt.
    pub fn outcome(&mut self, outcome: Outcome, now: Duration, rng: &dyn Rng) {
        match outcome {
            Outcome::Reply(reply) => self.next = Next::Done(Ok(reply)),
            Outcome::NotReached => self.try_next(now, rng),
            Outcome::NoAnswer => {
                self.may_be_stored = true;
                self.try_next(now, rng);
            }
            Outcome::Elsewhere(leader) => self.hop(leader, now, rng),
            Outcome::Failed(error) => self.failed(error, now, rng),
        }
    }

    /// Somebody was just heard to lead: `target` is tried at once, and hops are counted anew.
    pub fn lead(&mut self, target: Target) {
        if !matches!(self.next, Next::Done(_)) {
            self.hops = 0;
            self.tried = 0;
            self.target = Target(target.0 % self.targets);
            self.next = Next::Try;
        }
    }

    /// Ends it here and now: nobody left can answer.
    ///
    /// # Errors
    /// Always: what is known of the submission.
    pub fn give_up(&mut self) -> Result<Reply, LogError> {
        let error = if self.may_be_stored {
            LogError::UnknownOutcome
        } else {
            self.last.clone()
        };
        self.next = Next::Done(Err(error.clone()));
        Err(error)
    }

    /// A stale leader must not send it round in circles.
    fn hop(&mut self, leader: Option<Target>, now: Duration, rng: &dyn Rng) {
        self.last = LogError::NoLeader { shard: self.shard };
        let Some(leader) = leader else {
            return self.try_next(now, rng);
        };
        self.hops += 1;
        if self.hops > limits::ROUTE_HOPS_MAX {
            let _ = self.give_up();
            return;
        }
        self.target = Target(leader.0 % self.targets);
    }

    fn failed(&mut self, error: LogError, now: Duration, rng: &dyn Rng) {
        match error {
            LogError::UnknownOutcome => self.may_be_stored = true,
            // The same bytes are refused everywhere (unless an attempt went to a newer node).
            LogError::Unreadable(_) if !self.may_be_stored => {
                self.next = Next::Done(Err(error));
                return;
            }
            // Said at once, so that its publisher slows down, unless that could be a lie.
            LogError::Overloaded { .. } if !self.may_be_stored => {
                self.next = Next::Done(Err(error));
                return;
            }
            LogError::Overloaded { .. }
            | LogError::Unreadable(_)
            | LogError::Draining
            | LogError::NoLeader { .. } => self.last = error,
            LogError::Behind { .. } => self.last = LogError::NoLeader { shard: self.shard },
        }
        self.try_next(now, rng);
    }

    /// On to the next target, at once while there is one that has not been tried since the last wait.
    fn try_next(&mut self, now: Duration, rng: &dyn Rng) {
        self.target = Target((self.target.0 + 1) % self.targets);
        self.tried += 1;
        if self.tried >= self.targets {
            self.tried = 0;
            self.next = Next::Wait(now + self.backoff.next(rng));
        }
    }
}

/// Mints the stamps of this process's own commands: one producer id for each shard, numbers that rise.
#[derive(Debug, Default)]
pub struct Minter {
    producers: Mutex<BTreeMap<ShardId, (ProducerId, u64)>>,
}

impl Minter {
    /// One without producers; ids are drawn when they are needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next stamp of a command to `shard`.
    pub fn mint(&self, shard: ShardId, rng: &dyn Rng) -> Stamp {
        let mut producers = self.producers();
        let (producer, sequence) = producers
            .entry(shard)
            .or_insert_with(|| (draw_producer(rng), 0));
        *sequence += 1;
        Stamp {
            producer: *producer,
            sequence: *sequence,
            previous: None,
            origin: Origin::Node,
        }
    }

    /// The command with `stamp` was given up without knowing its outcome: what comes next is minted under
    /// a new producer id.
    pub fn abandon(&self, shard: ShardId, stamp: &Stamp) {
        let mut producers = self.producers();
        if producers
            .get(&shard)
            .is_some_and(|(producer, _)| *producer == stamp.producer)
        {
            producers.remove(&shard);
        }
    }

    fn producers(&self) -> MutexGuard<'_, BTreeMap<ShardId, (ProducerId, u64)>> {
        self.producers
            .lock()
            .expect("nobody panics while holding the producers")
    }
}

fn draw_producer(rng: &dyn Rng) -> ProducerId {
    let mut id = [0; 16];
    rng.fill(&mut id);
    ProducerId(id)
}

#[cfg(test)]
mod tests;
