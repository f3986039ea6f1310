//! Collections that are frozen by cloning: everything large is shared until it is written.
//!
//! Invariant: iteration order depends on the contents only, never on the history that led to them.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// Buckets of a [`Table`]: a frozen copy shares all of them, a write copies one.
const BUCKETS: usize = 4_096;
/// Entries of one chunk of an [`Ordered`].
const CHUNK: usize = 256;
/// A chunk of this size or less is joined with the next one, so that sparse ones do not pile up.
const CHUNK_SMALL: usize = CHUNK / 4;

/// What a [`Table`] holds: found by a hash, told apart by equality of keys.
pub(crate) trait Keyed {
    /// The key.
    type Key: Ord + ?Sized;
    /// Its hash; equal keys have equal hashes.
    fn hash(&self) -> u64;
    /// The key.
    fn key(&self) -> &Self::Key;
}

/// Entries by key, in buckets.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    buckets: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T: Keyed + Clone> Table<T> {
    /// An empty table.
    pub(crate) fn new() -> Self {
        let empty = Arc::new(Vec::new());
        Self {
            buckets: vec![empty; BUCKETS],
            len: 0,
        }
    }

    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn index(hash: u64) -> usize {
        (hash >> 52) as usize
    }

    fn find(bucket: &[T], hash: u64, key: &T::Key) -> Result<usize, usize> {
        bucket.binary_search_by(|entry| entry.hash().cmp(&hash).then_with(|| entry.key().cmp(key)))
    }

    /// The entry of `key`.
    pub(crate) fn get(&self, hash: u64, key: &T::Key) -> Option<&T> {
        let bucket = &self.buckets[Self::index(hash)];
        Self::find(bucket, hash, key)
            .ok()
            .map(|place| &bucket[place])
    }

    /// The entry of `key`, to be changed.
    pub(crate) fn get_mut(&mut self, hash: u64, key: &T::Key) -> Option<&mut T> {
        let bucket = &mut self.buckets[Self::index(hash)];
        let place = Self::find(bucket, hash, key).ok()?;
        Some(&mut Arc::make_mut(bucket)[place])
    }

    /// Puts an entry in the place of the one with its key.
    pub(crate) fn insert(&mut self, entry: T) -> Option<T> {
        let bucket = &mut self.buckets[Self::index(entry.hash())];
        let found = Self::find(bucket, entry.hash(), entry.key());
        let bucket = Arc::make_mut(bucket);
        match found {
            Ok(place) => Some(std::mem::replace(&mut bucket[place], entry)),
            Err(place) => {
                if bucket.len() == bucket.capacity() {
                    // Doubling would waste half of a million channels' slots.
                    bucket.reserve_exact(1 + bucket.len() / 8);
                }
                bucket.insert(place, entry);
                self.len += 1;
                None
            }
        }
    }

    /// Removes the entry of `key`.
    pub(crate) fn remove(&mut self, hash: u64, key: &T::Key) -> Option<T> {
        let bucket = &mut self.buckets[Self::index(hash)];
        let place = Self::find(bucket, hash, key).ok()?;
        self.len -= 1;
        Some(Arc::make_mut(bucket).remove(place))
    }

    /// All entries by hash, then key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }
}

/// Entries by number, in order.
///
/// Invariant: no chunk is empty; its key is at most its first number and above all of the chunk before.
#[derive(Clone, Debug)]
pub(crate) struct Ordered<T> {
    chunks: BTreeMap<u64, Arc<Vec<(u64, T)>>>,
    len: usize,
}

