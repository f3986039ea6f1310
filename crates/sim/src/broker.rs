//! The composition under test: replicas, an edge that follows them, and the story of one run.
//!
//! Invariant: faults end before anything is judged.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use halley_env::Rng as _;
use halley_hub::Hub;
use halley_log::{Publisher, RemoteLog, ShardLog, Upstream};
use halley_shard::Cursor;
use tokio::task::{JoinHandle, LocalSet};

use crate::{
    agreement,
    net::Net,
    node::{Node, Process, Role, hub_config},
    oracle::Oracle,
    plan::Plan,
    publishers,
    seeded::{self, SeededRng},
    storm, subscribers,
    trace::Trace,
};

/// A cluster that is not whole this long after the last fault hangs.
const WHOLE_WITHIN: Duration = Duration::from_secs(180);

/// Everything of one run.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) net: Arc<Net>,
    pub(crate) nodes: Vec<Rc<Node>>,
    edge: RefCell<(Role, Arc<RemoteLog>)>,
    calm: Cell<bool>,
    /// Faults so far, by kind.
    faults: RefCell<BTreeMap<&'static str, u64>>,
}

/// Runs a plan; figures, or what was broken.
pub(crate) async fn run(plan: &Plan, trace: &Trace) -> Result<String, String> {
    let broker = Rc::new(Broker::new(plan.clone(), trace.clone()));
    let actors = LocalSet::new();
    let keepers: Vec<_> = broker
        .nodes
        .iter()
        .map(|node| actors.spawn_local(Rc::clone(node).keep()))
        .collect();
    let mut tasks = Vec::new();
    for index in 0..plan.publishers {
        tasks.push(actors.spawn_local(publishers::run(Rc::clone(&broker), index)));
    }
    let storm = actors.spawn_local(storm::blow(Rc::clone(&broker)));
    let mut readers = Vec::new();
    for index in 0..plan.subscribers {
        readers.push(actors.spawn_local(subscribers::run(Rc::clone(&broker), index)));
    }
    let story = async {
        storm.await.map_err(|error| error.to_string())??;
        trace.say(format_args!("storm"), format_args!("is over"));
        broker.whole().await?;
        for task in tasks {
            task.await.map_err(|error| error.to_string())??;
        }
        broker.calm.set(true);
        for reader in readers {
            reader.await.map_err(|error| error.to_string())??;
        }
        agreement::reached(&broker).await?;
        broker.stop(keepers).await?;
        Ok(broker.figures())
    };
    // Virtual time: a run that needs an hour of it hangs.
    let bounded = tokio::time::timeout(Duration::from_secs(3_600), story);
    let result = actors.run_until(bounded).await;
    result.map_err(|_| "hangs".to_owned())?
}

impl Broker {
    fn new(plan: Plan, trace: Trace) -> Self {
        let net = Net::new(
            SeededRng::new(plan.seed ^ 0x6e65_7477),
            plan.peer_delay_ms,
            plan.loss,
        );
        let node = |index| Node::new(index, plan.clone(), trace.clone(), Arc::clone(&net));
        let nodes: Vec<_> = (0..plan.replicas).map(node).collect();
        let edge = RefCell::new(edge(&nodes, plan.seed ^ 0x6564_6765));
        Self {
            plan,
            trace,
            oracle: Oracle::default(),
            net,
            nodes,
            edge,
            calm: Cell::new(false),
            faults: RefCell::default(),
        }
    }

    /// Somebody who serves, the edge more often than each of the others.
    pub(crate) fn pick(&self, rng: &SeededRng) -> Option<Role> {
        if rng.chance(40) {
            return Some(self.edge.borrow().0.clone());
        }
        let serving: Vec<_> = self.nodes.iter().filter_map(|node| node.role()).collect();
        let count = serving.len() as u64;
        let drawn = usize::try_from(rng.below(count.max(1))).expect("a few");
        serving.into_iter().nth(drawn)
    }

    /// Whether the faults are over and everything has been published.
    pub(crate) fn calm(&self) -> bool {
        self.calm.get()
    }

    /// Another fault of this kind.
    pub(crate) fn count(&self, kind: &'static str) {
        *self.faults.borrow_mut().entry(kind).or_default() += 1;
    }

    pub(crate) async fn restart_edge(&self, seed: u64) {
        let (role, log) = self.edge.replace(edge(&self.nodes, seed));
        role.hub.close().await;
        log.close().await;
    }

    /// Whether `cursor` has reached the log's head in every shard that it names.
    pub(crate) async fn reached(&self, cursor: &Cursor) -> bool {
        let Some(log) = self.nodes.iter().find_map(|node| node.log()) else {
            return false;
        };
        for (shard, revision) in cursor.positions() {
            let head = log.barrier(*shard, Duration::from_secs(1)).await;
            if head.is_ok_and(|head| *revision < head) {
                return false;
            }
        }
        true
    }

    /// Waits until every replica is ready.
    async fn whole(&self) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + WHOLE_WITHIN;
        loop {
            let mut waiting = String::new();
            for node in &self.nodes {
                if let Some(why) = node.waits_for() {
                    let _ = write!(waiting, " {node:?} ({why})");
                }
            }
            if waiting.is_empty() {
                self.trace
                    .say(format_args!("all"), format_args!("are ready"));
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("hangs: not ready after the storm:{waiting}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Figures for the line of a run.
    fn figures(&self) -> String {
        let mut figures = self.oracle.figures();
        let faults = self.faults.borrow();
        let counted = faults.iter().map(|(kind, count)| format!("{kind}:{count}"));
        let fatals: usize = self
            .nodes
            .iter()
            .map(|node| node.fatals.borrow().len())
            .sum();
        let fatals = (fatals > 0).then(|| format!("fatal:{fatals}"));
        let counted: Vec<_> = counted.chain(fatals).collect();
        let _ = write!(figures, " struck={}", counted.join(","));
        figures
    }

    async fn stop(&self, keepers: Vec<JoinHandle<()>>) -> Result<(), String> {
        for keeper in keepers {
            keeper.abort();
        }
        let (role, log) = self.edge.borrow().clone();
        role.hub.close().await;
        log.close().await;
        for node in &self.nodes {
            node.stop(Duration::ZERO).await?;
        }
        Ok(())
    }
}

fn edge(nodes: &[Rc<Node>], seed: u64) -> (Role, Arc<RemoteLog>) {
    let (env, _) = seeded::machine(seed);
    let links = nodes
        .iter()
        .map(|node| Arc::clone(node.link()) as Arc<dyn Upstream>);
    let log = RemoteLog::new(links.collect(), env.clone());
    let shared: Arc<dyn ShardLog> = Arc::<RemoteLog>::clone(&log);
    let role = Role {
        hub: Hub::start(Arc::clone(&shared), env.clone(), hub_config()),
        publisher: Publisher::new(shared, env),
        process: Arc::<Process>::default(),
    };
    (role, log)
}
