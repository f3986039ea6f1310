//! Who was heard lately, under which name, from where.
//!
//! Invariant: at most [`IDS_MAX`] ids are remembered of a name, and only names that the caller cares for.

use std::{collections::BTreeMap, time::Duration};

use super::Greeting;
use crate::identity::NodeId;

/// A node that was heard this long ago is there.
pub(super) const FRESH: Duration = Duration::from_secs(3);
/// Longer than any message is under way: an id heard this long after another one of its name is alive beside it,
/// and not a late word of a disk that is gone.
pub(super) const NAMESAKE_AFTER: Duration = Duration::from_secs(10);
const IDS_MAX: usize = 4;

/// What was heard of one id.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// Its newest words.
    pub(super) greeting: Greeting,
    /// Where it answers, once it has.
    pub(super) address: Option<String>,
    /// When it was first heard.
    pub(super) first: Duration,
    /// When it was last heard.
    pub(super) last: Duration,
}

impl Heard {
    fn fresh(&self, now: Duration) -> bool {
        self.last + FRESH >= now
    }
}

/// Everybody who was heard, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Hearing(BTreeMap<String, Vec<Heard>>);

impl Hearing {
    /// Notes what came (as an answer from `address`).
    pub(super) fn note(&mut self, address: Option<&str>, greeting: &Greeting, now: Duration) {
        let ids = self.0.entry(greeting.name.clone()).or_default();
        if let Some(heard) = ids
            .iter_mut()
            .find(|heard| heard.greeting.node == greeting.node)
        {
            heard.greeting.clone_from(greeting);
            heard.last = now;
            if let Some(address) = address {
                heard.address = Some(address.into());
            }
            return;
        }
        if ids.len() == IDS_MAX {
            let oldest = (0..ids.len()).min_by_key(|index| ids[*index].last);
            ids.remove(oldest.expect("there are IDS_MAX of them"));
        }
        ids.push(Heard {
            greeting: greeting.clone(),
            address: address.map(Into::into),
            first: now,
            last: now,
        });
    }

    fn ids(&self, name: &str) -> &[Heard] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The ids that are there under `name`.
    pub(super) fn fresh(&self, name: &str, now: Duration) -> impl Iterator<Item = &Heard> {
        self.ids(name).iter().filter(move |heard| heard.fresh(now))
    }

    /// The one id that is there under `name`; `None` when none is, or several are.
    pub(super) fn only(&self, name: &str, now: Duration) -> Option<&Heard> {
        let mut fresh = self.fresh(name, now);
        fresh.next().filter(|_| fresh.next().is_none())
    }

    /// What was heard of `node`.
    pub(super) fn of(&self, name: &str, node: NodeId) -> Option<&Heard> {
        self.ids(name)
            .iter()
            .find(|heard| heard.greeting.node == node)
    }

    /// Who was heard last under `name`.
    pub(super) fn latest(&self, name: &str) -> Option<&Heard> {
        self.ids(name).iter().max_by_key(|heard| heard.last)
    }

    /// Two ids that live under `name`, the older acquaintance first.
    pub(super) fn namesakes(&self, name: &str) -> Option<(&Heard, &Heard)> {
        let ids = self.ids(name);
        let beside =
            |a: &Heard, b: &Heard| a.first <= b.first && a.last >= b.first + NAMESAKE_AFTER;
        let pairs = ids.iter().flat_map(|a| ids.iter().map(move |b| (a, b)));
        pairs
            .into_iter()
            .find(|(a, b)| a.greeting.node != b.greeting.node && beside(a, b))
    }
}
