//! The time of entries: stamped by a shard's leader, carried by the entry, never going back.
//!
//! While a node leads, its stamps advance with its monotonic clock; its wall clock may only push them forward, and
//! by more than [`JUMP_MAX`] only when a majority of voters, asked, have a clock within [`NEAR`] of it. Invariant: no
//! stamp is below an earlier one of the shard, whoever led.

use std::time::Duration;

use halley_shard::Time;

/// The largest step that one wall clock may cause alone.
pub(crate) const JUMP_MAX: Duration = Duration::from_secs(10);
/// Clocks this far apart agree.
pub(crate) const NEAR: Duration = Duration::from_secs(5);

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Give it this time.
    Use(Time),
    /// Keep it; ask the other voters what time it is, then call [`Stamper::resolve`].
    AskMajority {
        /// How far this node's clock is ahead of the shard's time.
        ahead: Duration,
    },
}

/// What the majority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The clock is right: stamps follow it from now on.
    Taken(Time),
    /// It is not: refuse proposals, alarm with this text, hand the leadership over.
    Refused(String),
}

/// Two clocks, read together as well as can be, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Another voter's.
    pub(crate) theirs_ms: u64,
    /// This node's, when the answer came.
    pub(crate) ours_ms: u64,
}

/// The stamps of one shard while this node leads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamper {
    /// The shard's time at `since`.
    time_ms: u64,
    since: Duration,
}

impl Stamper {
    /// For a term that begins at `monotonic`, with `floor` the time of the newest entry in the log.
    #[must_use]
    pub(crate) const fn new(floor: Time, monotonic: Duration) -> Self {
        Self {
            time_ms: floor.get(),
            since: monotonic,
        }
    }

    /// The time of an entry made now; `wall_ms` in milliseconds since the Unix epoch.
    pub(crate) fn stamp(&mut self, wall_ms: u64, monotonic: Duration) -> Stamp {
        let expected = self.expected(monotonic);
        let ahead = Duration::from_millis(wall_ms.saturating_sub(expected));
        if ahead > JUMP_MAX {
            return Stamp::AskMajority { ahead };
        }
        Stamp::Use(self.take(wall_ms, monotonic))
    }

    /// Decides with the other voters' clocks; `voters` counts them all, this node included.
    pub(crate) fn resolve(
        &mut self,
        wall_ms: u64,
        monotonic: Duration,
        others: &[Reading],
        voters: usize,
    ) -> Resolution {
        let near = |reading: &&Reading| {
            let apart = reading.theirs_ms.abs_diff(reading.ours_ms);
            Duration::from_millis(apart) <= NEAR
        };
        let agree = others.iter().filter(near).count() + 1;
        let majority = voters / 2 + 1;
        if agree >= majority {
            return Resolution::Taken(self.take(wall_ms, monotonic));
        }
        let ahead = wall_ms.saturating_sub(self.expected(monotonic));
        Resolution::Refused(format!(
            "the clock of this node is {ahead} ms ahead of the shard's time, and with {agree} of {voters} voters only \
             (itself included) it agrees to {} s: set the clocks right",
            NEAR.as_secs()
        ))
    }

