//! What stands in the way of a formation, in words for people; whether an offer may be taken.
//!
//! Invariant: every way in which a formation does not go on has a text here that says what to do.

use std::time::Duration;

use halley_shard::ShardCount;

use super::{
    Formation, FormationRecord, Greeting, Own, Phase,
    hearing::{Heard, NAMESAKE_AFTER},
};
use crate::identity::NodeId;

const RESET: &str = "stop all of these nodes, run `halley cluster form --reset` on each of those that hold \
                     the record, and start them again";

/// What the disk and the settings alone forbid.
pub(super) fn at_start(own: &Own, members: &[String], shards: ShardCount) -> Option<String> {
    if own.cluster.is_some() {
        return None;
    }
    if let Some(pair) = members.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("bootstrap.members names {} twice", pair[0]));
    }
    let Some(record) = &own.record else {
        let lost = "the directory holds a log, but its identity names no cluster: put it aside and start again \
                    as a new node";
        return own.has_data.then(|| lost.into());
    };
    if !record.names(&own.name, own.node) {
        return Some(format!(
            "this node is now called {}, and it holds the record of {record}: give it its old name back",
            own.name
        ));
    }
    let listed = members.iter().map(String::as_str);
    if !record.member_names().eq(listed) || record.shards != shards {
        return Some(format!(
            "the formation of {record} with {} shards was begun and is not over, and the settings now say {} with {} \
             shards: put bootstrap.members and shards back, or {RESET}",
            record.shards.get(),
            members.join(", "),
            shards.get(),
        ));
    }
    None
}

/// What a greeting rules out for good.
pub(super) fn greeting(machine: &Formation, heard: &Greeting) -> Option<String> {
    let who = format!("{} ({})", heard.name, heard.node);
    if let Some(record) = machine.record() {
        let member = record.names(&heard.name, heard.node);
        let other = heard.record.as_ref().filter(|other| *other != record);
        if let Some(other) = other.filter(|_| member) {
            return Some(format!(
                "the formation was cut short by a lost disk: this node holds the record of {record}, {who} that of \
                 {other}; {RESET}"
            ));
        }
        let foreign = heard.cluster.filter(|other| *other != record.cluster);
        if let Some(foreign) = foreign.filter(|_| record.id_of(&heard.name).is_some()) {
            return Some(format!(
                "{who} belongs to cluster {:016x}, and this node holds the record of {record}: stop this node, run \
                 `halley cluster form --reset` on it, and start it to join that cluster",
                foreign.get()
            ));
        }
    }
    match (machine.hash, heard.hash, heard.cluster) {
        (Some(own), Some(other), None) if own != other => Some(format!(
            "bootstrap.members, shards or the replicated settings differ: {} has hash {own}, {who} has hash {other}; \
             make them the same on every node",
            machine.own.name
        )),
        _ => None,
    }
}

fn namesakes(machine: &Formation) -> Option<String> {
    let own = &machine.own.name;
    let names = machine.members.iter().chain([own]);
    for name in names {
        let ids = |a: NodeId, b: NodeId| {
            format!("two nodes are called {name}: {a} and {b}; give one of them another name")
        };
        if name != own {
            if let Some((a, b)) = machine.hearing.namesakes(name) {
                return Some(ids(a.greeting.node, b.greeting.node));
            }
        } else if let Some(other) = machine.hearing.latest(name)
            && other.last >= machine.started + NAMESAKE_AFTER
        {
            return Some(ids(machine.own.node, other.greeting.node));
        }
    }
    None
}

/// Why an empty node must stop.
pub(super) fn seeking(machine: &Formation) -> Option<String> {
    let mut clusters = machine.clusters.iter();
    if let (Some((a, who)), Some((b, other))) = (clusters.next(), clusters.next()) {
        return Some(format!(
            "two clusters are found: {who} belongs to {:016x}, {other} to {:016x}; leave one of them out of the \
             addresses of this node",
            a.get(),
            b.get()
        ));
    }
    machine
        .clusters
        .is_empty()
        .then(|| namesakes(machine))
        .flatten()
}

/// Why a node that holds `record` must stop.
pub(super) fn holding(
    machine: &Formation,
    record: &FormationRecord,
    now: Duration,
) -> Option<String> {
    if let Some(text) = namesakes(machine) {
        return Some(text);
    }
    // Somebody who is not here may know that the cluster has begun: then nothing is lost.
    let all_heard = record
        .member_names()
        .all(|name| name == machine.own.name || machine.hearing.fresh(name, now).next().is_some());
    let (name, old, new) = replaced(machine, record, now)?;
    let sure = new.first + NAMESAKE_AFTER <= now && all_heard;
    sure.then(|| {
        format!(
            "the formation was cut short by a lost disk: the record of {record} names {old} as {name}, and {} answers \
             there; {RESET}",
            new.greeting.node
        )
    })
}

