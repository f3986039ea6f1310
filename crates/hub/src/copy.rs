//! This node's copy of one shard: windows of what is read here, and who waits for what.
//!
//! Invariant: windows, interests and the waiting change only together, under one lock that is never held
//! across an await; whoever must wake up is woken after it is released.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use halley_env::Clock;
use halley_log::follow::Down;
use halley_shard::{Change, Event, Interest, Revision, ShardId, Windows};
use metrics::gauge;
use tokio::sync::Notify;

use crate::{
    SharedEvent,
    entry::{Entry, Signal, Touch},
    interests::{Interests, Turnover},
};

/// One shard, as far as it is read here.
pub(crate) struct ShardCopy {
    shard: ShardId,
    clock: Arc<dyn Clock>,
    linger: Duration,
    state: Mutex<CopyState>,
    /// Interest has changed: the follower must look.
    work: Notify,
    delivered: AtomicU64,
}

/// What a copy's lock guards.
pub(crate) struct CopyState {
    /// What is retained of the channels read here.
    pub(crate) windows: Windows<SharedEvent>,
    /// Rises whenever the copy begins anew.
    pub(crate) generation: u64,
    /// The head that the generation before this one ended with.
    pub(crate) last_head: Revision,
    interests: Interests,
    /// Readers that have seen more elsewhere, by what they wait for.
    ahead: BTreeMap<AheadKey, Signal>,
    waited: u64,
}

/// Where a reader ahead of this copy waits.
pub(crate) type AheadKey = (Revision, u64);

/// Who is to be woken once the lock is released.
#[derive(Default)]
struct Wake {
    entries: Vec<Arc<Entry>>,
    signals: Vec<Signal>,
}

impl ShardCopy {
    pub(crate) fn new(shard: ShardId, clock: Arc<dyn Clock>, linger: Duration) -> Self {
        let state = CopyState {
            windows: Windows::partial(),
            generation: 1,
            last_head: Revision::ZERO,
            interests: Interests::default(),
            ahead: BTreeMap::new(),
            waited: 0,
        };
        Self {
            shard,
            clock,
            linger,
            state: Mutex::new(state),
            work: Notify::new(),
            delivered: AtomicU64::new(0),
        }
    }

    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Up to where readers may have been given events, whatever this copy has lost since.
    pub(crate) fn delivered(&self) -> Revision {
        Revision::new(self.delivered.load(Ordering::Acquire))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CopyState> {
        self.state
            .lock()
            .expect("nobody panics while holding a copy")
    }

    /// Completes when the follower must call [`ShardCopy::turn_over`]. Cancel-safe.
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    /// Registers a reader.
    pub(crate) fn join(&self, interest: &Interest, signal: &Signal) -> (Arc<Entry>, u32) {
        let (entry, place, new) = self.lock().interests.join(interest, signal);
        if new {
            gauge!("halley_channels").increment(1.0);
            self.work.notify_one();
        }
        (entry, place)
    }

    /// Takes a reader of one interest back.
    pub(crate) fn leave(&self, entry: &Arc<Entry>, place: u32) {
        let until = self.clock.monotonic() + self.linger;
        if self.lock().interests.leave(entry, place, until) {
            self.work.notify_one();
        }
    }

    /// What to tell the upstream, and when to look again at the latest.
    pub(crate) fn turn_over(&self) -> (Turnover, Option<Duration>) {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        let turnover = state.interests.turn_over(now);
        for interest in &turnover.remove {
            state.windows.release(interest);
        }
        let due = state
            .interests
            .next_due()
            .map(|due| due.saturating_sub(now));
        drop(state);
        gauge!("halley_channels").decrement(turnover.remove.len() as f64);
        (turnover, due)
    }

    /// Takes what the upstream says, in order, and wakes whom it concerns.
    pub(crate) fn receive(&self, batch: Vec<Down>) {
        let mut wake = Wake::default();
        let mut state = self.lock();
        for down in batch {
            state.receive(down, &mut wake);
        }
        let head = state.windows.head();
        while let Some(first) = state.ahead.first_entry()
            && first.key().0 <= head
        {
            wake.signals.push(first.remove());
        }
        // Before a reader can see it: history must not answer below what a reader was given.
        self.delivered.fetch_max(head.get(), Ordering::AcqRel);
        drop(state);
        wake.all();
    }

    /// The upstream is gone: this copy knows nothing more, and its readers keep their cursors and wait.
    pub(crate) fn begin_anew(&self) {
        let mut wake = Wake::default();
        let mut state = self.lock();
        state.last_head = state.windows.head();
        state.generation += 1;
        state.windows.clear();
        let followed = state.interests.len();
        state.interests.begin_anew();
        let forgotten = followed - state.interests.len();
        state
            .interests
            .entries()
            .for_each(|entry| entry.queue(&mut wake.entries));
        drop(state);
        gauge!("halley_channels").decrement(forgotten as f64);
        wake.all();
    }

    /// Wakes everybody: something concerns all readers of this node.
    pub(crate) fn wake_all(&self) {
        let entries: Vec<_> = self.lock().interests.entries().cloned().collect();
        entries.iter().for_each(|entry| entry.wake());
    }
}

impl Drop for ShardCopy {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let followed = state.map_or(0, |state| state.interests.len());
        gauge!("halley_channels").decrement(followed as f64);
    }
}