    fn expected(&self, monotonic: Duration) -> u64 {
        let passed = monotonic.saturating_sub(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.time_ms.saturating_add(passed)
    }

    /// Only a step forward moves the anchor, so that fractions of milliseconds are not lost one by one.
    fn take(&mut self, wall_ms: u64, monotonic: Duration) -> Time {
        let expected = self.expected(monotonic);
        if wall_ms > expected {
            *self = Self {
                time_ms: wall_ms,
                since: monotonic,
            };
        }
        Time::new(wall_ms.max(expected))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: u64 = 1_800_000_000_000;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn leading() -> Stamper {
        Stamper::new(Time::new(NOON), secs(50))
    }

    fn clock(off_ms: i64) -> Reading {
        Reading {
            theirs_ms: NOON.strict_add_signed(off_ms),
            ours_ms: NOON,
        }
    }

    #[test]
    fn a_wall_clock_that_goes_back_leaves_the_monotonic_one_in_charge() {
        let mut stamper = leading();
        assert_eq!(
            stamper.stamp(NOON + 7, secs(50)),
            Stamp::Use(Time::new(NOON + 7))
        );
        let back = stamper.stamp(NOON - 3_600_000, secs(53));
        assert_eq!(back, Stamp::Use(Time::new(NOON + 3_007)));
        let earlier = stamper.stamp(0, secs(1));
        assert_eq!(
            earlier,
            Stamp::Use(Time::new(NOON + 7)),
            "never below the anchor"
        );
    }

    #[test]
    fn ten_seconds_forward_are_taken_and_more_is_asked() {
        let mut stamper = leading();
        assert_eq!(
            stamper.stamp(NOON + 10_001, secs(50)),
            Stamp::AskMajority {
                ahead: Duration::from_millis(10_001)
            }
        );
        assert_eq!(
            stamper.stamp(NOON + 10_000, secs(50)),
            Stamp::Use(Time::new(NOON + 10_000))
        );
        // Time that passed is no jump.
        assert_eq!(
            stamper.stamp(NOON + 3_610_000, secs(3_650)),
            Stamp::Use(Time::new(NOON + 3_610_000))
        );
    }

    #[test]
    fn a_majority_within_five_seconds_decides() {
        let far = NOON + 86_400_000;
        for (others, voters, taken) in [
            (vec![], 1, true),
            (vec![], 3, false),
            (vec![clock(5_000)], 3, true),
            (vec![clock(-5_000)], 3, true),
            (vec![clock(-5_001), clock(5_001)], 3, false),
            (vec![clock(1), clock(-9_000), clock(9_000)], 4, false),
            (vec![clock(1), clock(-1), clock(9_000)], 4, true),
            (vec![clock(0), clock(0)], 5, true),
            (vec![clock(0)], 5, false),
        ] {
            let mut stamper = leading();
            let resolution = stamper.resolve(far, secs(50), &others, voters);
            if taken {
                assert_eq!(resolution, Resolution::Taken(Time::new(far)));
                assert_eq!(stamper.stamp(far, secs(50)), Stamp::Use(Time::new(far)));
            } else {
                assert!(matches!(resolution, Resolution::Refused(_)), "{others:?}");
                let again = stamper.stamp(far, secs(50));
                assert!(matches!(again, Stamp::AskMajority { .. }), "{others:?}");
            }
        }
    }

    #[test]
    fn a_new_leader_goes_on_where_the_old_one_was() {
        let mut stamper = Stamper::new(Time::new(NOON), secs(9));
        assert_eq!(
            stamper.stamp(NOON - 8_000, secs(9)),
            Stamp::Use(Time::new(NOON))
        );
        assert_eq!(
            stamper.stamp(NOON - 7_000, secs(10)),
            Stamp::Use(Time::new(NOON + 1_000))
        );
        let mut first = Stamper::new(Time::ZERO, secs(9));
        assert!(matches!(
            first.stamp(NOON, secs(9)),
            Stamp::AskMajority { .. }
        ));
    }

    proptest! {
        #[test]
        fn stamps_never_go_back_nor_jump_alone(
            steps in prop::collection::vec((0_u64..20_000, any::<u32>()), 1..50),
        ) {
            let mut stamper = leading();
            let (mut monotonic, mut last) = (secs(50), NOON);
            for (passed, wall) in steps {
                monotonic += Duration::from_millis(passed);
                let wall_ms = NOON + u64::from(wall % 100_000);
                if let Stamp::Use(time) = stamper.stamp(wall_ms, monotonic) {
                    let passed_since = (monotonic - secs(50)).as_millis() as u64;
                    prop_assert!(time.get() >= last);
                    prop_assert!(time.get() <= (NOON + passed_since).max(wall_ms).max(last + passed_since));
                    last = time.get();
                }
            }
        }
    }
}
