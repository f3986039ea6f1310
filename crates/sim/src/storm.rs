//! Faults for as long as the plan says, then none: what happens to replicas, their disks, and the ways between them.
//!
//! Invariant: when the storm is over, everything that it broke has been mended, and whoever is down comes back.

use std::{cell::Cell, rc::Rc, time::Duration};

use halley_env::Rng as _;
use tokio::task::JoinSet;

use crate::{
    broker::Broker,
    node::{Crash, Node},
    seeded::SeededRng,
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Processes are killed; what they wrote is there.
    Kill,
    /// Machines lose power: what was not synced may be gone.
    Power,
    /// A disk fails.
    Disk,
    /// An operator restarts a replica.
    Restart,
    /// One replica hears and says nothing for a while.
    Pause,
    /// Nothing passes between two replicas.
    Cut,
    /// Nothing passes from one replica to another; it does the other way.
    OneWay,
    /// What one replica tells another takes long.
    Slow,
    /// The connections between two replicas break.
    Break,
    /// The edge is restarted.
    Edge,
    /// The edge loses its upstreams.
    Cable,
}

/// All kinds, with their names in the figures.
pub(crate) const FAULTS: &[(Fault, &str)] = &[
    (Fault::Kill, "kill"),
    (Fault::Power, "power"),
    (Fault::Disk, "disk"),
    (Fault::Restart, "restart"),
    (Fault::Pause, "pause"),
    (Fault::Cut, "cut"),
    (Fault::OneWay, "one-way"),
    (Fault::Slow, "slow"),
    (Fault::Break, "break"),
    (Fault::Edge, "edge"),
    (Fault::Cable, "cable"),
];

/// Blows until it is over and everything is mended.
pub(crate) async fn blow(broker: Rc<Broker>) -> Result<(), String> {
    let rng = Rc::new(SeededRng::new(broker.plan.seed ^ 0x7374_6f72));
    let end = tokio::time::Instant::now() + broker.plan.stormy;
    let mut under_way = JoinSet::new();
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(rng.millis(50, 400)).await;
        if let Some(fault) = chosen(&broker, &rng) {
            under_way.spawn_local(strike(Rc::clone(&broker), Rc::clone(&rng), fault));
        }
    }
    while let Some(struck) = under_way.join_next().await {
        struck.map_err(|error| error.to_string())??;
    }
    broker.net.calm();
    Ok(())
}

/// What happens next, if anything.
fn chosen(broker: &Broker, rng: &SeededRng) -> Option<Fault> {
    let alone = |fault| {
        use Fault::{Break, Cut, OneWay, Pause, Slow};
        matches!(fault, Pause | Cut | OneWay | Slow | Break)
    };
    let weighed = FAULTS.iter().zip(&broker.plan.weights);
    let weighed: Vec<_> = weighed
        .filter(|((fault, _), _)| broker.nodes.len() > 1 || !alone(*fault))
        .collect();
    let sum: u64 = weighed.iter().map(|(_, weight)| **weight).sum();
    if sum == 0 || !rng.chance(broker.plan.fault_percent) {
        return None;
    }
    let mut drawn = rng.below(sum);
    for ((fault, name), weight) in weighed {
        if drawn < *weight {
            broker.count(name);
            return Some(*fault);
        }
        drawn -= *weight;
    }
    None
}

