//! A shard's feed shared between those who move it and those who follow it, and the following itself.
//!
//! Invariant: the feed's lock is never held across an await; whoever waits has asked to be woken before it
//! looked, so that no move is missed.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use halley_env::{BoxFuture, Clock};
use halley_shard::{Command, Interest, Reply, Revision, Time};
use tokio::sync::Notify;

use super::{Down, Feed, Poll, Upper};
use crate::{FollowEnd, Following, LogError, ReadAnswer, ReadQuery};

/// A [`Feed`] with everybody who waits for it.
#[derive(Debug)]
pub struct Source {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    feed: Feed,
    closed: bool,
}

impl Source {
    /// Shares `feed`.
    #[must_use]
    pub fn new(feed: Feed) -> Arc<Self> {
        let state = Mutex::new(State {
            feed,
            closed: false,
        });
        Arc::new(Self {
            state,
            moved: Notify::new(),
        })
    }

    /// Applies a command proposed at `now` and wakes whoever follows; `None` once it is closed.
    pub fn apply(&self, now: Time, command: Command) -> Option<Reply> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let before = state.feed.end();
        let reply = state.feed.apply(now, command);
        let moved = state.feed.end() != before;
        drop(state);
        if moved {
            self.moved.notify_waiters();
        }
        Some(reply)
    }

    /// What `read` makes of the feed, which is locked meanwhile.
    pub fn with<T>(&self, read: impl FnOnce(&Feed) -> T) -> T {
        read(&self.state().feed)
    }

    /// What `query` is answered. A listing looks at every channel of the shard: it is put to a frozen view, so
    /// that nobody who publishes waits for whoever lists.
    #[must_use]
    pub fn read(&self, query: &ReadQuery) -> ReadAnswer {
        match query {
            ReadQuery::Channels { .. } => {
                let view = self.with(|feed| feed.shard().clone());
                query.answer(&view)
            }
            ReadQuery::History { .. } | ReadQuery::Channel(_) => {
                self.with(|feed| query.answer(feed.shard()))
            }
        }
    }

    /// What `change` makes of the feed, which is locked meanwhile; followers look at it afterwards.
    pub fn change<T>(&self, change: impl FnOnce(&mut Feed) -> T) -> T {
        let changed = change(&mut self.state().feed);
        self.moved.notify_waiters();
        changed
    }

    /// Ends every following and refuses commands from now on.
    pub fn close(&self) {
        self.state().closed = true;
        self.moved.notify_waiters();
    }

    /// Waits until the state has reached `revision`, for at most `deadline`. Cancel-safe.
    ///
    /// # Errors
    /// [`LogError::Behind`] when it has not by then; [`LogError::Draining`] once it is closed.
    pub async fn reach(
        &self,
        revision: Revision,
        clock: &dyn Clock,
        deadline: Duration,
    ) -> Result<(), LogError> {
        let reached = async {
            loop {
                let mut moved = pin!(self.moved.notified());
                moved.as_mut().enable();
                {
                    let state = self.state();
                    if state.feed.head() >= revision {
                        return Ok(());
                    }
                    if state.closed {
                        return Err(LogError::Draining);
                    }
                }
                moved.await;
            }
        };
        tokio::select! {
            biased;
            result = reached => result,
            () = clock.sleep(deadline) => {
                Err(LogError::Behind { wanted: revision, head: self.with(Feed::head) })
            }
        }
    }

    /// Follows it from now on.
    #[must_use]
    pub fn follow(self: &Arc<Self>, clock: Arc<dyn Clock>) -> Box<dyn Following> {
        let upper = self.with(Upper::new);
        Box::new(LocalFollowing {
            source: Arc::clone(self),
            upper,
            clock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics while holding a feed")
    }
}

/// The following of a shard that this process has.
#[derive(Debug)]
struct LocalFollowing {
    source: Arc<Source>,
    upper: Upper,
    clock: Arc<dyn Clock>,
}

impl LocalFollowing {
    fn poll(&mut self) -> Result<Poll, FollowEnd> {
        let now = self.clock.monotonic();
        let state = self.source.state();
        if state.closed {
            return Err(FollowEnd::Lost("the log was closed".into()));
        }
        let poll = self.upper.poll(&state.feed, now);
        drop(state);
        self.upper.settle();
        poll
    }
}

impl Following for LocalFollowing {
    fn interest(&mut self, add: Vec<Interest>, remove: Vec<Interest>) {
        self.upper.interest(add, &remove);
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Down>, FollowEnd>> {
        Box::pin(async move {
            let source = Arc::clone(&self.source);
            loop {
                let mut moved = pin!(source.moved.notified());
                moved.as_mut().enable();
                let until = match self.poll()? {
                    Poll::Messages(messages) => return Ok(messages),
                    Poll::Again => {
                        // Others on this thread, publishers above all, come first.
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Poll::Wait(until) => until,
                };
                let Some(until) = until else {
                    moved.await;
                    continue;
                };
                let left = until.saturating_sub(self.clock.monotonic());
                tokio::select! {
                    biased;
                    () = moved => {}
                    () = self.clock.sleep(left) => {}
                }
            }
        })
    }
}
