//! Waiting longer after each failure, by lot, so that those who failed together do not return together.

use std::time::Duration;

use halley_env::Rng;

use crate::limits;

/// Full jitter: the n-th wait is drawn below `first * 2^n`, at most below `last`.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    bound: Duration,
    last: Duration,
}

impl Backoff {
    /// One whose waits stay below `last`.
    pub(crate) fn new(last: Duration) -> Self {
        Self {
            bound: limits::BACKOFF_FIRST,
            last,
        }
    }

    /// The next wait, at least a millisecond.
    pub(crate) fn next(&mut self, rng: &dyn Rng) -> Duration {
        let bound = u64::try_from(self.bound.as_micros()).expect("a back-off is short");
        self.bound = (self.bound * 2).min(self.last);
        Duration::from_micros(rng.below(bound)) + Duration::from_millis(1)
    }
}
