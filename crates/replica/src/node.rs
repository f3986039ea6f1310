//! A replica from the inside: its disk, its groups, and what it answers to others.
//!
//! Invariant: nobody is answered for a cluster that is not this node's, nor in the name of an id that is not;
//! no vote is given before this node may give one.

mod admit;
mod answering;
mod begin;
mod describe;
mod keeper;
mod routing;
mod time;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use halley_env::{Disk, DiskLock, Env, Task};
use halley_log::{Cluster, LogError};
use halley_shard::ShardId;
use halley_store::{GroupId, Snapshots, Wal};
use tokio::sync::Notify;

use crate::{
    Fatal, Peers, ReplicaConfig,
    admission::LogMark,
    asker::Asker,
    formation::Formation,
    group::{Ground, Group},
    identity::{Identity, NodeId},
    meta::Process,
    meta_machine::MetaPart,
    raft::Runtime,
    room::DataRoom,
    shard::Shard,
    submit::Submitter,
};

pub(crate) use answering::NodeAnswering;
pub(crate) use begin::open;
pub(crate) use describe::NodeAdmin;

/// Everything of a running replica.
pub(crate) struct Node<R: Runtime> {
    config: ReplicaConfig,
    env: Env,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    ground: Ground,
    asker: Asker,
    submitter: Submitter,
    identity: Mutex<Identity>,
    formation: Mutex<Formation>,
    /// Where the logs ended when this disk was opened.
    ends: BTreeMap<u16, LogMark>,
    cluster: OnceLock<Cluster>,
    meta: OnceLock<MetaPart<R>>,
    shards: OnceLock<Vec<Arc<Shard<R>>>>,
    /// Something of the above was just set.
    moved: Notify,
    /// This node's votes count.
    voting: AtomicBool,
    /// Proposals have stopped: the disk is full.
    full: AtomicBool,
    /// Free bytes of the disk, as last seen.
    free: AtomicU64,
    /// It gives its leaderships away and takes none.
    handing_over: AtomicBool,
    closing: AtomicBool,
    /// Who answered lately at which of the addresses that this node was told, and when.
    whereabouts: Mutex<BTreeMap<String, (NodeId, Duration)>>,
    /// What waits for what, for people, by its cause.
    notices: Mutex<BTreeMap<&'static str, String>>,
    clocks: time::Clocks,
    tasks: Mutex<Vec<Task>>,
    room: Mutex<Option<DataRoom>>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl<R: Runtime> fmt::Debug for Node<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

/// What lies open on the disk when a node starts.
pub(crate) struct Opened {
    /// Nothing was ever put aside in this directory.
    pub(crate) founds: bool,
    pub(crate) identity: Identity,
    pub(crate) directory: PathBuf,
    pub(crate) wal: Wal,
    pub(crate) snapshots: Snapshots,
    pub(crate) room: DataRoom,
    pub(crate) lock: Box<dyn DiskLock>,
}

impl<R: Runtime> Node<R> {
    /// Builds the node over what lies open, and begins its life.
    pub(crate) fn begin(
        config: ReplicaConfig,
        opened: Opened,
        env: Env,
        disk: Arc<dyn Disk>,
        peers: Arc<dyn Peers>,
        fatal: Fatal,
    ) -> Arc<Self> {
        let Opened {
            founds,
            identity,
            directory,
            wal,
            snapshots,
            room,
            lock,
        } = opened;
        let me = identity.node;
        let asker = Asker::new(peers, me, Process(env.rng.next_u64().max(1)));
        let ground = Ground {
            me,
            env: env.clone(),
            wal,
            snapshots,
            asker: asker.clone(),
            timing: config.timing,
            fatal,
            brim: Arc::default(),
        };
        let ends = Self::log_ends(&ground.wal);
        let formation = Self::formation(&config, &identity, &ground, founds);
        let node = Arc::new(Self {
            submitter: Submitter::new(asker.clone(), env.clone()),
            clocks: time::Clocks::new(),
            config,
            disk,
            directory,
            ground,
            asker,
            identity: Mutex::new(identity),
            formation: Mutex::new(formation),
            ends,
            cluster: OnceLock::new(),
            meta: OnceLock::new(),
            shards: OnceLock::new(),
            moved: Notify::new(),
            voting: AtomicBool::new(false),
            full: AtomicBool::new(false),
            free: AtomicU64::new(0),
            handing_over: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            whereabouts: Mutex::default(),
            notices: Mutex::default(),
            tasks: Mutex::default(),
            room: Mutex::new(Some(room)),
            lock: Mutex::new(Some(lock)),
            env,
        });
        node.spawn("replica-life", Arc::clone(&node).live());
        node
    }

