//! A log that lies on another node: what an edge follows and forwards to.
//!
//! Invariant: everything asked of an upstream names the cluster it is asked for, so no answer of another
//! history is ever taken; [`ShardLog::cluster`] changes before anything of a new history comes through.

mod admin;
mod follow;
mod link;

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use halley_env::{BoxFuture, Env, Task};
use halley_shard::{Reply, Revision, ShardId, codec};
use thiserror::Error;

use self::{follow::RemoteFollowing, link::Link};
use crate::{
    Cluster, FollowEnd, Following, LogError, ReadAnswer, ReadQuery, ShardLog,
    backoff::Backoff,
    limits,
    route::{Action, Outcome, Route, Target},
};

/// A transport to one of the upstream nodes, as bytes (made by `rpc`, or by a simulation).
pub trait Upstream: Debug + Send + Sync + 'static {
    /// What to call it in logs and metrics; its place in the list when empty.
    fn name(&self) -> String {
        String::new()
    }
    /// Asks which cluster the upstream belongs to.
    fn hello(&self, deadline: Duration) -> BoxFuture<'_, Result<Cluster, UpstreamError>>;
    /// Submits a command there; the answer is bytes of `shard::codec` (`Reply`).
    fn submit(
        &self,
        cluster: Cluster,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>>;
    /// Reads there; question and answer are bytes of this crate ([`ReadQuery::encode`],
    /// [`ReadAnswer::encode`]).
    fn read(
        &self,
        cluster: Cluster,
        shard: ShardId,
        query: Bytes,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, UpstreamError>>;
    /// The barrier there.
    fn barrier(
        &self,
        cluster: Cluster,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, UpstreamError>>;
    /// Opens a follow stream.
    fn follow(
        &self,
        cluster: Cluster,
        shard: ShardId,
    ) -> BoxFuture<'_, Result<Box<dyn UpstreamFollow>, FollowEnd>>;
}

/// One two-way follow stream: bytes of [`crate::follow`] both ways ([`crate::follow::encode_interest`] up,
/// [`crate::follow::encode_down`] down).
pub trait UpstreamFollow: Debug + Send {
    /// Sends one message up. Never blocks; bounded by the caller's one message per interest change.
    fn send(&mut self, message: Bytes);
    /// The next message down. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, FollowEnd>>;
}

/// What a transport may answer instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// It was never sent.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It was sent, and the answer is missing.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The upstream's own log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The upstream belongs to another cluster.
    #[error("the upstream belongs to another cluster")]
    OtherCluster,
}

/// [`crate::ShardLog`] over [`Upstream`]s: keeps to the one that answers, moves to the next on failure.
#[derive(Debug)]
pub struct RemoteLog {
    link: Arc<Link>,
    task: Mutex<Option<Task>>,
}

impl RemoteLog {
    /// A log behind `upstreams` (at least one), tried in the order given, jittered back-off between rounds.
    #[must_use]
    pub fn new(upstreams: Vec<Arc<dyn Upstream>>, env: Env) -> Arc<Self> {
        let spawn = Arc::clone(&env.spawn);
        let link = Arc::new(Link::new(upstreams, env));
        let keeping = Arc::clone(&link).keep();
        let task = Mutex::new(Some(spawn.spawn("upstream", Box::pin(keeping))));
        Arc::new(Self { link, task })
    }

    /// Ends its task; whoever follows is told.
    pub async fn close(&self) {
        self.link.close();
        let task = self
            .task
            .lock()
            .expect("nobody panics holding the task")
            .take();
        if let Some(task) = task {
            task.stop().await;
        }
    }

    /// Whether an upstream has answered and nothing has failed since; for readiness.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.up().is_some()
    }

    /// One attempt at one upstream.
    async fn attempt(
        &self,
        cluster: Cluster,
        shard: ShardId,
        command: Bytes,
        target: Target,
        patience: Duration,
    ) -> Outcome {
        let call = self
            .link
            .upstream(target.0)
            .submit(cluster, shard, command, patience);
        let result = self.link.guarded(call, patience).await;
        match result.and_then(|bytes| {
            codec::decode_reply(&bytes).map_err(|error| UpstreamError::NoAnswer(error.to_string()))
        }) {
            Ok(reply) => Outcome::Reply(reply),
            Err(error) => {
                self.link.failed(target.0, &error);
                match error {
                    UpstreamError::Unreachable(_) | UpstreamError::OtherCluster => {
                        Outcome::NotReached
                    }
                    UpstreamError::NoAnswer(_) => Outcome::NoAnswer,
                    UpstreamError::Log(error) => Outcome::Failed(error),
                }
            }
        }
    }

    /// Asks one upstream after the other what changes nothing there, until one answers.
    async fn ask<'a, T>(
        &'a self,
        shard: ShardId,
        deadline: Duration,
        call: impl Fn(usize, Cluster, Duration) -> BoxFuture<'a, Result<T, UpstreamError>>,
    ) -> Result<T, LogError> {
        let env = self.link.env();
        let ends = env.clock.monotonic().saturating_add(deadline);
        let mut backoff = Backoff::new(limits::BACKOFF_LAST);
        let mut last = LogError::NoLeader { shard };
        let Some(cluster) = self.link.formed_within(deadline).await else {
            return Err(last);
        };
        while self.link.cluster() == Some(cluster) && shard.get() < cluster.shards.get() {
            let left = ends.saturating_sub(env.clock.monotonic());
            let patience = left.min(limits::ATTEMPT_MAX);
            let target = self.link.preferred();
            let error = match self
                .link
                .guarded(call(target, cluster, patience), patience)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.link.failed(target, &error);
            match error {
                UpstreamError::Log(error @ LogError::Unreadable(_)) => return Err(error),
                UpstreamError::Log(
                    error @ (LogError::Behind { .. } | LogError::Overloaded { .. }),
                ) => last = error,
                UpstreamError::Unreachable(_)
                | UpstreamError::NoAnswer(_)
                | UpstreamError::OtherCluster
                | UpstreamError::Log(
                    LogError::NoLeader { .. } | LogError::UnknownOutcome | LogError::Draining,
                ) => {}
            }
            let wait = backoff.next(env.rng.as_ref());
            if env.clock.monotonic() + wait >= ends {
                break;
            }
            env.clock.sleep(wait).await;
        }
        Err(last)
    }
}

