//! Faults of a running cluster under load: leaders killed, all killed, paused, ended, and their power cut.
//!
//! 500 publishes a second in every way with and without keys, to all replicas; fifty readers hop between nodes and
//! transports meanwhile. Each scenario ends with every reader having every acknowledged event, once and in order.
//! `HALLEY_FAULT_ROUNDS` is the number of rounds of each, `HALLEY_FAULT_COURSE` shows every second; figures are printed,
//! never asserted.

#[path = "faults/fleet.rs"]
mod fleet;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/readers.rs"]
mod readers;
#[path = "faults/record.rs"]
mod record;
mod support;

use std::{sync::Arc, time::Duration};

use fleet::Fleet;
use load::Load;
use power::Powered;
use rustix::process::Signal;
use support::{http, until};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinSet,
    time::Instant,
};

/// Acknowledgements between two faults.
const BETWEEN: usize = 500;
/// How long a paused node stays so.
const PAUSE: Duration = Duration::from_secs(5);
/// Publishes that wait at a paused node.
const WAITING: usize = 20;

/// One scenario at a time: each takes the machine.
static TURN: Semaphore = Semaphore::const_new(1);

async fn turn() -> SemaphorePermit<'static> {
    TURN.acquire().await.expect("it is never closed")
}

/// Rounds of a scenario: as asked for, else few.
fn rounds(few: usize) -> usize {
    match std::env::var("HALLEY_FAULT_ROUNDS") {
        Ok(text) => text.parse().expect("HALLEY_FAULT_ROUNDS is a number"),
        Err(_) => few,
    }
}

/// Median and worst, for people.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    format!(
        "median {} ms, worst {} ms",
        median.as_millis(),
        worst.as_millis()
    )
}

