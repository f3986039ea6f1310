//! The hub of one node.
//!
//! Invariant: it knows its log's cluster by one copy at a time; a subscription belongs to the copy that it
//! was opened on and ends with it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use halley_env::{BoxFuture, Env, Task};
use halley_log::ShardLog;
use halley_shard::{Revision, ShardId};
use metrics::counter;
use tokio::sync::Notify;

use crate::{
    SubscribeError, SubscribeRequest, Subscription,
    cluster_copy::{ClusterCopy, Ending},
    follower, placing,
};

/// Bounds of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// How long a reader ahead of this node, or of channels not held yet, is kept waiting. 10 s.
    pub patience: Duration,
    /// How long a channel or pattern that nobody reads any more is still followed, so that the next long
    /// poll or a reconnecting reader finds it here. 30 s.
    pub linger: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            linger: Duration::from_secs(30),
        }
    }
}

/// All that is read on this node; cheap to clone. With the last clone its tasks end, and its subscriptions
/// as by [`Hub::drain`].
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<Task>>,
}

/// What the hub, its tasks and its subscriptions share.
#[derive(Debug)]
pub(crate) struct Shared {
    log: Arc<dyn ShardLog>,
    env: Env,
    config: HubConfig,
    state: Mutex<State>,
    /// `state` has changed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<ClusterCopy>>,
    draining: bool,
    closing: bool,
}

impl Hub {
    /// Starts following nothing yet; a task per shard follows `log` once it is formed.
    #[must_use]
    pub fn start(log: Arc<dyn ShardLog>, env: Env, config: HubConfig) -> Self {
        let state = Mutex::default();
        let shared = Arc::new(Shared {
            log,
            env,
            config,
            state,
            changed: Notify::new(),
        });
        let task = Box::pin(follower::supervise(Arc::clone(&shared)));
        let supervisor = Mutex::new(Some(shared.env.spawn.spawn("hub", task)));
        Self(Arc::new(Inner { shared, supervisor }))
    }

    /// The log it follows.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn ShardLog> {
        &self.0.shared.log
    }

    /// Opens a subscription: adds interest and places the cursor, so that the subscription can name one
    /// from the first byte on. `since` `Earliest`, or a cursor that names all shards, is a place at once;
    /// else this waits until everything is held here, at most `patience`. Cancel-safe.
    ///
    /// # Errors
    /// [`SubscribeError`]
    pub async fn subscribe(
        &self,
        request: SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        let opened = placing::open(&self.0.shared, request).await;
        let result = match &opened {
            Ok(_) => "ok",
            Err(SubscribeError::CursorForeign) => "cursor_foreign",
            Err(SubscribeError::CursorInvalid(_)) => "cursor_invalid",
            Err(SubscribeError::NotReady) => "not_ready",
            Err(SubscribeError::Draining) => "draining",
        };
        counter!("halley_subscribe_total", "result" => result).increment(1);
        opened
    }

    /// Up to where readers of `shard` on this node may have been given events: history must not answer
    /// below. Never goes back while the log is of one cluster; zero for a shard that it does not have.
    #[must_use]
    pub fn delivered(&self, shard: ShardId) -> Revision {
        let state = self.0.shared.state();
        let copy = state
            .current
            .as_ref()
            .and_then(|current| current.shard(shard));
        copy.map_or(Revision::ZERO, |copy| copy.delivered())
    }

    /// This node goes down: every subscription is told `EndReason::Draining`, new ones are refused.
    pub fn drain(&self) {
        self.0.shared.drain();
    }

    /// Drains, ends its tasks and waits for them.
    pub async fn close(&self) {
        self.drain();
        self.0.shared.change(|state| state.closing = true);
        let supervisor = self
            .0
            .supervisor
            .lock()
            .expect("nobody panics holding the task")
            .take();
        if let Some(task) = supervisor {
            task.join().await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.drain();
    }
}

impl Shared {
    fn drain(&self) {
        self.change(|state| state.draining = true);
        if let Some(current) = self.current() {
            current.end(Ending::Draining);
        }
    }

    pub(crate) fn log(&self) -> &dyn ShardLog {
        self.log.as_ref()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.config
    }

    pub(crate) fn closing(&self) -> bool {
        self.state().closing
    }

    pub(crate) fn draining(&self) -> bool {
        self.state().draining
    }

    fn current(&self) -> Option<Arc<ClusterCopy>> {
        self.state().current.clone()
    }

    /// Makes `copy` the one that new subscriptions are opened on; `false` when it is too late for that.
    pub(crate) fn install(&self, copy: &Arc<ClusterCopy>) -> bool {
        let mut installed = false;
        self.change(|state| {
            installed = !state.closing;
            if installed {
                state.current = Some(Arc::clone(copy));
            }
            if state.draining {
                copy.end(Ending::Draining);
            }
        });
        installed
    }

    /// The cluster's copy, once there is one; `None` when this node drains. Cancel-safe.
    pub(crate) async fn formed(&self) -> Option<Arc<ClusterCopy>> {
        self.once(|state| match &state.current {
            _ if state.draining => Some(None),
            Some(current) if current.ended().is_none() => Some(Some(Arc::clone(current))),
            _ => None,
        })
        .await
    }

    /// What `future` gives, or `None` when the hub closes before.
    pub(crate) async fn until_closing<T>(&self, future: BoxFuture<'_, T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.once(|state| state.closing.then_some(())) => None,
            output = future => Some(output),
        }
    }

    /// What `look` finds in the state, as soon as it finds something.
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
            .expect("nobody panics while holding the hub's state")
    }
}
