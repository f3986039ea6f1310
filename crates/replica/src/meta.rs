//! The cluster's own state: what its own group replicates.
//!
//! Cluster id, shard count, the *desired* settings, feature level, node table, desired voters, and at most one
//! membership change under way. Invariants: [`Meta::apply`] reads its command and this state, nothing else,
//! so that equal logs make equal states, to the byte of [`Meta::encode`]; a refusal changes nothing; a retired id
//! never comes back; the membership of the groups follows this one, never the reverse.

use std::collections::{BTreeMap, BTreeSet};

use halley_log::Standing;
use halley_shard::{ClusterId, Settings, ShardCount};

use crate::{
    Addresses,
    formation::FormationRecord,
    identity::{Incarnation, NodeId},
};

mod codec;
mod command;

pub(crate) use command::{About, Change, ChangeKind, MetaCommand, MetaRefusal, MetaReply, Process};

/// The feature level of a new cluster; every program of this series knows it.
pub(crate) const FIRST_LEVEL: u32 = 1;

/// A row of the node table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    /// Its name.
    pub(crate) name: String,
    /// Where it says it is; empty texts before it has said so.
    pub(crate) addresses: Addresses,
    /// What it may do once every group has followed.
    pub(crate) standing: Standing,
    /// The start of its disk that announced itself last; zero before any has.
    pub(crate) incarnation: Incarnation,
    /// The process of that start.
    pub(crate) process: Process,
    /// The highest feature level that it knows; zero before it has said so.
    pub(crate) level: u32,
}

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    cluster: Option<(ClusterId, ShardCount)>,
    settings: Settings,
    level: u32,
    nodes: BTreeMap<NodeId, NodeRecord>,
    change: Option<Change>,
    /// Changes begun so far.
    changes: u64,
}

impl Meta {
    /// The cluster and its shards; `None` before [`MetaCommand::Form`].
    #[must_use]
    pub(crate) const fn cluster(&self) -> Option<(ClusterId, ShardCount)> {
        self.cluster
    }

    /// The settings that every shard should have.
    #[must_use]
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The feature level that every shard should have.
    #[must_use]
    pub(crate) const fn level(&self) -> u32 {
        self.level
    }