async fn loaded() -> (Fleet, Load) {
    let fleet = Fleet::start().await;
    let load = Load::start(&fleet.replicas(), &fleet.edges()).await;
    (fleet, load)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_killed() {
    let _turn = turn().await;
    let (fleet, load) = loaded().await;
    let rounds = rounds(4);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let leader = fleet.leader().await;
        let pid = fleet.signal(&leader.name, Signal::KILL).await;
        let killed = Instant::now();
        let leads = |channel: &str| leader.leads(channel);
        times.push(load.first_since(killed, leads).await);
        fleet.back(&leader.name, pid).await;
        load.flows(BETWEEN).await;
    }
    let told = load.finish().await;
    println!(
        "faults: leader killed {rounds} times, to the next acknowledgement {}; {told}",
        figures(times)
    );
    if std::env::var_os("HALLEY_FAULT_SAID").is_some() {
        println!("{}", fleet.said());
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_killed_at_once() {
    let _turn = turn().await;
    let (fleet, load) = loaded().await;
    let rounds = rounds(1);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut before = Vec::new();
        for name in fleet.names() {
            before.push((fleet.signal(&name, Signal::KILL).await, name));
        }
        let killed = Instant::now();
        times.push(load.first_since(killed, |_| true).await);
        for (pid, name) in before {
            fleet.back(&name, pid).await;
        }
        load.flows(BETWEEN).await;
    }
    let told = load.finish().await;
    println!(
        "faults: all killed at once {rounds} times, to the next acknowledgement {}; {told}",
        figures(times)
    );
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_paused() {
    let _turn = turn().await;
    let (fleet, load) = loaded().await;
    let rounds = rounds(1);
    let mut times = Vec::new();
    for round in 0..rounds {
        let leader = fleet.leader().await;
        let pid = fleet.signal(&leader.name, Signal::STOP).await;
        let paused = Instant::now();
        let mut waiting = wait_at(&fleet, &leader.name, &load, round);
        let leads = |channel: &str| leader.leads(channel);
        times.push(load.first_since(paused, leads).await);
        tokio::time::sleep_until(paused + PAUSE).await;
        assert!(
            waiting.try_join_next().is_none(),
            "a paused node has answered"
        );
        support::process::send(pid, Signal::CONT);
        while let Some(acknowledged) = waiting.join_next().await {
            acknowledged.expect("no publish panicked");
        }
        caught_up(&fleet, &leader.name, &load).await;
        assert_eq!(
            fleet.pid(&leader.name),
            Some(pid),
            "a paused node goes on as the same process"
        );
        load.flows(BETWEEN).await;
    }
    let told = load.finish().await;
    println!(
        "faults: leader paused for {} s {rounds} times, to the next acknowledgement {}; {told}",
        PAUSE.as_secs(),
        figures(times)
    );
    fleet.stop().await;
}

/// Publishes at a paused node, each waiting for its answer there before it goes elsewhere with the same key.
fn wait_at(fleet: &Fleet, name: &str, load: &Load, round: usize) -> JoinSet<()> {
    let mut doors = fleet.replicas();
    let home = fleet.door_of(name);
    let mut publishes = JoinSet::new();
    doors.retain(|door| door.http != home.http);
    for number in 0..WAITING {
        let (doors, record) = (doors.clone(), Arc::clone(&load.record));
        publishes.spawn(async move {
            let id = format!("paused{round}-{number}");
            let channel = load::channel(number);
            load::publish_patiently(home, &doors, &channel, &id, &record).await;
        });
    }
    publishes
}

/// Waits until a node has what has been acknowledged by now.
async fn caught_up(fleet: &Fleet, name: &str, load: &Load) {
    let at = fleet.door_of(name).http;
    for number in 0..load::GROUPS * load::CHANNELS {
        let channel = load::channel(number);
        let head = load.record.head(&channel);
        let path = format!("/v1/history{channel}?since=last:1");
        until(&format!("{name} caught up"), async || {
            let history = http::get(at, &path, &[]).await.ok()?;
            let history = (history.status == 200).then(|| history.json())?;
            let newest = history["events"][0]["offset"].as_u64()?;
            (newest >= head).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_asked_to_end() {
    let _turn = turn().await;
    let (fleet, load) = loaded().await;
    let rounds = rounds(1);
    let mut gaps = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..rounds {
        let leader = fleet.leader().await;
        let asked = Instant::now();
        let clean = format!("{} ended (exit status: 0)", leader.name);
        let before = fleet.said().matches(&clean).count();
        let pid = fleet.signal(&leader.name, Signal::TERM).await;
        until("the end of the leader", async || {
            (fleet.pid(&leader.name) != Some(pid)).then_some(())
        })
        .await;
        ends.push(asked.elapsed());
        fleet.back(&leader.name, pid).await;
        assert_eq!(
            fleet.said().matches(&clean).count(),
            before + 1,
            "it ends with 0"
        );
        load.flows(BETWEEN).await;
        let leads = |channel: &str| leader.leads(channel);
        gaps.push(load.record.longest_gap(asked, leads));
    }
    let told = load.finish().await;
    println!(
        "faults: SIGTERM of the leader {rounds} times, longest gap between acknowledgements {}, \
         its end {}; {told}",
        figures(gaps),
        figures(ends)
    );
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_on_all() {
    let _turn = turn().await;
    if let Err(reason) = power::probe() {
        println!("SKIPPED power_cut_on_all: {reason}");
        return;
    }
    let mut powered = Powered::start().await;
    let load = Load::start(&powered.replicas(), &powered.edges()).await;
    let rounds = rounds(1);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let cut = powered.cut().await;
        powered.start_again();
        times.push(load.first_since(cut, |_| true).await);
        powered.ready().await;
        load.flows(BETWEEN).await;
    }
    let told = load.finish().await;
    println!(
        "faults: power cut on all {rounds} times, to the next acknowledgement {}; {told}",
        figures(times)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_fails_ends() {
    let _turn = turn().await;
    if let Err(reason) = power::probe() {
        println!("SKIPPED a_node_whose_disk_fails_ends: {reason}");
        return;
    }
    let mut powered = Powered::start().await;
    let load = Load::start(&powered.replicas(), &powered.edges()).await;
    load.flows(BETWEEN).await;
    for index in 0..fleet::REPLICAS {
        assert_eq!(powered.fail_disk(index).await, Some(70));
        load.flows(BETWEEN).await;
    }
    let told = load.finish().await;
    println!(
        "faults: the disk of each of {} failed; {told}",
        fleet::REPLICAS
    );
}
