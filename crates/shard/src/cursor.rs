//! A subscription's place: per shard, how much of its log has been seen.
//!
//! The text form is `wire`'s. Invariant: shards are sorted and named once.

use crate::{ClusterId, Revision, ShardId};

/// Everything of a subscription up to here has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    cluster: ClusterId,
    positions: Positions,
    /// Shards with a gap still to be told beyond their position, and the head of the copy that knew of it:
    /// an older copy might not know, and pass over what is gone. Sorted; empty for most cursors.
    as_of: Vec<(ShardId, Revision)>,
}

/// One shard needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Positions {
    One([(ShardId, Revision); 1]),
    Many(Vec<(ShardId, Revision)>),
}

/// Where a subscription starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// With what comes next.
    Latest,
    /// With the oldest retained event.
    Earliest,
    /// With the newest `N` retained events of the subscription taken together, 1 to 1,000.
    Last(u16),
    /// Right behind what was seen.
    Cursor(Cursor),
}

impl Cursor {
    /// A cursor over `positions`, in any order.
    #[must_use]
    pub fn new(
        cluster: ClusterId,
        positions: impl IntoIterator<Item = (ShardId, Revision)>,
    ) -> Self {
        let mut many: Vec<_> = positions.into_iter().collect();
        many.sort_unstable();
        many.dedup_by_key(|(shard, _)| *shard);
        let positions = match many[..] {
            [one] => Positions::One([one]),
            _ => Positions::Many(many),
        };
        Self {
            cluster,
            positions,
            as_of: Vec::new(),
        }
    }

    /// A cursor over one shard.
    #[must_use]
    pub fn single(cluster: ClusterId, shard: ShardId, revision: Revision) -> Self {
        Self {
            cluster,
            positions: Positions::One([(shard, revision)]),
            as_of: Vec::new(),
        }
    }

    /// The history it belongs to.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The places, by shard.
    #[must_use]
    pub fn positions(&self) -> &[(ShardId, Revision)] {
        match &self.positions {
            Positions::One(one) => one,
            Positions::Many(many) => many,
        }
    }

    /// What has been seen of `shard`; `None` when the cursor does not name it.
    #[must_use]
    pub fn get(&self, shard: ShardId) -> Option<Revision> {
        let positions = self.positions();
        let index = positions
            .binary_search_by_key(&shard, |(shard, _)| *shard)
            .ok()?;
        Some(positions[index].1)
    }

    /// This cursor with `shard` at `revision`.
    pub fn set(&mut self, shard: ShardId, revision: Revision) {
        if let Positions::One([(only, place)]) = &mut self.positions
            && *only == shard
        {
            *place = revision;
            return;
        }
        if let Positions::Many(many) = &mut self.positions
            && let Ok(index) = many.binary_search_by_key(&shard, |(shard, _)| *shard)
        {
            many[index].1 = revision;
            return;
        }
        let mut many = self.positions().to_vec();
        many.push((shard, revision));
        self.positions = Self::new(self.cluster, many).positions;
    }

    /// The head that a copy of `shard` must have reached to be read from here, where that is more than the
    /// position: a gap beyond it was known there, which an older copy might pass over.
    #[must_use]
    pub fn as_of(&self, shard: ShardId) -> Option<Revision> {
        let found = self.as_of.iter().find(|(named, _)| *named == shard);
        found.map(|(_, head)| *head)
    }

    /// Names or drops the head that a copy of `shard` must have reached.
    pub fn set_as_of(&mut self, shard: ShardId, head: Option<Revision>) {
        self.as_of.retain(|(named, _)| *named != shard);
        if let Some(head) = head {
            self.as_of.push((shard, head));
            self.as_of.sort_unstable();
        }
    }

    /// The head that a copy of `shard` must have reached to be read from here; zero for a shard not named.
    #[must_use]
    pub fn least(&self, shard: ShardId) -> Revision {
        let seen = self.get(shard).unwrap_or_default();
        self.as_of(shard).map_or(seen, |head| head.max(seen))
    }

    /// Whether the positions say everything: true but for readers below a gap still to be told.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.as_of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId::new(7);

    fn place(shard: u16, revision: u64) -> (ShardId, Revision) {
        (ShardId::new(shard), Revision::new(revision))
    }

    #[test]
    fn shards_are_sorted_and_named_once() {
        let cursor = Cursor::new(CLUSTER, [place(2, 5), place(0, 3), place(2, 4)]);
        // Of two places in one shard the lower counts: told again rather than lost.
        assert_eq!(cursor.positions(), [place(0, 3), place(2, 4)]);
        assert_eq!(cursor.get(ShardId::new(2)), Some(Revision::new(4)));
        assert_eq!(cursor.get(ShardId::new(1)), None);
        assert_eq!(cursor.cluster(), CLUSTER);
    }

    #[test]
    fn one_place_has_one_form() {
        let (shard, revision) = place(3, 9);
        let single = Cursor::single(CLUSTER, shard, revision);
        assert_eq!(Cursor::new(CLUSTER, [(shard, revision)]), single);
        let mut set = Cursor::new(CLUSTER, []);
        set.set(shard, revision);
        assert_eq!(set, single);
    }

    #[test]
    fn places_are_replaced_or_added() {
        let mut cursor = Cursor::new(CLUSTER, []);
        for (shard, revision) in [
            place(1, 1),
            place(1, 2),
            place(0, 8),
            place(5, 5),
            place(0, 9),
        ] {
            cursor.set(shard, revision);
        }
        assert_eq!(cursor.positions(), [place(0, 9), place(1, 2), place(5, 5)]);
    }
}