    /// The node table, by id; retired nodes stay in it.
    #[must_use]
    pub(crate) const fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.nodes
    }

    /// The row of `node`.
    #[must_use]
    pub(crate) fn node(&self, node: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&node)
    }

    fn standing(&self, standing: Standing) -> impl Iterator<Item = NodeId> {
        let of = move |record: &NodeRecord| record.standing == standing;
        self.nodes
            .iter()
            .filter(move |(_, record)| of(record))
            .map(|(id, _)| *id)
    }

    /// Who should vote in every group.
    #[must_use]
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.standing(Standing::Voter).collect()
    }

    /// Who should take the entries of every group and not vote.
    #[must_use]
    pub(crate) fn learners(&self) -> BTreeSet<NodeId> {
        self.standing(Standing::Learner).collect()
    }

    /// Whether `node` was replaced. Its votes and answers count in a group until that group has followed
    /// ([`Meta::change`]); anything else of it is refused from the start.
    #[must_use]
    pub(crate) fn is_retired(&self, node: NodeId) -> bool {
        self.node(node)
            .is_some_and(|record| record.standing == Standing::Retired)
    }

    /// The membership change that not every group has reached yet.
    #[must_use]
    pub(crate) const fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// The node that people mean by `text`, a name or 16 hexadecimal digits. Of several nodes of a name, those that
    /// are retired do not count.
    ///
    /// # Errors
    /// Nobody is meant, or several are; for people.
    pub(crate) fn find(&self, text: &str) -> Result<NodeId, String> {
        if let Ok(id) = text.parse::<NodeId>()
            && self.nodes.contains_key(&id)
        {
            return Ok(id);
        }
        let living = |record: &NodeRecord| record.standing != Standing::Retired;
        let named: Vec<_> = self
            .nodes
            .iter()
            .filter(|(_, record)| record.name == text && living(record))
            .map(|(id, _)| *id)
            .collect();
        match named.as_slice() {
            [id] => Ok(*id),
            [] => Err(format!("no node is called {text}, and none has that id")),
            several => {
                let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(format!(
                    "several nodes are called {text}: name one by its id, {}",
                    ids.join(" or ")
                ))
            }
        }
    }

    /// Carries out `command`.
    pub(crate) fn apply(&mut self, command: &MetaCommand) -> MetaReply {
        let done = match command {
            MetaCommand::Form { record, settings } => self.form(record, settings),
            _ if self.cluster.is_none() => Err(MetaRefusal::NotFormed),
            MetaCommand::Announce { node, about } => self.announce(*node, about),
            MetaCommand::Join { node, about } => self.join(*node, about),
            MetaCommand::Replace { old, new } => self.replace(*old, *new),
            MetaCommand::ChangeDone { number } => {
                self.change.take_if(|change| change.number == *number);
                Ok(())
            }
            MetaCommand::SetSettings {
                instead_of,
                settings,
            } => self.set(instead_of, settings),
            MetaCommand::RaiseLevel { level } => self.raise(*level),
        };
        done.map_or_else(MetaReply::Refused, |()| MetaReply::Done)
    }

    fn form(&mut self, record: &FormationRecord, settings: &Settings) -> Result<(), MetaRefusal> {
        if let Some((cluster, _)) = self.cluster {
            return if cluster == record.cluster {
                Ok(())
            } else {
                Err(MetaRefusal::Formed { cluster })
            };
        }
        self.cluster = Some((record.cluster, record.shards));
        self.settings = settings.clone();
        self.level = FIRST_LEVEL;
        let rows = record.members.iter().map(|(name, id)| {
            let record = NodeRecord {
                name: name.clone(),
                addresses: Addresses::default(),
                standing: Standing::Voter,
                incarnation: Incarnation::ZERO,
                process: Process::default(),
                level: 0,
            };
            (*id, record)
        });
        self.nodes = rows.collect();
        Ok(())
    }

    fn set(&mut self, instead_of: &Settings, settings: &Settings) -> Result<(), MetaRefusal> {
        if self.settings != *settings && self.settings != *instead_of {
            return Err(MetaRefusal::OtherSettings);
        }
        self.settings = settings.clone();
        Ok(())
    }

    fn announce(&mut self, node: NodeId, about: &About) -> Result<(), MetaRefusal> {
        let level = self.level;
        let record = self
            .nodes
            .get_mut(&node)
            .ok_or(MetaRefusal::Unknown { node })?;
        if record.standing == Standing::Retired {
            return Err(MetaRefusal::Retired { node });
        }
        let again = (about.incarnation, about.process) == (record.incarnation, record.process);
        if about.incarnation <= record.incarnation && !again {
            let known = record.incarnation;
            return Err(MetaRefusal::OldIncarnation { node, known });
        }
        if about.level < level {
            return Err(MetaRefusal::OldProgram { level });
        }
        about.name.clone_into(&mut record.name);
        record.addresses = about.addresses.clone();
        record.incarnation = about.incarnation;
        record.process = about.process;
        record.level = about.level;
        Ok(())
    }

    fn join(&mut self, node: NodeId, about: &About) -> Result<(), MetaRefusal> {
        if self.nodes.contains_key(&node) {
            return self.announce(node, about);
        }
        if about.level < self.level {
            return Err(MetaRefusal::OldProgram { level: self.level });
        }
        self.begin(ChangeKind::Join { node })?;
        let record = NodeRecord {
            name: about.name.clone(),
            addresses: about.addresses.clone(),
            standing: Standing::Learner,
            incarnation: about.incarnation,
            process: about.process,
            level: about.level,
        };
        self.nodes.insert(node, record);
        Ok(())
    }

    fn replace(&mut self, old: NodeId, new: NodeId) -> Result<(), MetaRefusal> {
        let standing = |node| self.node(node).map(|record| record.standing);
        if self.change.is_none() {
            // Sent again after the first was carried out, all the way.
            let done = (Some(Standing::Retired), Some(Standing::Voter));
            if (standing(old), standing(new)) == done {
                return Ok(());
            }
        }
        if standing(old) != Some(Standing::Voter) {
            return Err(MetaRefusal::NotAVoter { node: old });
        }
        if standing(new) != Some(Standing::Learner) {
            return Err(MetaRefusal::NotALearner { node: new });
        }
        self.begin(ChangeKind::Replace { old, new })?;
        let name = self.nodes[&new].name.clone();
        for (id, record) in &mut self.nodes {
            // Earlier disks of that name which never voted are gone with the old one.
            let earlier = record.standing == Standing::Learner && record.name == name;
            if *id == new {
                record.standing = Standing::Voter;
            } else if *id == old || earlier {
                record.standing = Standing::Retired;
            }
        }
        Ok(())
    }

    fn begin(&mut self, kind: ChangeKind) -> Result<(), MetaRefusal> {
        if let Some(change) = &self.change {
            return Err(MetaRefusal::Busy {
                change: change.clone(),
            });
        }
        self.changes += 1;
        self.change = Some(Change {
            number: self.changes,
            kind,
        });
        Ok(())
    }

    fn raise(&mut self, level: u32) -> Result<(), MetaRefusal> {
        if level < self.level {
            return Err(MetaRefusal::LevelFalls { level: self.level });
        }
        let behind = self
            .voters()
            .into_iter()
            .find(|node| self.nodes[node].level < level);
        match behind {
            Some(node) => Err(MetaRefusal::NotAnnounced { node, level }),
            None => {
                self.level = level;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
