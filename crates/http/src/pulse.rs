//! What a connection is doing, and since when: the ground of its time limits.
//!
//! Invariant: only one of the limits counts at a time: of a request's head, of idleness, or of a client that
//! takes nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use halley_env::Clock;

use crate::HttpConfig;

/// Shared by a connection's socket, its requests and its watch. Moments are milliseconds of the monotonic
/// clock plus one; zero is none.
#[derive(Debug)]
pub(crate) struct Pulse {
    clock: Arc<dyn Clock>,
    /// Requests that have been taken up and not been answered in full.
    busy: AtomicUsize,
    /// When the last one ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of a head came that is not whole yet.
    head_since: AtomicU64,
    /// When the socket first refused to take more.
    stalled_since: AtomicU64,
    /// A request came at all.
    used: AtomicUsize,
    /// Heads are told apart by their first byte: not so in HTTP/2.
    sees_heads: bool,
}

/// Why a connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// A head was begun and not finished.
    Head,
    /// No request came.
    Idle,
    /// The client takes nothing.
    Stalled,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Pulse>);

impl Pulse {
    /// A connection that begins now.
    pub(crate) fn new(clock: Arc<dyn Clock>, sees_heads: bool) -> Arc<Self> {
        let pulse = Self {
            clock,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            used: AtomicUsize::new(0),
            sees_heads,
        };
        pulse.idle_since.store(pulse.moment(), Relaxed);
        Arc::new(pulse)
    }

    /// Bytes came.
    pub(crate) fn note_read(&self) {
        if self.sees_heads && self.busy.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.moment(), Relaxed);
        }
    }

    /// The socket took bytes.
    pub(crate) fn note_written(&self) {
        self.stalled_since.store(0, Relaxed);
    }

    /// The socket would take none.
    pub(crate) fn note_stalled(&self) {
        if self.stalled_since.load(Relaxed) == 0 {
            self.stalled_since.store(self.moment(), Relaxed);
        }
    }

    /// A request is taken up.
    pub(crate) fn begin(pulse: &Arc<Self>) -> Busy {
        pulse.busy.fetch_add(1, Relaxed);
        pulse.used.store(1, Relaxed);
        pulse.head_since.store(0, Relaxed);
        Busy(Arc::clone(pulse))
    }

    /// Whether a head has begun to come.
    pub(crate) fn is_in_head(&self) -> bool {
        self.head_since.load(Relaxed) != 0
    }

    /// The moment at which the connection becomes overdue if nothing changes, and why it would be.
    pub(crate) fn due(&self, config: &HttpConfig) -> Option<(Duration, Overdue)> {
        let after = |since: u64, limit: Duration, why| {
            Some((Duration::from_millis(since.saturating_sub(1)) + limit, why))
        };
        match self.stalled_since.load(Relaxed) {
            0 => {}
            since => return after(since, config.stall_time, Overdue::Stalled),
        }
        if self.busy.load(Relaxed) > 0 {
            return None;
        }
        let idle_since = self.idle_since.load(Relaxed);
        match self.head_since.load(Relaxed) {
            0 if self.sees_heads && self.used.load(Relaxed) == 0 => {
                after(idle_since, config.head_time, Overdue::Idle)
            }
            0 => after(idle_since, config.idle_time, Overdue::Idle),
            since => after(since, config.head_time, Overdue::Head),
        }
    }

    fn moment(&self) -> u64 {
        let ms = self.clock.monotonic().as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX - 1).saturating_add(1)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.moment(), Relaxed);
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use halley_env::SystemClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_limit_counts_at_a_time() {
        let config = HttpConfig::default();
        let pulse = Pulse::new(Arc::new(SystemClock::new()), true);
        let why = |pulse: &Pulse| pulse.due(&config).map(|(at, why)| (at.as_secs(), why));
        assert_eq!(why(&pulse), Some((10, Overdue::Idle)));
        tokio::time::advance(Duration::from_secs(4)).await;
        pulse.note_read();
        assert_eq!(why(&pulse), Some((14, Overdue::Head)));
        let busy = Pulse::begin(&pulse);
        assert_eq!(why(&pulse), None);
        pulse.note_stalled();
        assert_eq!(why(&pulse), Some((124, Overdue::Stalled)));
        pulse.note_written();
        drop(busy);
        assert_eq!(why(&pulse), Some((79, Overdue::Idle)));
    }
}
