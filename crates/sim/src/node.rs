//! One replica: its disk, its process as it comes and goes, and what clients see of it.
//!
//! Invariant: what a process that has gone would still have said or written is never heard and never on its disk.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use halley_env::{Disk, MemoryDisk, Rng as _};
use halley_hub::{Hub, HubConfig};
use halley_log::{Publisher, ShardLog};
use halley_replica::{Addresses, Bootstrap, DiskBounds, Replica, ReplicaConfig, Timing};
use tokio::{sync::Notify, time::Instant};

use crate::{
    link::Link,
    net::{Cable, Net, address},
    plan::Plan,
    seeded::{self, SeededRng},
    trace::Trace,
};

/// Longest that handing leadership over may take, as in the composed node.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);
/// A clean end that takes longer hangs.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// One role of the broker: what readers read and publishers publish through.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) hub: Hub,
    pub(crate) publisher: Publisher,
    /// The process behind it.
    pub(crate) process: Arc<Process>,
}

/// The life of one process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    state: Mutex<Ended>,
    changed: Notify,
}

#[derive(Clone, Debug, Default)]
struct Ended {
    /// Why it says that it must end.
    fatal: Option<String>,
    gone: bool,
}

impl Process {
    fn change(&self, change: impl FnOnce(&mut Ended)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    async fn when<T>(&self, read: impl Fn(&Ended) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = read(&self.state.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }

    /// Completes once the process has gone.
    pub(crate) async fn gone(&self) {
        self.when(|ended| ended.gone.then_some(())).await;
    }
}

/// How a process ends without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process alone: what was written is there.
    Killed,
    /// The machine: what was not synced may be gone.
    PowerLost,
}

#[derive(Clone, Debug)]
struct Running {
    replica: Arc<Replica>,
    role: Role,
    draining: bool,
}

/// One place where a replica runs, stops, and runs again on the same disk.
pub(crate) struct Node {
    index: usize,
    plan: Plan,
    trace: Trace,
    net: Arc<Net>,
    link: Arc<Link>,
    rng: SeededRng,
    disk: RefCell<Arc<MemoryDisk>>,
    running: RefCell<Option<Running>>,
    starts: Cell<u64>,
    /// It is not started again before this.
    down_until: Cell<Instant>,
    /// Nor before its end is complete.
    stopping: Cell<bool>,
    /// Its disk is about to fail or has failed: that it ends is no news.
    failing: Cell<bool>,
    /// Why it ended by itself without reason.
    pub(crate) fatals: RefCell<Vec<String>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.index + 1)
    }
}

impl Node {
    /// A place with an empty disk, nobody running.
    pub(crate) fn new(index: usize, plan: Plan, trace: Trace, net: Arc<Net>) -> Rc<Self> {
        let number = u64::try_from(index).expect("a few nodes");
        let (_, wire) = seeded::machine(plan.seed ^ (0x6c69_6e6b + number));
        Rc::new(Self {
            index,
            link: Link::new(wire, plan.delay_ms),
            rng: SeededRng::new(plan.seed ^ (0x6e6f_6465_0000 + number)),
            plan,
            trace,
            net,
            disk: RefCell::new(MemoryDisk::new()),
            running: RefCell::default(),
            starts: Cell::new(0),
            down_until: Cell::new(Instant::now()),
            stopping: Cell::new(false),
            failing: Cell::new(false),
            fatals: RefCell::default(),
        })
    }

    /// The way from the edge to it.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// What clients reach, while it runs and is not going down.
    pub(crate) fn role(&self) -> Option<Role> {
        let running = self.running.borrow();
        let running = running.as_ref().filter(|running| !running.draining);
        running.map(|running| running.role.clone())
    }

    /// Its log, while it runs.
    pub(crate) fn log(&self) -> Option<Arc<dyn ShardLog>> {
        let running = self.running.borrow();
        running
            .as_ref()
            .map(|running| Arc::clone(&running.replica) as _)
    }

    /// What it waits for to be ready; `None` when it is.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let running = self.running.borrow();
        let Some(running) = running.as_ref() else {
            return Some("does not run".to_owned());
        };
        let checks = running
            .replica
            .checks()
            .into_iter()
            .filter(|check| !check.ok);
        let failed: Vec<_> = checks
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    /// Starts it, and again whenever it has ended.
    pub(crate) async fn keep(self: Rc<Self>) {
        loop {
            while self.stopping.get() || Instant::now() < self.down_until.get() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let ended = match self.start().await {
                Ok(None) => None,
                Ok(Some(process)) => {
                    tokio::select! {
                        biased;
                        () = process.gone() => None,
                        why = process.when(|ended| ended.fatal.clone()) => Some(why),
                    }
                }
                Err(why) => Some(why),
            };
            if let Some(why) = ended {
                self.say(&format!("ends: {why}"));
                if !self.failing.get() {
                    self.fatals.borrow_mut().push(why);
                }
                let down = self.rng.millis(100, 2_000);
                self.crash(Crash::Killed, down);
            }
        }
    }

