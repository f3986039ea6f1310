//! The composition under test: a node with a memory log, an edge that follows it, and the storm around them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use halley_env::Rng as _;
use halley_hub::{Hub, HubConfig};
use halley_log::{MemoryConfig, MemoryLog, Publisher, RemoteLog, ShardLog, Upstream};
use halley_shard::{ClusterId, Cursor};
use tokio::task::LocalSet;

use crate::{
    link::Link,
    oracle::Oracle,
    plan::Plan,
    publishers,
    seeded::{self, SeededRng},
    subscribers,
    trace::Trace,
};

/// One role of the broker: what readers read and publishers publish through.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) hub: Hub,
    pub(crate) publisher: Publisher,
}

/// Everything of one run.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) node: Role,
    edge: RefCell<(Role, Arc<RemoteLog>)>,
    log: Arc<MemoryLog>,
    link: Arc<Link>,
    calm: Cell<bool>,
}

/// Runs a plan; figures, or what was broken.
pub(crate) async fn run(plan: &Plan, trace: &Trace) -> Result<String, String> {
    let broker = Rc::new(Broker::start(plan.clone(), trace.clone()));
    let actors = LocalSet::new();
    let mut tasks = Vec::new();
    for index in 0..plan.publishers {
        tasks.push(actors.spawn_local(publishers::run(Rc::clone(&broker), index)));
    }
    let storm = actors.spawn_local(storm(Rc::clone(&broker)));
    let mut readers = Vec::new();
    for index in 0..plan.subscribers {
        readers.push(actors.spawn_local(subscribers::run(Rc::clone(&broker), index)));
    }
    let story = async {
        storm.await.map_err(|error| error.to_string())?;
        for task in tasks {
            task.await.map_err(|error| error.to_string())??;
        }
        broker.calm.set(true);
        for reader in readers {
            reader.await.map_err(|error| error.to_string())??;
        }
        Ok(broker.oracle.figures())
    };
    // Virtual time: a run that needs an hour of it hangs.
    let bounded = tokio::time::timeout(Duration::from_secs(3_600), story);
    let result = actors
        .run_until(bounded)
        .await
        .map_err(|_| "hangs".to_owned())?;
    broker.stop().await;
    result
}

/// Faults for as long as the plan says, then none.
async fn storm(broker: Rc<Broker>) {
    let rng = SeededRng::new(broker.plan.seed ^ 0x7374_6f72);
    let end = tokio::time::Instant::now() + broker.plan.stormy;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(rng.millis(50, 400)).await;
        if !rng.chance(broker.plan.cut_percent) {
            continue;
        }
        if rng.chance(30) {
            broker
                .trace
                .say(format_args!("storm"), format_args!("restarts the edge"));
            broker.restart_edge(rng.next_u64()).await;
        } else {
            broker
                .trace
                .say(format_args!("storm"), format_args!("pulls the cable"));
            broker.link.pull();
            tokio::time::sleep(rng.millis(0, 1_500)).await;
            broker.link.plug();
        }
    }
}

impl Broker {
    fn start(plan: Plan, trace: Trace) -> Self {
        let (env, rng) = seeded::machine(plan.seed ^ 0x6e6f_6465);
        let config = MemoryConfig {
            cluster: ClusterId::new(rng.next_u64()),
            shards: plan.shards,
            settings: plan.settings.clone(),
        };
        let log = MemoryLog::start(config, env.clone());
        let shared: Arc<dyn ShardLog> = Arc::<MemoryLog>::clone(&log);
        let node = Role {
            hub: Hub::start(Arc::clone(&shared), env.clone(), hub_config()),
            publisher: Publisher::new(Arc::clone(&shared), env),
        };
        let (_, wire) = seeded::machine(plan.seed ^ 0x6c69_6e6b);
        let link = Link::new(shared, wire, plan.delay_ms);
        let edge = RefCell::new(edge(&link, plan.seed ^ 0x6564_6765));
        let oracle = Oracle::default();
        Self {
            plan,
            trace,
            oracle,
            node,
            edge,
            log,
            link,
            calm: Cell::new(false),
        }
    }

    /// The edge as it is now.
    pub(crate) fn edge(&self) -> Role {
        self.edge.borrow().0.clone()
    }

    /// Whether the faults are over and everything has been published.
    pub(crate) fn calm(&self) -> bool {
        self.calm.get()
    }

    async fn restart_edge(&self, seed: u64) {
        let (role, log) = self.edge.replace(edge(&self.link, seed));
        role.hub.close().await;
        log.close().await;
    }

    /// Whether `cursor` has reached the log's head in every shard that it names.
    pub(crate) async fn reached(&self, cursor: &Cursor) -> bool {
        for (shard, revision) in cursor.positions() {
            let head = self.log.barrier(*shard, Duration::from_secs(1)).await;
            if head.is_ok_and(|head| *revision < head) {
                return false;
            }
        }
        true
    }

    async fn stop(&self) {
        let (role, log) = self.edge.borrow().clone();
        role.hub.close().await;
        log.close().await;
        self.node.hub.close().await;
        self.log.close().await;
    }
}

fn hub_config() -> HubConfig {
    HubConfig {
        patience: Duration::from_secs(10),
        ..HubConfig::default()
    }
}

fn edge(link: &Arc<Link>, seed: u64) -> (Role, Arc<RemoteLog>) {
    let (env, _) = seeded::machine(seed);
    let log = RemoteLog::new(
        vec![Arc::<Link>::clone(link) as Arc<dyn Upstream>],
        env.clone(),
    );
    let shared: Arc<dyn ShardLog> = Arc::<RemoteLog>::clone(&log);
    let role = Role {
        hub: Hub::start(Arc::clone(&shared), env.clone(), hub_config()),
        publisher: Publisher::new(shared, env),
    };
    (role, log)
}
