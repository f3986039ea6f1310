//! A replica as the rooms above see it: the seam, and its life.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use halley_env::{BoxFuture, Disk, Env};
use halley_log::{
    Check, Cluster, ClusterAdmin, Following, LogError, ReadAnswer, ReadQuery, ShardLog,
};
use halley_shard::{Reply, Revision, ShardId};
use openraft_rt_tokio::TokioRuntime;
use thiserror::Error;

use crate::{
    Answering, Peers, ReplicaConfig,
    node::{Node, NodeAdmin, NodeAnswering, open},
    raft::{Deterministic, Runtime},
};

/// Why a replica does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another process uses the directory.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// The disk is another node's, or another release's.
    #[error("{0}")]
    Identity(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Called when the node cannot go on (a log that failed, a Raft core that ended, a formation that a person must
/// mend): the process must end.
pub type Fatal = Arc<dyn Fn(String) + Send + Sync>;

/// A replica on its way.
pub type Starting = BoxFuture<'static, Result<Arc<Replica>, StartError>>;

/// The replicated log of this node.
pub struct Replica {
    core: Arc<dyn Core>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}

/// A node, whatever runtime its Raft runs on.
trait Core: ShardLog {
    fn answering(self: Arc<Self>) -> Arc<dyn Answering>;
    fn admin(self: Arc<Self>) -> Arc<dyn ClusterAdmin>;
    fn checks(&self) -> Vec<Check>;
    fn hand_over(&self, deadline: Duration) -> BoxFuture<'_, ()>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl Replica {
    /// Opens the disk and begins to find, form or rejoin its cluster; [`ShardLog::formed`] tells when. The listener that
    /// hands what comes in to [`Replica::answering`] must be open soon.
    ///
    /// # Errors
    /// [`StartError`]
    #[must_use]
    pub fn start(
        config: ReplicaConfig,
        env: Env,
        disk: Arc<dyn Disk>,
        peers: Arc<dyn Peers>,
        fatal: Fatal,
    ) -> Starting {
        // Boxed here, so that all of Raft is built in this crate, with its optimisation.
        Box::pin(Self::on::<TokioRuntime>(config, env, disk, peers, fatal))
    }

    /// [`Replica::start`] for simulations: everything that Raft draws at random is drawn from `env`'s generator.
    ///
    /// # Errors
    /// [`StartError`]
    #[must_use]
    pub fn start_deterministic(
        config: ReplicaConfig,
        env: Env,
        disk: Arc<dyn Disk>,
        peers: Arc<dyn Peers>,
        fatal: Fatal,
    ) -> Starting {
        Box::pin(Self::on::<Deterministic>(config, env, disk, peers, fatal))
    }

    async fn on<R: Runtime>(
        config: ReplicaConfig,
        env: Env,
        disk: Arc<dyn Disk>,
        peers: Arc<dyn Peers>,
        fatal: Fatal,
    ) -> Result<Arc<Self>, StartError> {
        let opened = open(&config, &env, &disk, &fatal).await?;
        let core = Node::<R>::begin(config, opened, env, disk, peers, fatal);
        Ok(Arc::new(Self { core }))
    }

    /// What other replicas are answered.
    #[must_use]
    pub fn answering(&self) -> Arc<dyn Answering> {
        Arc::clone(&self.core).answering()
    }

    /// What people may ask and change about the cluster.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn ClusterAdmin> {
        Arc::clone(&self.core).admin()
    }

    /// What readiness asks of it.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.core.checks()
    }

    /// Hands the leadership of all its groups to others, for at most `deadline`. Commands are answered meanwhile.
    pub async fn hand_over(&self, deadline: Duration) {
        self.core.hand_over(deadline).await;
    }

    /// Ends all its tasks, syncs and closes the disk.
    pub async fn close(&self) {
        self.core.close().await;
    }
}

impl ShardLog for Replica {
    fn cluster(&self) -> Option<Cluster> {
        self.core.cluster()
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        self.core.formed()
    }

    fn submit(
        &self,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>> {
        self.core.submit(shard, command, deadline)
    }

    fn follow(&self, shard: ShardId) -> Box<dyn Following> {
        self.core.follow(shard)
    }

    fn read(
        &self,
        shard: ShardId,
        query: ReadQuery,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        self.core.read(shard, query, at_least, deadline)
    }

    fn barrier(
        &self,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, LogError>> {
        self.core.barrier(shard, deadline)
    }
}

impl<R: Runtime> Core for Node<R> {
    fn answering(self: Arc<Self>) -> Arc<dyn Answering> {
        Arc::new(NodeAnswering(self))
    }

    fn admin(self: Arc<Self>) -> Arc<dyn ClusterAdmin> {
        Arc::new(NodeAdmin(self))
    }

    fn checks(&self) -> Vec<Check> {
        Self::checks(self)
    }

    fn hand_over(&self, deadline: Duration) -> BoxFuture<'_, ()> {
        Box::pin(Self::hand_over(self, deadline))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::close(self))
    }
}

impl<R: Runtime> ShardLog for Node<R> {
    fn cluster(&self) -> Option<Cluster> {
        Self::cluster(self)
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        Box::pin(self.when(Self::cluster))
    }

    fn submit(
        &self,
        shard: ShardId,
        command: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>> {
        Box::pin(Self::submit(self, shard, command, deadline))
    }

    fn follow(&self, shard: ShardId) -> Box<dyn Following> {
        let shard = self.shard(shard);
        shard
            .expect("followers know the cluster's shards")
            .follow(self.env())
    }

    fn read(
        &self,
        shard: ShardId,
        query: ReadQuery,
        at_least: Revision,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        Box::pin(async move {
            let clock = self.env().clock.as_ref();
            let ends = clock.monotonic().saturating_add(deadline);
            let found = self.formed_shard(shard, deadline).await?;
            let left = ends.saturating_sub(clock.monotonic());
            found.gate().pass(clock, left, shard).await?;
            let left = ends.saturating_sub(clock.monotonic());
            found.source.reach(at_least, clock, left).await?;
            Ok(found.source.read(&query))
        })
    }

    fn barrier(
        &self,
        shard: ShardId,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Revision, LogError>> {
        Box::pin(Self::barrier(self, shard, deadline))
    }
}
