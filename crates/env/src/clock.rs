//! Time, asked for by name: a clock that never goes back, the calendar, and waiting.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::BoxFuture;

/// A source of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since this clock was made; never goes back.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since the Unix epoch; may jump either way.
    fn wall_ms(&self) -> u64;
    /// Completes once `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks. Under tokio's paused time, `monotonic` and `sleep` follow tokio.
#[derive(Debug)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the door")]
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeping_moves_the_monotonic_clock() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.monotonic() - before, Duration::from_secs(5));
    }

    #[test]
    fn the_calendar_is_past_2020() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let _in_runtime = runtime.enter();
        assert!(SystemClock::new().wall_ms() > 1_577_836_800_000);
    }
}