async fn strike(broker: Rc<Broker>, rng: Rc<SeededRng>, fault: Fault) -> Result<(), String> {
    let a = below(&rng, broker.nodes.len());
    let b = (a + 1 + below(&rng, broker.nodes.len().max(2) - 1)) % broker.nodes.len();
    let say = |what: String| {
        broker
            .trace
            .say(format_args!("storm"), format_args!("{what}"))
    };
    match fault {
        Fault::Kill | Fault::Power => crash(&broker, &rng, fault, a),
        Fault::Disk => {
            let operations = rng.below(60);
            say(format!(
                "n{}'s disk fails after {operations} operations",
                a + 1
            ));
            fail_disk(&broker.nodes[a], &rng, operations).await;
        }
        Fault::Restart => {
            say(format!("n{} is restarted", a + 1));
            broker.nodes[a].stop(rng.millis(0, 3_000)).await?;
        }
        Fault::Pause => {
            say(format!("n{} is silent", a + 1));
            let ways = (0..broker.nodes.len()).filter(|other| *other != a);
            let ways: Vec<_> = ways.flat_map(|other| [(a, other), (other, a)]).collect();
            broker.nodes[a].link().pull();
            cut(&broker, &ways, rng.millis(100, 5_000)).await;
            broker.nodes[a].link().plug();
        }
        Fault::Cut => {
            say(format!("n{} and n{} are cut off", a + 1, b + 1));
            cut(&broker, &[(a, b), (b, a)], rng.millis(100, 6_000)).await;
        }
        Fault::OneWay => {
            say(format!("n{} does not hear n{}", b + 1, a + 1));
            cut(&broker, &[(a, b)], rng.millis(100, 6_000)).await;
        }
        Fault::Slow => {
            let slow_ms = rng.between(20, 800);
            say(format!("n{} hears n{} {slow_ms} ms late", b + 1, a + 1));
            broker.net.slow(a, b, slow_ms);
            tokio::time::sleep(rng.millis(100, 5_000)).await;
            broker.net.heal(a, b);
        }
        Fault::Break => {
            say(format!("n{} and n{} lose their connections", a + 1, b + 1));
            broker.net.break_between(a, b);
        }
        Fault::Edge => {
            say("restarts the edge".to_owned());
            broker.restart_edge(rng.next_u64()).await;
        }
        Fault::Cable => pull_cables(&broker, &rng, a).await,
    }
    Ok(())
}

/// The edge loses its cable to one replica, or to all.
async fn pull_cables(broker: &Broker, rng: &SeededRng, one: usize) {
    let all = rng.chance(40);
    let to = if all {
        "all".to_owned()
    } else {
        format!("n{}", one + 1)
    };
    broker.trace.say(
        format_args!("storm"),
        format_args!("pulls the edge's cable to {to}"),
    );
    let nodes = broker.nodes.iter().enumerate();
    let nodes = nodes.filter(|(index, _)| all || *index == one);
    let nodes: Vec<_> = nodes.map(|(_, node)| node).collect();
    nodes.iter().for_each(|node| node.link().pull());
    tokio::time::sleep(rng.millis(0, 1_500)).await;
    nodes.iter().for_each(|node| node.link().plug());
}

fn below(rng: &SeededRng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).expect("below a count")
}

/// One, most or all of the replicas go at once.
fn crash(broker: &Broker, rng: &SeededRng, fault: Fault, first: usize) {
    let nodes = broker.nodes.len();
    let count = match rng.below(10) {
        0..6 => 1,
        6..8 => nodes.div_ceil(2),
        _ => nodes,
    };
    let crash = if fault == Fault::Power {
        Crash::PowerLost
    } else {
        Crash::Killed
    };
    for index in (first..first + count).map(|index| index % nodes) {
        broker.trace.say(
            format_args!("storm"),
            format_args!("n{}: {crash:?}", index + 1),
        );
        broker.nodes[index].crash(crash, rng.millis(0, 4_000));
    }
}

/// The disk fails, and the process must end; idle, it may not notice.
async fn fail_disk(node: &Rc<Node>, rng: &SeededRng, operations: u64) {
    node.fail_disk(operations);
    let left = Cell::new(300);
    while node.fails() && left.replace(left.get() - 1) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if node.fails() {
        node.crash(Crash::Killed, rng.millis(0, 2_000));
    }
}

async fn cut(broker: &Broker, ways: &[(usize, usize)], time: Duration) {
    for (from, to) in ways {
        broker.net.cut(*from, *to);
    }
    tokio::time::sleep(time).await;
    for (from, to) in ways {
        broker.net.heal(*from, *to);
    }
}
