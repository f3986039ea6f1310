//! An upstream in the same process, behind a link that can be slow or cut.
//!
//! Invariant: what passes are bytes, in order; a cut ends every stream and every call under way.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use halley_env::{BoxFuture, Clock, Env};
use halley_shard::{Revision, ShardId, codec};
use tokio::sync::Notify;

use crate::{
    Cluster, FollowEnd, Following, LogError, ReadQuery, ShardLog, Upstream, UpstreamError,
    UpstreamFollow,
    follow::{decode_interest, encode_down},
};

/// How a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// The least time that a message takes.
    pub delay_min: Duration,
    /// The most time that a message takes.
    pub delay_max: Duration,
    /// Nothing passes.
    pub cut: bool,
    /// Of a hundred answers to submissions, how many are lost after the log has taken the command.
    pub answers_lost_percent: u8,
}

/// A link to a log.
#[derive(Debug)]
pub struct Link {
    env: Env,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// `None` while the upstream is down.
    log: Option<Arc<dyn ShardLog>>,
    weather: Weather,
    /// Rises with every cut: what began before it is over.
    epoch: u64,
}

impl Link {
    /// A link to `log` in fair weather.
    #[must_use]
    pub fn new(log: Arc<dyn ShardLog>, env: Env) -> Arc<Self> {
        let state = State {
            log: Some(log),
            weather: Weather::default(),
            epoch: 0,
        };
        Arc::new(Self {
            env,
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Changes the weather. A cut ends everything under way.
    pub fn set_weather(&self, weather: Weather) {
        let mut state = self.state();
        state.weather = weather;
        if weather.cut {
            state.epoch += 1;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends everything under way once; new calls pass.
    pub fn reset(&self) {
        self.state().epoch += 1;
        self.changed.notify_waiters();
    }

    /// Puts another log behind the link, or none, as after a crash.
    pub fn replace(&self, log: Option<Arc<dyn ShardLog>>) {
        let mut state = self.state();
        state.log = log;
        state.epoch += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics while holding the link")
    }

    fn delay(&self) -> Duration {
        let Weather {
            delay_min,
            delay_max,
            ..
        } = self.state().weather;
        let span = u64::try_from(delay_max.saturating_sub(delay_min).as_micros())
            .expect("delays are short");
        delay_min + Duration::from_micros(self.env.rng.below(span + 1))
    }

    /// The log behind the link, and the epoch of this call.
    async fn arrive(&self) -> Result<(Arc<dyn ShardLog>, u64), UpstreamError> {
        self.env.clock.sleep(self.delay()).await;
        let state = self.state();
        match &state.log {
            Some(log) if !state.weather.cut => Ok((Arc::clone(log), state.epoch)),
            _ => Err(UpstreamError::Unreachable("the link is cut".into())),
        }
    }

    /// Completes once everything that began in `epoch` is over.
    async fn cut_after(&self, epoch: u64) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().epoch != epoch {
                return;
            }
            changed.await;
        }
    }

    /// Calls the log behind the link, which must be of `cluster`, there and back.
    async fn call<T, Call>(
        &self,
        cluster: Option<Cluster>,
        deadline: Duration,
        call: impl FnOnce(Arc<dyn ShardLog>) -> Call + Send,
    ) -> Result<T, UpstreamError>
    where
        T: Send,
        Call: Future<Output = Result<T, LogError>> + Send,
    {
        let passing = async {
            let (log, epoch) = self.arrive().await?;
            if cluster.is_some() && log.cluster() != cluster {
                return Err(UpstreamError::OtherCluster);
            }
            let there_and_back = async {
                let answer = call(log).await;
                self.env.clock.sleep(self.delay()).await;
                answer
            };
            tokio::select! {
                biased;
                () = self.cut_after(epoch) => Err(UpstreamError::NoAnswer("the link was cut".into())),
                answer = there_and_back => Ok(answer?),
            }
        };
        tokio::select! {
            biased;
            answer = passing => answer,
            () = self.env.clock.sleep(deadline) => Err(UpstreamError::NoAnswer("silence".into())),
        }
    }
}

/// An upstream over a [`Link`].
impl Upstream for Arc<Link> {
    fn hello(&self, deadline: Duration) -> BoxFuture<'_, Result<Cluster, UpstreamError>> {
        Box::pin(self.call(None, deadline, |log| async move { Ok(log.formed().await) }))
    }

    fn submit(
        &self,
        cluster: Cluster,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        Box::pin(async move {
            let lost = self.state().weather.answers_lost_percent;
            let submit = |log: Arc<dyn ShardLog>| async move {
                let reply = log.submit(shard, command, deadline).await?;
                Ok(codec::encode_reply(&reply))
            };
            let reply = self.call(Some(cluster), deadline, submit).await?;
            if self.env.rng.below(100) < u64::from(lost) {
                return Err(UpstreamError::NoAnswer("the answer was lost".into()));
            }
            Ok(reply)
        })
    }

    fn read(
        &self,
        cluster: Cluster,
        shard: ShardId,
        query: Bytes,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        let read = move |log: Arc<dyn ShardLog>| async move {
            let query = ReadQuery::decode(&query)
                .map_err(|error| LogError::Unreadable(error.to_string()))?;
            Ok(log.read(shard, query, at_least, deadline).await?.encode())
        };
        // The answer that time is up needs its own way back.
        Box::pin(self.call(Some(cluster), deadline + Duration::from_millis(200), read))
    }

    fn barrier(
        &self,
        cluster: Cluster,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, UpstreamError>> {
        let barrier =
            move |log: Arc<dyn ShardLog>| async move { log.barrier(shard, deadline).await };
        Box::pin(self.call(Some(cluster), deadline, barrier))
    }

    fn follow(
        &self,
        cluster: Cluster,
        shard: ShardId,
    ) -> BoxFuture<'_, Result<Box<dyn UpstreamFollow>, FollowEnd>> {
        Box::pin(async move {
            let lost = |error: UpstreamError| FollowEnd::Lost(error.to_string());
            let (log, epoch) = self.arrive().await.map_err(lost)?;
            if log.cluster() != Some(cluster) {
                return Err(lost(UpstreamError::OtherCluster));
            }
            let stream = Stream {
                link: Self::clone(self),
                epoch,
                upper: log.follow(shard),
                up: VecDeque::new(),
                down: VecDeque::new(),
            };
            Ok(Box::new(stream) as Box<dyn UpstreamFollow>)
        })
    }
}

/// A follow stream with what is on its way, each with the time at which it arrives.
#[derive(Debug)]
struct Stream {
    link: Arc<Link>,
    epoch: u64,
    upper: Box<dyn Following>,
    up: VecDeque<(Duration, Bytes)>,
    down: VecDeque<(Duration, Result<Bytes, FollowEnd>)>,
}

/// Batches on their way at once; beyond, the upper end is not asked for more.
const BATCHES_UNDER_WAY: usize = 4;

impl Stream {
    /// When a message sent now arrives: never before the one sent before it.
    fn arrival<T>(&self, way: &VecDeque<(Duration, T)>) -> Duration {
        let arrival = self.link.env.clock.monotonic() + self.link.delay();
        way.back()
            .map_or(arrival, |(before, _)| arrival.max(*before))
    }

    async fn next_message(&mut self) -> Result<Bytes, FollowEnd> {
        let link = Arc::clone(&self.link);
        let clock = link.env.clock.as_ref();
        loop {
            while let Some((due, _)) = self.up.front()
                && *due <= clock.monotonic()
            {
                let (_, message) = self.up.pop_front().expect("there is a first one");
                let (add, remove) = decode_interest(&message)
                    .map_err(|error| FollowEnd::Lost(error.to_string()))?;
                self.upper.interest(add, remove);
            }
            if let Some((due, _)) = self.down.front()
                && *due <= clock.monotonic()
            {
                return self.down.pop_front().expect("there is a first one").1;
            }
            let (up, down) = (due(&self.up), due(&self.down));
            let room = self.down.len() < BATCHES_UNDER_WAY
                && self.down.back().is_none_or(|(_, message)| message.is_ok());
            let batch = tokio::select! {
                biased;
                () = link.cut_after(self.epoch) => {
                    return Err(FollowEnd::Lost("the link was cut".into()));
                }
                () = sleep_until(clock, up) => continue,
                () = sleep_until(clock, down) => continue,
                batch = self.upper.next(), if room => batch,
            };
            let message = batch.map(|batch| encode_down(&batch));
            let arrival = self.arrival(&self.down);
            self.down.push_back((arrival, message));
        }
    }
}

impl UpstreamFollow for Stream {
    fn send(&mut self, message: Bytes) {
        let arrival = self.arrival(&self.up);
        self.up.push_back((arrival, message));
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, FollowEnd>> {
        Box::pin(self.next_message())
    }
}

fn due<T>(way: &VecDeque<(Duration, T)>) -> Option<Duration> {
    way.front().map(|(due, _)| *due)
}

async fn sleep_until(clock: &dyn Clock, due: Option<Duration>) {
    match due {
        Some(due) => clock.sleep(due.saturating_sub(clock.monotonic())).await,
        None => std::future::pending().await,
    }
}