impl ShardLog for RemoteLog {
    fn cluster(&self) -> Option<Cluster> {
        self.link.cluster()
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        Box::pin(self.link.formed())
    }

    fn submit(
        &self,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>> {
        Box::pin(async move {
            let env = self.link.env();
            let begun = env.clock.monotonic();
            let no_leader = LogError::NoLeader { shard };
            let Some(cluster) = self.link.formed_within(deadline).await else {
                return Err(no_leader);
            };
            if shard.get() >= cluster.shards.get() {
                return Err(no_leader);
            }
            let (targets, first) = (self.link.upstreams(), Target(self.link.preferred()));
            let mut route = Route::new(shard, targets, first, begun, deadline);
            loop {
                if self.link.cluster() != Some(cluster) {
                    // What was asked of another history is not asked of this one.
                    return route.give_up();
                }
                match route.action(env.clock.monotonic()) {
                    Action::Try { target, patience } => {
                        let command = command.clone();
                        let outcome = self
                            .attempt(cluster, shard, command, target, patience)
                            .await;
                        route.outcome(outcome, env.clock.monotonic(), env.rng.as_ref());
                    }
                    Action::SleepUntil(until) => {
                        let left = until.saturating_sub(env.clock.monotonic());
                        env.clock.sleep(left).await;
                    }
                    Action::Done(result) => return result,
                }
            }
        })
    }

    fn follow(&self, shard: ShardId) -> Box<dyn Following> {
        Box::new(RemoteFollowing::new(Arc::clone(&self.link), shard))
    }

    fn read(
        &self,
        shard: ShardId,
        query: ReadQuery,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        Box::pin(async move {
            let query = query.encode();
            let bytes = self
                .ask(shard, deadline, |target, cluster, patience| {
                    let upstream = self.link.upstream(target);
                    upstream.read(cluster, shard, query.clone(), at_least, patience)
                })
                .await?;
            ReadAnswer::decode(&bytes).map_err(|error| LogError::Unreadable(error.to_string()))
        })
    }

    fn barrier(
        &self,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, LogError>> {
        Box::pin(self.ask(shard, deadline, move |target, cluster, patience| {
            self.link.upstream(target).barrier(cluster, shard, patience)
        }))
    }
}

#[cfg(test)]
mod tests;
