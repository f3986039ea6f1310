//! Many windows and the order across them: what a [`crate::Reader`] reads.
//!
//! A shard has one of all its channels; a hub has one of the channels that somebody reads. Both are moved
//! by the same calls in revision order, so that a reader cannot tell them apart. Invariant: `index` holds
//! every retained event once, by revision; `floors` every window whose floor is above zero.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Change, Changes, ChannelName, ChannelPattern, Event, Floor, Forgotten, Interest, Retained,
    Revision, Window,
    cow::{Keyed, Ordered, Table},
};

/// Windows by channel, their events in revision order, and what is known of channels without a window.
#[derive(Clone, Debug)]
pub struct Windows<E> {
    /// `None`: a complete copy, which holds everything.
    held: Option<Held>,
    channels: Table<Arc<Entry<E>>>,
    index: Ordered<E>,
    floors: Ordered<ChannelName>,
    /// Floors of names without a window.
    tombstones: Tombstones,
    head: Revision,
    forgotten: Forgotten,
    bytes: u64,
}

/// What a partial copy holds.
#[derive(Clone, Debug, Default)]
struct Held {
    channels: BTreeSet<ChannelName>,
    patterns: BTreeSet<ChannelPattern>,
}

/// A complete copy knows hashes, of all names; a partial one names, of those held by name.
#[derive(Clone, Debug)]
pub(crate) enum Tombstones {
    All(Table<Tombstone>),
    Held(BTreeMap<ChannelName, Floor>),
}

#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) hash: u64,
    pub(crate) floor: Floor,
    /// Its place among all tombstones, oldest first.
    pub(crate) age: u64,
}

impl Keyed for Tombstone {
    type Key = u64;
    fn hash(&self) -> u64 {
        self.hash
    }
    fn key(&self) -> &u64 {
        &self.hash
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry<E> {
    pub(crate) name: ChannelName,
    hash: u64,
    pub(crate) window: Window<E>,
}

impl<E> Keyed for Arc<Entry<E>> {
    type Key = ChannelName;
    fn hash(&self) -> u64 {
        self.hash
    }
    fn key(&self) -> &ChannelName {
        &self.name
    }
}

/// What a copy knows of a name.
#[derive(Debug)]
pub enum Lookup<'a, E> {
    /// The channel exists here.
    Window(&'a Window<E>),
    /// It does not exist; this much of it is gone.
    Tombstone(Floor),
    /// It does not exist and nothing is remembered of it.
    Absent,
    /// This copy does not hold that name (yet).
    NotHeld,
}

impl<E: Retained> Windows<E> {
    fn new(held: Option<Held>, tombstones: Tombstones) -> Self {
        Self {
            held,
            channels: Table::new(),
            index: Ordered::new(),
            floors: Ordered::new(),
            tombstones,
            head: Revision::ZERO,
            forgotten: Forgotten::default(),
            bytes: 0,
        }
    }

    /// A copy of everything, empty.
    #[must_use]
    pub fn complete() -> Self {
        Self::new(None, Tombstones::All(Table::new()))
    }

    /// A copy of what is held only, holding nothing yet.
    #[must_use]
    pub fn partial() -> Self {
        Self::new(Some(Held::default()), Tombstones::Held(BTreeMap::new()))
    }

    /// Everything up to here has been applied to this copy.
    #[must_use]
    pub fn head(&self) -> Revision {
        self.head
    }

    /// What is known of names without a window.
    #[must_use]
    pub fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// Bytes of all retained events.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Channels with a window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether no channel has a window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn window(&self, name: &ChannelName) -> Option<&Window<E>> {
        self.channels
            .get(name.hash64(), name)
            .map(|entry| &entry.window)
    }

    /// What is known of `name`.
    #[must_use]
    pub fn lookup(&self, name: &ChannelName) -> Lookup<'_, E> {
        if !self.wants(name) {
            return Lookup::NotHeld;
        }
        if let Some(window) = self.window(name) {
            return Lookup::Window(window);
        }
        let floor = match &self.tombstones {
            Tombstones::All(all) => all
                .get(name.hash64(), &name.hash64())
                .map(|stone| stone.floor),
            Tombstones::Held(held) => held.get(name).copied(),
        };
        floor.map_or(Lookup::Absent, Lookup::Tombstone)
    }