impl<T: Clone> Ordered<T> {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self {
            chunks: BTreeMap::new(),
            len: 0,
        }
    }

    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The lowest entry.
    pub(crate) fn first(&self) -> Option<(u64, &T)> {
        self.chunks
            .first_key_value()
            .map(|(_, chunk)| (chunk[0].0, &chunk[0].1))
    }

    /// The highest entry.
    pub(crate) fn last(&self) -> Option<(u64, &T)> {
        let (_, chunk) = self.chunks.last_key_value()?;
        chunk.last().map(|(number, value)| (*number, value))
    }

    /// The key of the chunk that holds `key`, or would.
    fn chunk_of(&self, key: u64) -> Option<u64> {
        self.chunks
            .range(..=key)
            .next_back()
            .map(|(first, _)| *first)
    }

    /// The entry numbered `key`.
    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        let chunk = &self.chunks[&self.chunk_of(key)?];
        let place = chunk
            .binary_search_by_key(&key, |(number, _)| *number)
            .ok()?;
        Some(&chunk[place].1)
    }

    /// Puts an entry in the place of the one with its number.
    pub(crate) fn insert(&mut self, key: u64, value: T) {
        let Some(first) = self.chunk_of(key) else {
            // Below everything: a chunk of its own, merged with nothing; numbers rise nearly always.
            self.chunks.insert(key, Arc::new(vec![(key, value)]));
            self.len += 1;
            return;
        };
        let chunk = self.chunks.get_mut(&first).expect("just found");
        match chunk.binary_search_by_key(&key, |(number, _)| *number) {
            Ok(place) => Arc::make_mut(chunk)[place].1 = value,
            Err(place) => {
                self.len += 1;
                if place == chunk.len() && chunk.len() >= CHUNK {
                    self.chunks.insert(key, Arc::new(vec![(key, value)]));
                    return;
                }
                let entries = Arc::make_mut(chunk);
                entries.insert(place, (key, value));
                if entries.len() > 2 * CHUNK {
                    let upper = entries.split_off(CHUNK);
                    self.chunks.insert(upper[0].0, Arc::new(upper));
                }
            }
        }
    }

    /// Removes the entry numbered `key`.
    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let first = self.chunk_of(key)?;
        let chunk = self.chunks.get_mut(&first).expect("just found");
        let place = chunk
            .binary_search_by_key(&key, |(number, _)| *number)
            .ok()?;
        self.len -= 1;
        if chunk.len() == 1 {
            let chunk = self.chunks.remove(&first).expect("just found");
            return Some(chunk[0].1.clone());
        }
        let entries = Arc::make_mut(chunk);
        let (_, value) = entries.remove(place);
        if entries.len() <= CHUNK_SMALL {
            self.join(first);
        }
        Some(value)
    }

    /// Joins a small chunk with the next one if they fit in one; frees its unused room.
    fn join(&mut self, first: u64) {
        let len = self.chunks[&first].len();
        let mut behind = self
            .chunks
            .range((Bound::Excluded(first), Bound::Unbounded));
        let next = behind.next().filter(|(_, next)| len + next.len() <= CHUNK);
        let next = next
            .map(|(key, _)| *key)
            .and_then(|key| self.chunks.remove(&key));
        let entries = Arc::make_mut(self.chunks.get_mut(&first).expect("it was just shrunk"));
        if let Some(next) = next {
            entries.extend(Arc::unwrap_or_clone(next));
        }
        if entries.capacity() > 4 * entries.len() {
            entries.shrink_to(2 * entries.len());
        }
    }

    /// Entries above `key`, in order.
    pub(crate) fn after(&self, key: u64) -> impl Iterator<Item = (u64, &T)> {
        let inside = self.chunk_of(key);
        let head = inside.map_or(&[][..], |first| {
            let chunk = &self.chunks[&first];
            &chunk[chunk.partition_point(|(number, _)| *number <= key)..]
        });
        let rest = self.chunks.range((Bound::Excluded(key), Bound::Unbounded));
        let rest = rest.flat_map(|(_, chunk)| chunk.iter());
        head.iter()
            .chain(rest)
            .map(|(number, value)| (*number, value))
    }

    /// All entries, the highest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = (u64, &T)> {
        let chunks = self.chunks.values().rev();
        chunks
            .flat_map(|chunk| chunk.iter().rev())
            .map(|(number, value)| (*number, value))
    }
}

#[cfg(test)]
mod tests;