    /// `None` when it crashed on its way.
    async fn start(&self) -> Result<Option<Arc<Process>>, String> {
        self.starts.set(self.starts.get() + 1);
        let number = u64::try_from(self.index).expect("a few nodes");
        let seed = self.rng.next_u64() ^ number;
        let (env, _) = seeded::machine(seed);
        let process = Arc::new(Process::default());
        let told = Arc::clone(&process);
        let fatal = Arc::new(move |why: String| {
            told.change(|ended| ended.fatal = ended.fatal.take().or(Some(why)));
        });
        let disk = Arc::clone(&self.disk.borrow());
        let cable = Cable::new(&self.net, self.index);
        self.say("starts");
        let seen = Arc::clone(&disk) as Arc<dyn Disk>;
        let replica =
            Replica::start_deterministic(self.config(), env.clone(), seen, cable, fatal).await;
        if !Arc::ptr_eq(&disk, &self.disk.borrow()) {
            return Ok(None);
        }
        let replica = replica.map_err(|error| error.to_string())?;
        self.net.plug(self.index, replica.answering());
        let log: Arc<dyn ShardLog> = Arc::<Replica>::clone(&replica);
        self.link.serves(Some(Arc::clone(&log)));
        let role = Role {
            hub: Hub::start(Arc::clone(&log), env.clone(), hub_config()),
            publisher: Publisher::new(log, env),
            process: Arc::clone(&process),
        };
        *self.running.borrow_mut() = Some(Running {
            replica,
            role,
            draining: false,
        });
        Ok(Some(process))
    }

    fn config(&self) -> ReplicaConfig {
        let plan = &self.plan;
        let all = 0..plan.replicas;
        ReplicaConfig {
            name: format!("n{}", self.index + 1),
            addresses: Addresses {
                peer: address(self.index),
                ..Addresses::default()
            },
            data: "/data".into(),
            bootstrap: Bootstrap {
                members: all.clone().map(|index| format!("n{}", index + 1)).collect(),
                shards: plan.shards,
                settings: plan.settings.clone(),
            },
            peers: all.map(address).collect(),
            timing: Timing::default(),
            replace_after: Duration::from_secs(60),
            disk: DiskBounds {
                ballast_max: 0,
                free_min: 0,
            },
            keeping: plan.keeping,
            catalogue: false,
        }
    }

    /// Ends it at once; it is started again after `down`. Nothing happens when it does not run.
    pub(crate) fn crash(&self, crash: Crash, down: Duration) {
        self.down_until.set(Instant::now() + down);
        // What happens to the old disk from here on is seen by the process that has gone, and by nobody else.
        let left = self.disk.borrow().copy();
        self.disk.borrow().fail_after(0);
        if crash == Crash::PowerLost {
            left.power_cut(&self.rng);
        }
        *self.disk.borrow_mut() = left;
        self.failing.set(false);
        if let Some(running) = self.leave() {
            // Its memory is let go when it pleases.
            tokio::spawn(async move {
                running.role.hub.close().await;
                running.replica.close().await;
            });
        }
    }

    /// Its disk fails after `operations` more of them: the process must end by itself.
    pub(crate) fn fail_disk(&self, operations: u64) {
        self.failing.set(true);
        self.disk.borrow().fail_after(operations);
    }

    /// Whether its disk fails, or is about to, and it has not ended yet.
    pub(crate) fn fails(&self) -> bool {
        self.failing.get()
    }

    /// Nobody reaches it any more.
    fn leave(&self) -> Option<Running> {
        let running = self.running.borrow_mut().take()?;
        self.net.unplug(self.index);
        self.link.serves(None);
        running.role.process.change(|ended| ended.gone = true);
        Some(running)
    }

    /// Ends it as an operator would; it is started again after `down`.
    pub(crate) async fn stop(&self, down: Duration) -> Result<(), String> {
        let Some(replica) = self.drains() else {
            return Ok(());
        };
        let stopping = async {
            replica.hand_over(HAND_OVER_WITHIN).await;
            if let Some(running) = self.leave() {
                running.role.hub.close().await;
                replica.close().await;
            }
        };
        self.stopping.set(true);
        let stopped = tokio::time::timeout(STOP_WITHIN, stopping).await;
        self.down_until.set(Instant::now() + down);
        self.stopping.set(false);
        stopped.map_err(|_| format!("{self:?} hangs while it is stopped"))
    }

    fn drains(&self) -> Option<Arc<Replica>> {
        let mut running = self.running.borrow_mut();
        let running = running.as_mut().filter(|running| !running.draining)?;
        running.draining = true;
        running.role.hub.drain();
        Some(Arc::clone(&running.replica))
    }

    fn say(&self, what: &str) {
        self.trace
            .say(format_args!("{self:?}"), format_args!("{what}"));
    }
}

/// Hubs of this size of cluster.
pub(crate) fn hub_config() -> HubConfig {
    HubConfig {
        patience: Duration::from_secs(10),
        ..HubConfig::default()
    }
}
