//! Letting go of channels, and what is remembered of their names.

use crate::{
    Change, ChannelName, Floor, Forgotten, Reply, Shard,
    cow::Ordered,
    limits,
    state::News,
    windows::{Tombstone, Tombstones},
};

/// Tombstones in the order of their making, by the hash of the name.
#[derive(Clone, Debug)]
pub(crate) struct Graves {
    pub(crate) by_age: Ordered<u64>,
    pub(crate) made: u64,
    /// How many are kept: [`limits::TOMBSTONES_MAX`], less in tests.
    pub(crate) kept: usize,
}

impl Graves {
    pub(crate) fn new() -> Self {
        Self {
            by_age: Ordered::new(),
            made: 0,
            kept: limits::TOMBSTONES_MAX,
        }
    }
}

impl Shard {
    /// This shard keeping only so many tombstones, for tests of what happens beyond.
    #[doc(hidden)]
    #[must_use]
    pub fn with_tombstones(mut self, kept: usize) -> Self {
        self.graves.kept = kept;
        self
    }

    /// Drops a channel at somebody's wish.
    pub(crate) fn delete(&mut self, channel: &ChannelName, news: &mut News) -> Reply {
        let existed = self.windows.window(channel).is_some();
        if existed {
            self.erase(channel, news);
        }
        Reply::Deleted {
            existed,
            revision: self.windows.head(),
        }
    }

    /// Erases channels until `wanted` more fit: the longest-empty first, then the one with the oldest event.
    pub(crate) fn make_room(&mut self, wanted: usize, news: &mut News) {
        let bound = usize::try_from(self.settings.channels_max)
            .unwrap_or(usize::MAX)
            .max(wanted);
        while self.windows.len() + wanted > bound {
            let empty = self.empties.first().map(|(_, name)| name.clone());
            let oldest = || self.windows.oldest().map(|event| event.channel().clone());
            let Some(name) = empty.or_else(oldest) else {
                return;
            };
            self.erase(&name, news);
        }
    }

    fn erase(&mut self, channel: &ChannelName, news: &mut News) {
        if let Some(window) = self.windows.window(channel)
            && window.oldest().is_none()
        {
            self.empties.remove(window.floor().revision.get());
        }
        let Some(floor) = self.windows.close(channel) else {
            return;
        };
        self.bury(channel.hash64(), floor);
        self.take_revision();
        news.0.push(Change::Erased {
            channel: channel.clone(),
            floor,
        });
        let forgotten = self.windows.forgotten();
        let erased = forgotten.erased.max(floor.revision);
        self.windows.forget(Forgotten {
            erased,
            ..forgotten
        });
        self.drop_oldest_tombstones();
        if self.windows.forgotten() != forgotten {
            news.0.push(Change::Forgotten(self.windows.forgotten()));
        }
    }

    /// Remembers an erased name. Two names of one hash share a tombstone, the larger numbers count.
    fn bury(&mut self, hash: u64, floor: Floor) {
        self.graves.made += 1;
        let age = self.graves.made;
        let Tombstones::All(stones) = self.windows.tombstones_mut() else {
            return;
        };
        let before = stones.remove(hash, &hash);
        let floor = before.as_ref().map_or(floor, |stone| Floor {
            offset: floor.offset.max(stone.floor.offset),
            revision: floor.revision.max(stone.floor.revision),
        });
        stones.insert(Tombstone { hash, floor, age });
        if let Some(stone) = before {
            self.graves.by_age.remove(stone.age);
        }
        self.graves.by_age.insert(age, hash);
    }

    fn drop_oldest_tombstones(&mut self) {
        let mut forgotten = self.windows.forgotten();
        let mut dropped = false;
        while self.graves.by_age.len() > self.graves.kept
            && let Some((age, hash)) = self.graves.by_age.first().map(|(age, hash)| (age, *hash))
        {
            self.graves.by_age.remove(age);
            let Tombstones::All(stones) = self.windows.tombstones_mut() else {
                return;
            };
            if let Some(stone) = stones.remove(hash, &hash) {
                forgotten.revision = forgotten.revision.max(stone.floor.revision);
                forgotten.offset = forgotten.offset.max(stone.floor.offset);
                dropped = true;
            }
        }
        if dropped {
            self.take_revision();
            self.windows.forget(forgotten);
        }
    }
}