    /// Whether every channel of `interest` is known here.
    #[must_use]
    pub fn holds(&self, interest: &Interest) -> bool {
        match (&self.held, interest) {
            (None, _) => true,
            (Some(held), Interest::Pattern(pattern)) => held.patterns.contains(pattern),
            // Under a pattern alone, what a name without a window left behind is not known.
            (Some(held), Interest::Channel(name)) => {
                held.channels.contains(name) || self.window(name).is_some()
            }
        }
    }

    /// Whether some held interest matches.
    fn wants(&self, name: &ChannelName) -> bool {
        self.held.as_ref().is_none_or(|held| {
            held.channels.contains(name)
                || held.patterns.iter().any(|pattern| pattern.matches(name))
        })
    }

    /// Channels with a window that match, by hash of the name.
    pub fn matching<'a>(
        &'a self,
        interest: &'a Interest,
    ) -> impl Iterator<Item = (&'a ChannelName, &'a Window<E>)> {
        let (one, many) = match interest {
            Interest::Channel(name) => (self.channels.get(name.hash64(), name), None),
            Interest::Pattern(pattern) => (None, Some(pattern)),
        };
        let many = many.into_iter().flat_map(|pattern: &ChannelPattern| {
            self.channels
                .iter()
                .filter(|entry| pattern.matches(&entry.name))
        });
        one.into_iter()
            .chain(many)
            .map(|entry| (&entry.name, &entry.window))
    }

    /// All channels with a window, by hash of the name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ChannelName, &Window<E>)> {
        self.channels
            .iter()
            .map(|entry| (&entry.name, &entry.window))
    }

    /// Retained events above `revision`, in order.
    pub(crate) fn events_after(&self, revision: Revision) -> impl Iterator<Item = &E> {
        self.index.after(revision.get()).map(|(_, held)| held)
    }

    /// Retained events, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &E> {
        self.index.newest_first().map(|(_, held)| held)
    }

    /// Channels whose floor stands above `revision`, in order of their floors.
    pub(crate) fn floors_after(
        &self,
        revision: Revision,
    ) -> impl Iterator<Item = (Revision, &ChannelName)> {
        self.floors
            .after(revision.get())
            .map(|(floor, name)| (Revision::new(floor), name))
    }

    /// The highest floor of any channel with a window; zero when no window has one.
    pub(crate) fn highest_floor(&self) -> Revision {
        self.floors
            .last()
            .map_or(Revision::ZERO, |(floor, _)| Revision::new(floor))
    }

    /// The oldest retained event.
    pub(crate) fn oldest(&self) -> Option<&E> {
        self.index.first().map(|(_, held)| held)
    }

    /// Partial copies: declares `interest` held, its windows having been given.
    pub fn hold(&mut self, interest: Interest, as_of: Revision, forgotten: Forgotten) {
        if let Some(held) = &mut self.held {
            match interest {
                Interest::Channel(name) => held.channels.insert(name),
                Interest::Pattern(pattern) => held.patterns.insert(pattern),
            };
        }
        self.forget(forgotten);
        self.advance(as_of);
    }

    /// Partial copies: what a name without a window left behind.
    pub fn remember(&mut self, name: &ChannelName, floor: Floor) {
        if let Tombstones::Held(held) = &mut self.tombstones {
            held.insert(name.clone(), floor);
        }
    }

    /// Partial copies: drops `interest` and every window that no other interest holds.
    pub fn release(&mut self, interest: &Interest) {
        let Some(held) = &mut self.held else { return };
        let was_held = match interest {
            Interest::Channel(name) => held.channels.remove(name),
            Interest::Pattern(pattern) => held.patterns.remove(pattern),
        };
        if !was_held {
            return;
        }
        let unwanted = self.matching(interest).map(|(name, _)| name);
        let unwanted: Vec<ChannelName> =
            unwanted.filter(|name| !self.wants(name)).cloned().collect();
        for name in unwanted {
            self.close(&name);
        }
        if let Interest::Channel(name) = interest
            && let Tombstones::Held(held) = &mut self.tombstones
        {
            held.remove(name);
        }
    }

    /// Partial copies: forgets everything, head included: a new upstream begins afresh.
    pub fn clear(&mut self) {
        *self = if self.held.is_some() {
            Self::partial()
        } else {
            Self::complete()
        };
    }

    /// Puts a channel's window in place of what was there; `events` continue `floor` without a hole.
    pub fn insert(&mut self, channel: ChannelName, floor: Floor, events: Vec<E>) {
        self.close(&channel);
        for held in &events {
            self.index
                .insert(held.event().revision().get(), held.clone());
        }
        let window = Window::new(floor, events);
        self.bytes += window.bytes();
        if floor.revision > Revision::ZERO {
            self.floors.insert(floor.revision.get(), channel.clone());
        }
        if let Tombstones::Held(held) = &mut self.tombstones {
            held.remove(&channel);
        }
        let hash = channel.hash64();
        self.channels.insert(Arc::new(Entry {
            name: channel,
            hash,
            window,
        }));
    }

    /// Applies a follower's changes in order; `wrap` makes this copy's own wrapping of a shared event.
    /// What concerns nobody here, or is older than a window already here, is passed over.
    pub fn apply(&mut self, changes: &Changes, mut wrap: impl FnMut(&Arc<Event>) -> E) {
        for change in &changes.list {
            match change {
                Change::Opened { channel, floor } if self.wants(channel) => {
                    if self
                        .window(channel)
                        .is_none_or(|window| window.floor().offset < floor.offset)
                    {
                        self.insert(channel.clone(), *floor, Vec::new());
                    }
                }
                Change::Event(event) => {
                    let due = self.window(event.channel());
                    if due.is_some_and(|window| window.next_offset() == event.offset()) {
                        self.push(wrap(event));
                    }
                }
                Change::Trimmed { channel, floor } => self.trim(channel, *floor),
                Change::Erased { channel, floor } => {
                    if self
                        .window(channel)
                        .is_some_and(|window| window.end().offset <= floor.offset)
                    {
                        self.close(channel);
                        if self
                            .held
                            .as_ref()
                            .is_some_and(|held| held.channels.contains(channel))
                        {
                            self.remember(channel, *floor);
                        }
                    }
                }
                Change::Forgotten(forgotten) => self.forget(*forgotten),
                Change::Opened { .. } => {}
            }
        }
        self.advance(changes.through);
    }

    /// Raises the head: nothing of what is held happened up to `head`.
    pub fn advance(&mut self, head: Revision) {
        self.head = self.head.max(head);
    }

    /// Raises what is known of names without a window.
    pub(crate) fn forget(&mut self, forgotten: Forgotten) {
        let known = &mut self.forgotten;
        known.revision = known.revision.max(forgotten.revision);
        known.offset = known.offset.max(forgotten.offset);
        known.erased = known.erased.max(forgotten.erased);
    }

    /// Appends an event to its channel, which has a window.
    pub(crate) fn push(&mut self, held: E) {
        let name = held.event().channel().clone();
        self.bytes += held.event().retained_bytes() as u64;
        self.index
            .insert(held.event().revision().get(), held.clone());
        let entry = self
            .channels
            .get_mut(name.hash64(), &name)
            .expect("a window to append to");
        Arc::make_mut(entry).window.push(held);
    }

    /// Drops a channel's events up to `floor`.
    pub(crate) fn trim(&mut self, channel: &ChannelName, floor: Floor) {
        let Some(entry) = self.channels.get_mut(channel.hash64(), channel) else {
            return;
        };
        let window = &mut Arc::make_mut(entry).window;
        let before = window.floor();
        if floor.offset <= before.offset {
            return;
        }
        while window
            .oldest()
            .is_some_and(|held| held.event().offset() <= floor.offset)
        {
            let held = window.pop().expect("just seen");
            self.bytes -= held.event().retained_bytes() as u64;
            self.index.remove(held.event().revision().get());
        }
        window.raise(floor);
        self.floors.remove(before.revision.get());
        self.floors.insert(floor.revision.get(), channel.clone());
    }

    /// Drops a channel's window, leaving nothing behind; what it would leave as a tombstone.
    pub(crate) fn close(&mut self, channel: &ChannelName) -> Option<Floor> {
        let entry = self.channels.remove(channel.hash64(), channel)?;
        for held in entry.window.events() {
            self.index.remove(held.event().revision().get());
        }
        self.bytes -= entry.window.bytes();
        self.floors.remove(entry.window.floor().revision.get());
        Some(entry.window.end())
    }

    pub(crate) fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    pub(crate) fn tombstones_mut(&mut self) -> &mut Tombstones {
        &mut self.tombstones
    }
}
