//! The network between one replica and the edge: delay, cuts and lost answers, drawn from the seed.
//!
//! Bytes pass through the same codec as on a real link. Invariant: nothing passes that was under way when the cable
//! was pulled or the replica went.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use halley_env::BoxFuture;
use halley_log::{
    Cluster, FollowEnd, Following, LogError, ReadQuery, ShardLog, Upstream, UpstreamError,
    UpstreamFollow,
    follow::{decode_interest, encode_down},
};
use halley_shard::{Revision, ShardId, codec};
use tokio::{sync::Notify, time::Instant};

use crate::seeded::SeededRng;

/// Whether the cable is in, and how often it was pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    out: bool,
    pulls: u64,
}

/// The cable, and who waits for its being pulled. (Not tokio's `watch`: it wakes in an order of its own
/// random choice.)
#[derive(Debug, Default)]
struct Cable {
    state: Mutex<State>,
    pulled: Notify,
}

impl Cable {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.pulled.notify_waiters();
    }

    /// Completes once the cable is out, or was since `pulls`.
    async fn pulled_since(&self, pulls: u64) {
        loop {
            let mut pulled = pin!(self.pulled.notified());
            pulled.as_mut().enable();
            let state = self.state();
            if state.out || state.pulls != pulls {
                return;
            }
            pulled.await;
        }
    }
}

/// A transport to a replica's log.
#[derive(Debug)]
pub(crate) struct Link {
    /// The replica, while it runs.
    log: Mutex<Option<Arc<dyn ShardLog>>>,
    rng: Arc<SeededRng>,
    delay_ms: u64,
    cable: Arc<Cable>,
}

impl Link {
    /// A link with one-way delays of up to `delay_ms`.
    pub(crate) fn new(rng: Arc<SeededRng>, delay_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::default(),
            rng,
            delay_ms,
            cable: Arc::default(),
        })
    }

    /// The replica runs, or has gone.
    pub(crate) fn serves(&self, log: Option<Arc<dyn ShardLog>>) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = log;
        self.cable.change(|state| state.pulls += 1);
    }

    fn log(&self) -> Option<Arc<dyn ShardLog>> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    /// Pulls the cable: everything under way is lost.
    pub(crate) fn pull(&self) {
        self.cable.change(|state| {
            *state = State {
                out: true,
                pulls: state.pulls + 1,
            }
        });
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self) {
        self.cable.change(|state| state.out = false);
    }

    fn delay(&self) -> Duration {
        self.rng.millis(0, self.delay_ms)
    }

    /// There and back again.
    async fn call<T, W>(
        &self,
        work: impl FnOnce(Arc<dyn ShardLog>) -> W + Send,
    ) -> Result<T, UpstreamError>
    where
        T: Send,
        W: Future<Output = Result<T, LogError>> + Send,
    {
        let before = self.cable.state();
        let log = self.log();
        let Some(log) = log.filter(|_| !before.out) else {
            return Err(UpstreamError::Unreachable("nobody is there".to_owned()));
        };
        let passing = async {
            tokio::time::sleep(self.delay()).await;
            let answer = work(log).await;
            tokio::time::sleep(self.delay()).await;
            answer
        };
        tokio::select! {
            biased;
            () = self.cable.pulled_since(before.pulls) => {
                Err(UpstreamError::NoAnswer("lost on the way".to_owned()))
            }
            answer = passing => Ok(answer?),
        }
    }
}

impl Upstream for Link {
    fn hello(&self, _: Duration) -> BoxFuture<'_, Result<Cluster, UpstreamError>> {
        Box::pin(self.call(|log| async move { Ok(log.formed().await) }))
    }

    fn submit(
        &self,
        _: Cluster,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        Box::pin(self.call(move |log| async move {
            let answer = log.submit(shard, command, deadline).await?;
            Ok(codec::encode_reply(&answer))
        }))
    }

    fn read(
        &self,
        _: Cluster,
        shard: ShardId,
        query: Bytes,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>> {
        Box::pin(self.call(move |log| async move {
            let query = ReadQuery::decode(&query)
                .map_err(|error| LogError::Unreadable(error.to_string()))?;
            let answer = log.read(shard, query, at_least, deadline).await?;
            Ok(answer.encode())
        }))
    }

    fn barrier(
        &self,
        _: Cluster,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, UpstreamError>> {
        Box::pin(self.call(move |log| async move { log.barrier(shard, deadline).await }))
    }

    fn follow(
        &self,
        _: Cluster,
        shard: ShardId,
    ) -> BoxFuture<'_, Result<Box<dyn UpstreamFollow>, FollowEnd>> {
        Box::pin(async move {
            let cable = Arc::clone(&self.cable);
            let before = cable.state();
            let lost = || FollowEnd::Lost("nobody is there".to_owned());
            let log = self.log().filter(|_| !before.out).ok_or_else(lost)?;
            // As the peer listener does: who knows no cluster yet has nothing to follow.
            log.cluster().ok_or_else(lost)?;
            let stream = LinkFollow {
                following: log.follow(shard),
                pulls: before.pulls,
                cable,
                rng: Arc::clone(&self.rng),
                delay_ms: self.delay_ms,
                under_way: None,
            };
            tokio::time::sleep(self.delay()).await;
            if stream.cable.state() != before {
                return Err(lost());
            }
            Ok(Box::new(stream) as Box<dyn UpstreamFollow>)
        })
    }
}

/// One follow stream over the link.
#[derive(Debug)]
struct LinkFollow {
    following: Box<dyn Following>,
    cable: Arc<Cable>,
    pulls: u64,
    rng: Arc<SeededRng>,
    delay_ms: u64,
    /// A message on its way down, and when it arrives: kept here so that `next` is cancel-safe.
    under_way: Option<(Instant, Bytes)>,
}

impl LinkFollow {
    async fn deliver(&mut self) -> Result<Bytes, FollowEnd> {
        if self.under_way.is_none() {
            let messages = self.following.next().await?;
            let arrival = Instant::now() + self.rng.millis(0, self.delay_ms);
            self.under_way = Some((arrival, encode_down(&messages)));
        }
        if let Some((arrival, _)) = &self.under_way {
            tokio::time::sleep_until(*arrival).await;
        }
        let (_, message) = self.under_way.take().expect("put there above");
        Ok(message)
    }
}

impl UpstreamFollow for LinkFollow {
    fn send(&mut self, message: Bytes) {
        let (add, remove) = decode_interest(&message).expect("our own bytes");
        self.following.interest(add, remove);
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, FollowEnd>> {
        Box::pin(async move {
            let pulls = self.pulls;
            let cable = Arc::clone(&self.cable);
            tokio::select! {
                biased;
                () = cable.pulled_since(pulls) => Err(FollowEnd::Lost("the cable was pulled".to_owned())),
                message = self.deliver() => message,
            }
        })
    }
}
