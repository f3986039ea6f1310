//! Whether a node that came back with an empty disk takes the place of the id it had: the meta leader's decision.
//!
//! Invariant: an id is retired by itself only if its name is in the node table, its recorded address answers with the
//! new id, no group has heard it for long, all other voters have everything, and nothing else is changing.
//! In any other case the text says what is missing, and people may replace it by hand.

use std::time::Duration;

use halley_log::Standing;

use crate::{identity::NodeId, meta::Meta};

/// A group as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupOutlook {
    /// `meta`, or `shard 0`, ….
    pub(crate) name: String,
    /// How long nothing was heard of the old id: since this leader leads, at most.
    pub(crate) silence: Duration,
    /// Voters but the old one that lack something of the leader's log.
    pub(crate) behind: Vec<NodeId>,
    /// No membership change is under way in it.
    pub(crate) idle: bool,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Propose to replace `old` by the candidate.
    Replace {
        /// The voter whose disk is gone.
        old: NodeId,
    },
    /// Why not, for people.
    NotYet(String),
}

/// Whether the learner `candidate` replaces the voter of its name. `at_old_address` is who answered, just now, at the
/// address that the table has of that voter; `groups` are all groups, each as its leader sees it, or `None` for one
/// whose leader did not say.
#[must_use]
pub(crate) fn judge(
    meta: &Meta,
    candidate: NodeId,
    at_old_address: Option<NodeId>,
    groups: &[Option<GroupOutlook>],
    replace_after: Duration,
) -> Judgement {
    match reason(meta, candidate, at_old_address, groups, replace_after) {
        Ok(old) => Judgement::Replace { old },
        Err(why) => Judgement::NotYet(why),
    }
}

/// The voter that `candidate` would replace: the one that has its name.
///
/// # Errors
/// There is none, for people.
pub(crate) fn predecessor(meta: &Meta, candidate: NodeId) -> Result<NodeId, String> {
    let row = meta
        .node(candidate)
        .filter(|row| row.standing == Standing::Learner)
        .ok_or_else(|| format!("{candidate} is not a learner"))?;
    let mut named = meta
        .nodes()
        .iter()
        .filter(|(_, other)| other.standing == Standing::Voter && other.name == row.name)
        .map(|(id, _)| *id);
    match (named.next(), named.next()) {
        (Some(old), None) => Ok(old),
        (None, _) => Err(format!(
            "{} ({candidate}) stays a learner: no voter has its name; `halley cluster replace OLD {candidate}` puts \
             it in the place of one",
            row.name
        )),
        (Some(_), Some(_)) => Err(format!("several voters are called {}", row.name)),
    }
}

fn reason(
    meta: &Meta,
    candidate: NodeId,
    at_old_address: Option<NodeId>,
    groups: &[Option<GroupOutlook>],
    replace_after: Duration,
) -> Result<NodeId, String> {
    let old = predecessor(meta, candidate)?;
    let row = &meta.nodes()[&old];
    let name = &row.name;
    let stays = |why: String| Err(format!("{name} ({candidate}) stays a learner: {why}"));
    if let Some(change) = meta.change() {
        return stays(format!("another membership change is under way: {change}"));
    }
    let address = &row.addresses.peer;
    match at_old_address {
        Some(there) if there == candidate => {}
        Some(there) => {
            return stays(format!(
                "{address}, the address of {old}, is answered by {there}; `halley cluster replace {old} {candidate}` \
                 replaces it by hand"
            ));
        }
        None => {
            return stays(format!(
                "nobody answers at {address}, the address of {old}; `halley cluster replace {old} {candidate}` \
                 replaces it by hand"
            ));
        }
    }
    let (_, shards) = meta.cluster().ok_or("the cluster is not formed yet")?;
    let known: Vec<_> = groups.iter().flatten().collect();
    if known.len() != usize::from(shards.get()) + 1 {
        return stays("not every group has a leader that answers".into());
    }
    for group in known {
        let of = &group.name;
        if group.silence < replace_after {
            return stays(format!(
                "{of} may have heard {old} {} s ago, and it counts as gone after {} s",
                group.silence.as_secs(),
                replace_after.as_secs()
            ));
        }
        if !group.idle {
            return stays(format!("{of} is changing its members"));
        }
        if let Some(behind) = group.behind.iter().find(|node| **node != old) {
            return stays(format!("{behind} lacks entries of {of}, or is not heard"));
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests;
