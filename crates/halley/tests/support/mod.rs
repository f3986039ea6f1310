//! What the black-box tests share: real processes, sockets, and patience.
//!
//! Invariant: every process is ended by the test that started it, by its own number, also when the test fails.

#![allow(dead_code, reason = "every test program uses its own part")]
#![allow(
    clippy::print_stderr,
    reason = "a failed test shows what its processes said"
)]

pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod sse;

use std::{future::Future, time::Duration};

/// The longest that anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for `what`, generously.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {} s", PATIENCE.as_secs()),
    }
}

/// Asks again until the answer is `Some`, generously.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
