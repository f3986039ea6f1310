//! The news that this node goes down, as every connection and stream hears it.

use std::{sync::Arc, time::Duration};

use halley_env::{BoxFuture, Env};
use tokio::sync::watch;

use crate::limits;

/// Says it.
#[derive(Debug)]
pub(crate) struct DrainSwitch(watch::Sender<Option<Duration>>);

/// Hears it; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    heard: watch::Receiver<Option<Duration>>,
    env: Env,
}

/// A switch and its hearers.
pub(crate) fn channel(env: &Env) -> (DrainSwitch, Drain) {
    let (said, heard) = watch::channel(None);
    (
        DrainSwitch(said),
        Drain {
            heard,
            env: env.clone(),
        },
    )
}

impl DrainSwitch {
    /// The node goes down within `max`.
    pub(crate) fn begin(&self, max: Duration) {
        self.0.send_replace(Some(max));
    }
}

impl Drain {
    /// Whether it has begun.
    pub(crate) fn begun(&self) -> bool {
        self.heard.borrow().is_some()
    }

    /// Completes when it begins, with the time that everything has; never if it never does.
    pub(crate) fn begins(&self) -> BoxFuture<'static, Duration> {
        let mut heard = self.heard.clone();
        Box::pin(async move {
            if let Ok(begun) = heard.wait_for(Option::is_some).await
                && let Some(max) = *begun
            {
                return max;
            }
            std::future::pending().await
        })
    }

    /// Completes when a connection without a request should be closed: after a while in which a busy client's next request
    /// comes, whose answer tells it.
    pub(crate) fn last_word(&self) -> BoxFuture<'static, ()> {
        let begins = self.begins();
        let clock = Arc::clone(&self.env.clock);
        Box::pin(async move {
            let half = begins.await / 2;
            clock.sleep(half.min(limits::DRAIN_IDLE_TIME)).await;
        })
    }

    /// Completes when one stream should end: at a random moment of the first three quarters of that time,
    /// so that not all clients come to the other nodes at once.
    pub(crate) fn turn(&self) -> BoxFuture<'static, ()> {
        let begins = self.begins();
        let (clock, rng) = (Arc::clone(&self.env.clock), Arc::clone(&self.env.rng));
        Box::pin(async move {
            let spread = begins.await.as_millis() * 3 / 4;
            let spread = u64::try_from(spread).unwrap_or(u64::MAX);
            clock.sleep(Duration::from_millis(rng.below(spread))).await;
        })
    }
}
