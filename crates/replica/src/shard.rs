//! One shard on this node: its group, its state, what waits to be proposed, and the gate before its readers.
//!
//! Invariant: nobody reads the shard here before this node has applied what the shard's leader had committed
//! when asked after this node's start (ReadIndex): whatever the node served in an earlier life is below that.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use halley_env::{BoxFuture, Clock, Env, Task};
use halley_log::{
    FollowEnd, Following, LogError,
    follow::{Down, Feed, Source},
};
use halley_shard::{Interest, Revision, ShardId};
use halley_store::GroupId;
use tokio::sync::Notify;

use crate::{
    group::{Ground, Group, Unanswered},
    packer::{Packer, Stamping},
    raft::Runtime,
    shard_machine::{ShardMachine, beginning},
};

/// The group of a shard; the cluster's own group is 0.
pub(crate) fn group_of(shard: ShardId) -> GroupId {
    GroupId(shard.get() + 1)
}

/// A shard.
pub(crate) struct Shard<R: Runtime> {
    pub(crate) id: ShardId,
    pub(crate) group: Arc<Group<R>>,
    pub(crate) packer: Arc<Packer>,
    pub(crate) source: Arc<Source>,
    gate: Arc<Gate>,
    packing: Mutex<Option<Task>>,
}

impl<R: Runtime> fmt::Debug for Shard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Opens once, when the shard may be read; or never, when the node closes first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    closed: AtomicBool,
    moved: Notify,
}

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.moved.notify_waiters();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.moved.notify_waiters();
    }

    /// Waits for it; false when it was closed instead. Cancel-safe.
    async fn passed(&self) -> bool {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.closed.load(Ordering::Acquire) {
                return false;
            }
            if self.is_open() {
                return true;
            }
            moved.await;
        }
    }

    /// Waits for it, for at most `deadline`.
    ///
    /// # Errors
    /// [`LogError`]
    pub(crate) async fn pass(
        &self,
        clock: &dyn Clock,
        deadline: Duration,
        shard: ShardId,
    ) -> Result<(), LogError> {
        tokio::select! {
            biased;
            passed = self.passed() => {
                if passed { Ok(()) } else { Err(LogError::Draining) }
            }
            () = clock.sleep(deadline) => Err(LogError::NoLeader { shard }),
        }
    }
}

impl<R: Runtime> Shard<R> {
    /// Starts the shard with its group.
    ///
    /// # Errors
    /// What Raft says.
    pub(crate) async fn start(
        id: ShardId,
        feed_entries: usize,
        ground: Ground,
        stamping: Arc<dyn Stamping>,
    ) -> Result<Arc<Self>, String> {
        let source = Source::new(Feed::new(beginning()).keeping(feed_entries));
        let machine = Arc::new(ShardMachine::new(Arc::clone(&source)));
        let env = ground.env.clone();
        let name = format!("shard {}", id.get());
        let group = Group::start(group_of(id), name, machine, ground).await?;
        let packer = Packer::new();
        let packing = Arc::clone(&packer).run(Arc::clone(&group), stamping);
        let packing = R::within(env.rng.next_u64(), packing);
        let packing = env.spawn.spawn("packer", Box::pin(packing));
        Ok(Arc::new(Self {
            id,
            group,
            packer,
            source,
            gate: Arc::default(),
            packing: Mutex::new(Some(packing)),
        }))
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The committed revision, if this node leads.
    pub(crate) async fn barrier(&self) -> Result<Revision, Unanswered> {
        self.group.read_index().await?;
        Ok(self.source.with(Feed::head))
    }

    /// Follows this node's state, once it may be read.
    pub(crate) fn follow(&self, env: &Env) -> Box<dyn Following> {
        Box::new(Gated {
            gate: Arc::clone(&self.gate),
            source: Arc::clone(&self.source),
            clock: Arc::clone(&env.clock),
            queued: Vec::new(),
            inner: None,
        })
    }

    /// Ends it: who follows is told, what waits is answered.
    pub(crate) async fn close(&self) {
        self.gate.close();
        self.packer.close();
        let packing = self
            .packing
            .lock()
            .expect("nobody panics holding it")
            .take();
        if let Some(packing) = packing {
            packing.stop().await;
        }
        self.group.close().await;
        self.source.close();
    }
}

/// A following that begins once the gate is open.
#[derive(Debug)]
struct Gated {
    gate: Arc<Gate>,
    source: Arc<Source>,
    clock: Arc<dyn Clock>,
    queued: Vec<(Vec<Interest>, Vec<Interest>)>,
    inner: Option<Box<dyn Following>>,
}

impl Following for Gated {
    fn interest(&mut self, add: Vec<Interest>, remove: Vec<Interest>) {
        match &mut self.inner {
            Some(inner) => inner.interest(add, remove),
            None => self.queued.push((add, remove)),
        }
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Down>, FollowEnd>> {
        Box::pin(async move {
            if self.inner.is_none() {
                if !self.gate.passed().await {
                    return Err(FollowEnd::Lost("this node is going down".into()));
                }
                let mut inner = self.source.follow(Arc::clone(&self.clock));
                for (add, remove) in self.queued.drain(..) {
                    inner.interest(add, remove);
                }
                self.inner = Some(inner);
            }
            let inner = self.inner.as_mut().expect("it was just made");
            inner.next().await
        })
    }
}