impl CopyState {
    /// Has `signal` woken once the head has reached `revision`.
    pub(crate) fn wait_for(&mut self, revision: Revision, signal: &Signal) -> AheadKey {
        let key = (revision, self.waited);
        self.waited += 1;
        self.ahead.insert(key, Arc::clone(signal));
        key
    }

    /// Takes [`CopyState::wait_for`] back.
    pub(crate) fn wait_no_more(&mut self, key: AheadKey) {
        self.ahead.remove(&key);
    }

    fn receive(&mut self, down: Down, wake: &mut Wake) {
        match down {
            Down::Window {
                channel,
                floor,
                events,
                as_of: _,
            } => {
                if !self.interests.any_matching(&channel) {
                    return; // given up while it was on its way
                }
                if let Some(newest) = events.last() {
                    let newest = newest.revision();
                    self.interests.matching(&channel, |entry| {
                        entry.touch_up_to(newest, &mut wake.entries)
                    });
                }
                let events = events.into_iter().map(SharedEvent::new).collect();
                self.windows.insert(channel, floor, events);
            }
            Down::Held {
                interest,
                as_of,
                forgotten,
                tombstone,
            } => {
                let Some(entry) = self.interests.held(&interest) else {
                    return;
                };
                entry.queue(&mut wake.entries);
                self.windows.hold(interest.clone(), as_of, forgotten);
                if let (Interest::Channel(channel), Some(floor)) = (interest, tombstone) {
                    self.windows.remember(&channel, floor);
                }
            }
            Down::Changes(changes) => {
                for change in &changes.list {
                    if let Change::Event(event) = change {
                        let touch = touch_of(event);
                        self.interests.matching(event.channel(), |entry| {
                            entry.touch(touch, &mut wake.entries);
                        });
                    }
                }
                self.windows
                    .apply(&changes, |event| SharedEvent::new(Arc::clone(event)));
            }
            Down::Progress(head) => self.windows.advance(head),
        }
    }
}

fn touch_of(event: &Event) -> Touch {
    let at = event.revision();
    let before = if event.recreated() {
        at.before().before()
    } else {
        at.before()
    };
    Touch { at, before }
}

impl Wake {
    fn all(self) {
        self.entries.iter().for_each(|entry| entry.wake());
        self.signals.iter().for_each(|signal| signal.notify_one());
    }
}

impl fmt::Debug for ShardCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardCopy")
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
