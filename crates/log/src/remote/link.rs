//! Which upstream answers, and which cluster it belongs to.
//!
//! Invariant: once known, the cluster stays, until a whole round of asking has found every upstream in
//! another one: then the upstream's history was replaced, and this log follows it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use halley_env::{BoxFuture, Env};
use metrics::{counter, gauge};
use tokio::sync::{Notify, futures::Notified};
use tracing::{debug, error, info, warn};

use super::{Upstream, UpstreamError};
use crate::{Cluster, LogError, backoff::Backoff, limits};

/// How much longer than told an upstream may take to say that time is up.
const GRACE: Duration = Duration::from_millis(250);

/// The upstreams and what is known of them.
#[derive(Debug)]
pub(super) struct Link {
    upstreams: Vec<Arc<dyn Upstream>>,
    env: Env,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    cluster: Option<Cluster>,
    /// The upstream that has answered, and has not failed since.
    up: Option<usize>,
    /// The one to ask first.
    preferred: usize,
    closed: bool,
}

impl Link {
    pub(super) fn new(upstreams: Vec<Arc<dyn Upstream>>, env: Env) -> Self {
        assert!(!upstreams.is_empty(), "an edge has at least one upstream");
        Self {
            upstreams,
            env,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    pub(super) fn upstreams(&self) -> usize {
        self.upstreams.len()
    }

    pub(super) fn upstream(&self, index: usize) -> &dyn Upstream {
        self.upstreams[index].as_ref()
    }

    pub(super) fn cluster(&self) -> Option<Cluster> {
        self.state().cluster
    }

    pub(super) fn up(&self) -> Option<usize> {
        self.state().up
    }

    pub(super) fn preferred(&self) -> usize {
        self.state().preferred
    }

    pub(super) fn closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// The cluster, once it is known.
    pub(super) async fn formed(&self) -> Cluster {
        self.once(|state| state.cluster).await
    }

    /// The cluster, if it is known within `deadline`.
    pub(super) async fn formed_within(&self, deadline: Duration) -> Option<Cluster> {
        tokio::select! {
            biased;
            cluster = self.formed() => Some(cluster),
            () = self.env.clock.sleep(deadline) => None,
        }
    }

    /// Completes after the next change; to be enabled before what it waits for is looked at.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// An answer within `patience`, or none.
    pub(super) async fn guarded<T>(
        &self,
        call: BoxFuture<'_, Result<T, UpstreamError>>,
        patience: Duration,
    ) -> Result<T, UpstreamError> {
        tokio::select! {
            biased;
            result = call => result,
            () = self.env.clock.sleep(patience + GRACE) => {
                Err(UpstreamError::NoAnswer("silence".into()))
            }
        }
    }

    /// Takes note of a failed call: unless the upstream itself answered, another one is looked for.
    pub(super) fn failed(&self, index: usize, error: &UpstreamError) {
        let passing = match error {
            UpstreamError::Log(error) => *error != LogError::Draining,
            UpstreamError::Unreachable(_)
            | UpstreamError::NoAnswer(_)
            | UpstreamError::OtherCluster => false,
        };
        if !passing {
            self.doubt(index, error);
        }
    }

    /// Looks for another upstream than `index`, if that one is still kept to.
    pub(super) fn doubt(&self, index: usize, why: &dyn std::fmt::Display) {
        let mut state = self.state();
        if state.preferred == index {
            state.preferred = (index + 1) % self.upstreams.len();
        }
        let was_up = state.up == Some(index);
        if was_up {
            state.up = None;
        }
        drop(state);
        if was_up {
            warn!(upstream = self.name(index), %why, "an upstream failed");
            gauge!("halley_peer_up", "peer" => self.name(index)).set(0.0);
            self.changed.notify_waiters();
        }
    }

    /// Asks until an upstream answers, keeps to it until it fails, and so on.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut backoff = Backoff::new(limits::HELLO_BACKOFF_LAST);
        let mut found_before = false;
        loop {
            let Some((index, cluster)) = self.ask_all().await else {
                self.env
                    .clock
                    .sleep(backoff.next(self.env.rng.as_ref()))
                    .await;
                continue;
            };
            if std::mem::replace(&mut found_before, true) {
                counter!("halley_edge_upstream_reconnects_total").increment(1);
            }
            info!(
                upstream = self.name(index),
                cluster = cluster.id.get(),
                "following"
            );
            gauge!("halley_peer_up", "peer" => self.name(index)).set(1.0);
            self.change(|state| {
                state.cluster = Some(cluster);
                state.up = Some(index);
                state.preferred = index;
            });
            let since = self.env.clock.monotonic();
            self.once(|state| state.up.is_none().then_some(())).await;
            if self.env.clock.monotonic().saturating_sub(since) > limits::HELLO_BACKOFF_LAST {
                backoff = Backoff::new(limits::HELLO_BACKOFF_LAST);
            }
            self.env
                .clock
                .sleep(backoff.next(self.env.rng.as_ref()))
                .await;
        }
    }

    /// One round: the first upstream of the known cluster; or, when every single one answers and belongs
    /// to another cluster, the first of those.
    async fn ask_all(&self) -> Option<(usize, Cluster)> {
        let (known, first) = {
            let state = self.state();
            (state.cluster, state.preferred)
        };
        let mut other = None;
        let mut all_answered = true;
        for step in 0..self.upstreams.len() {
            let index = (first + step) % self.upstreams.len();
            let hello = self.upstream(index).hello(limits::HELLO_MAX);
            match self.guarded(hello, limits::HELLO_MAX).await {
                Ok(cluster) if known.is_none_or(|known| known == cluster) => {
                    return Some((index, cluster));
                }
                Ok(cluster) => {
                    let (is, known) = (cluster.id.get(), known.map(|known| known.id.get()));
                    error!(upstream = self.name(index), is, known, "of another cluster");
                    other.get_or_insert((index, cluster));
                }
                Err(why) => {
                    debug!(upstream = self.name(index), %why, "no hello");
                    all_answered = false;
                }
            }
        }
        let replaced = other.filter(|_| all_answered)?;
        error!("every upstream belongs to another cluster: its history was replaced, following it");
        Some(replaced)
    }

    fn name(&self, index: usize) -> String {
        let name = self.upstreams[index].name();
        if name.is_empty() {
            format!("upstream-{index}")
        } else {
            name
        }
    }

    async fn once<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = look(&self.state());
            match found {
                Some(found) => return found,
                None => changed.await,
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics while holding the link's state")
    }
}