/// A member whose name answers only with another id than the record's.
fn replaced<'a>(
    machine: &'a Formation,
    record: &'a FormationRecord,
    now: Duration,
) -> Option<(&'a str, NodeId, &'a Heard)> {
    record.members.iter().find_map(|(name, id)| {
        let there = machine.hearing.only(name, now)?;
        (there.greeting.node != *id && *id != machine.own.node).then_some((
            name.as_str(),
            *id,
            there,
        ))
    })
}

/// All founders by name, this node included, when each of them is there, empty, and of one mind.
pub(super) fn founders(machine: &Formation, now: Duration) -> Option<Vec<(String, NodeId)>> {
    let founder = |name: &String| {
        if *name == machine.own.name {
            return Some((name.clone(), machine.own.node));
        }
        let greeting = &machine.hearing.only(name, now)?.greeting;
        let ready = greeting.empty
            && greeting.hash == machine.hash
            && greeting.record.is_none()
            && greeting.cluster.is_none();
        ready.then(|| (name.clone(), greeting.node))
    };
    machine.members.iter().map(founder).collect()
}

/// Whether an empty node may store what it is offered.
pub(super) fn offer(
    machine: &Formation,
    from: &Greeting,
    record: &FormationRecord,
    now: Duration,
) -> Result<(), String> {
    let own = &machine.own;
    let listed = machine.members.iter().map(String::as_str);
    if machine.hash.is_none() || from.hash != machine.hash || !record.member_names().eq(listed) {
        return Err("it founds another list than this node's".into());
    }
    if record.shards != machine.shards || record.proposer != from.node {
        return Err("it is not what its proposer would draw".into());
    }
    if !record.names(&own.name, own.node) {
        return Err(format!("it does not name {} as {}", own.node, own.name));
    }
    if let Some(who) = machine.clusters.values().next() {
        return Err(format!("{who} already belongs to a cluster"));
    }
    match replaced(machine, record, now) {
        Some((name, old, new)) => Err(format!(
            "it names {old} as {name}, where {} answers",
            new.greeting.node
        )),
        None => Ok(()),
    }
}

/// What is waited for.
pub(super) fn waiting(machine: &Formation, now: Duration) -> Option<String> {
    match &machine.phase {
        Phase::Seeking => Some(unformed(machine, now)),
        Phase::Storing(record) => Some(format!("writes the record of {record}")),
        Phase::Holding(record) => Some(unstored(machine, record, now)),
        Phase::Attending(record, _) => Some(format!("waits for {record} to begin")),
        Phase::Initialising => Some("waits for a majority of the new cluster".into()),
        Phase::Joining => Some("joins the cluster that was found".into()),
        Phase::Settled => None,
        Phase::Stopped => Some("stopped: a person must act".into()),
    }
}

fn unformed(machine: &Formation, now: Duration) -> String {
    if !machine.listed() {
        return "no cluster yet: this node is not in bootstrap.members and waits for a cluster to join".into();
    }
    let others = machine
        .members
        .iter()
        .filter(|name| **name != machine.own.name);
    let mut missing = Vec::new();
    let mut held = Vec::new();
    for name in others {
        match machine.hearing.fresh(name, now).last() {
            None => missing.push(name.as_str()),
            Some(heard) => held.extend(heard.greeting.record.as_ref().map(|record| (name, record))),
        }
    }
    let mut text = String::from("no cluster yet");
    if !missing.is_empty() {
        text += &format!("; waiting for {}", missing.join(", "));
    }
    let own = &machine.own;
    for (name, record) in &held {
        if record.names(&own.name, own.node) {
            text += &format!("; {name} holds the record of {record} and has yet to offer it");
        } else {
            text += &format!(
                "; {name} holds the record of {record}, which does not name {} as {}: the formation was cut short by \
                 a lost disk; {RESET}",
                own.node, own.name
            );
        }
    }
    if missing.is_empty() && held.is_empty() {
        text += "; all listed nodes are there, the one of the lowest id draws the record";
    }
    text
}

fn unstored(machine: &Formation, record: &FormationRecord, now: Duration) -> String {
    let others = record
        .members
        .iter()
        .filter(|(_, id)| *id != machine.own.node && !machine.holders.contains(id));
    let mut text = format!("no cluster yet; this node holds the record of {record}");
    for (name, id) in others {
        if machine.hearing.only(name, now).is_none() {
            text += &format!("; waiting for {name} ({id}); if its disk is lost, {RESET}");
        } else {
            text += &format!("; {name} ({id}) has yet to store it");
        }
    }
    if let Some((name, old, new)) = replaced(machine, record, now) {
        text += &format!(
            "; {} answers as {name} where the record names {old}: if no other node begins the cluster, {RESET}",
            new.greeting.node
        );
    }
    text
}