    /// Starts a task that ends with the node.
    fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let seeded = R::within(self.env.rng.next_u64(), task);
        let mut tasks = held(&self.tasks);
        if self.closing.load(Ordering::Acquire) {
            return;
        }
        let task = self.env.spawn.spawn(name, Box::pin(seeded));
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    pub(crate) fn me(&self) -> NodeId {
        self.ground.me
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn cluster(&self) -> Option<Cluster> {
        // Told once the shards are there: who knows the cluster may ask for any of them.
        self.shards.get().and_then(|_| self.cluster.get().copied())
    }

    pub(crate) fn meta(&self) -> Option<&MetaPart<R>> {
        self.meta.get()
    }

    pub(crate) fn shards(&self) -> &[Arc<Shard<R>>] {
        self.shards.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn shard(&self, id: ShardId) -> Option<&Arc<Shard<R>>> {
        self.shards().get(usize::from(id.get()))
    }

    /// All groups that run, the cluster's own first.
    pub(crate) fn groups(&self) -> Vec<Arc<Group<R>>> {
        let meta = self.meta().map(|meta| Arc::clone(&meta.group));
        let shards = self.shards().iter().map(|shard| Arc::clone(&shard.group));
        meta.into_iter().chain(shards).collect()
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<Arc<Group<R>>> {
        self.groups().into_iter().find(|group| group.id() == id)
    }

    /// Waits until `read` finds something among what is set once. Cancel-safe.
    pub(crate) async fn when<T>(&self, read: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if let Some(found) = read(self) {
                return found;
            }
            moved.await;
        }
    }

    /// The shard, once the cluster is formed.
    ///
    /// # Errors
    /// [`LogError::NoLeader`] when that takes longer than `deadline`, or there is no such shard.
    pub(crate) async fn formed_shard(
        &self,
        id: ShardId,
        deadline: Duration,
    ) -> Result<Arc<Shard<R>>, LogError> {
        let no_leader = LogError::NoLeader { shard: id };
        if self.closing.load(Ordering::Acquire) {
            return Err(LogError::Draining);
        }
        if self.shards.get().is_none() {
            tokio::select! {
                biased;
                () = self.when(|node| node.shards.get().map(drop)) => {}
                () = self.env.clock.sleep(deadline) => return Err(no_leader),
            }
        }
        self.shard(id).cloned().ok_or(no_leader)
    }

    /// Notes what waits, for people; nothing any more when empty.
    fn notice(&self, cause: &'static str, text: impl Into<String>) {
        let text = text.into();
        let mut notices = held(&self.notices);
        if text.is_empty() {
            notices.remove(cause);
        } else if notices.insert(cause, text.clone()).as_ref() != Some(&text) {
            tracing::info!(cause, "{text}");
        }
    }

    /// Ends every task and group, and closes the disk.
    pub(crate) async fn close(&self) {
        let tasks = {
            let mut tasks = held(&self.tasks);
            self.closing.store(true, Ordering::Release);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            task.stop().await;
        }
        for shard in self.shards() {
            shard.close().await;
        }
        if let Some(meta) = self.meta() {
            meta.group.close().await;
        }
        self.submitter.close();
        let wal = self.ground.wal.clone();
        let closed = crate::raft::machine::away(self.env.spawn.as_ref(), move || wal.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the log was not closed cleanly");
        }
        held(&self.room).take();
        held(&self.lock).take();
    }
}

/// Locks what nobody panics while holding.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}
