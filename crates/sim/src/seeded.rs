//! The machine as a seed makes it: a generator, and a calendar that follows tokio's paused clock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use halley_env::{BoxFuture, Clock, Env, InlineSpawn, Rng, SystemClock};

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
pub(crate) struct SeededRng(Mutex<u64>);

impl SeededRng {
    /// The generator of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// Whether something of `percent` in a hundred happens.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// A time in `from..=to` milliseconds.
    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Tokio's paused clock with a calendar that began in 2026 and now and then jumps, either way.
#[derive(Debug)]
struct SeededClock {
    monotonic: SystemClock,
    rng: Arc<SeededRng>,
}

impl Clock for SeededClock {
    fn monotonic(&self) -> Duration {
        self.monotonic.monotonic()
    }

    fn wall_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        let jitter = if self.rng.chance(1) {
            self.rng.below(5_000)
        } else {
            2_500
        };
        1_767_225_600_000 + elapsed + jitter
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.monotonic.sleep(duration)
    }
}

/// The machine of one role: each has a generator of its own, so that one's draws do not move another's.
pub(crate) fn machine(seed: u64) -> (Env, Arc<SeededRng>) {
    let rng = Arc::new(SeededRng::new(seed));
    let clock = SeededClock {
        monotonic: SystemClock::new(),
        rng: Arc::clone(&rng),
    };
    let env = Env {
        clock: Arc::new(clock),
        rng: Arc::clone(&rng) as Arc<dyn Rng>,
        spawn: Arc::new(InlineSpawn),
    };
    (env, rng)
}
