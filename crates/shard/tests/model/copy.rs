//! A partial copy that follows a world as the lower end of a following does.

use std::sync::Arc;

use halley_shard::{Change, Changes, ChannelName, Event, Interest, Lookup, Windows};

use super::World;

/// A partial copy and how far it has come.
pub(crate) struct Copy {
    pub(crate) windows: Windows<Arc<Event>>,
    /// Commands whose changes it has taken.
    pub(crate) applied: usize,
    held: Vec<Interest>,
}

impl Copy {
    pub(crate) fn new() -> Self {
        Self {
            windows: Windows::partial(),
            applied: 0,
            held: Vec::new(),
        }
    }

    fn matches(&self, channel: &ChannelName) -> bool {
        self.held.iter().any(|interest| interest.matches(channel))
    }

    /// Takes the changes of the next commands, at most `count`.
    pub(crate) fn follow(&mut self, world: &World, count: usize, filtered: bool) {
        for _ in 0..count {
            let Some(changes) = world.log.get(self.applied) else {
                return;
            };
            let list = changes
                .list
                .iter()
                .filter(|change| !filtered || self.wants(change));
            let told = Changes {
                through: changes.through,
                list: list.cloned().collect(),
            };
            self.windows.apply(&told, Arc::clone);
            self.applied += 1;
            self.check(world);
        }
    }

    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Event(event) => self.matches(event.channel()),
            Change::Opened { channel, .. }
            | Change::Trimmed { channel, .. }
            | Change::Erased { channel, .. } => self.matches(channel),
            Change::Forgotten(_) => true,
        }
    }

    /// Holds `interest` as of the place that it has come to.
    pub(crate) fn hold(&mut self, world: &World, interest: &Interest) {
        if self.held.contains(interest) {
            return;
        }
        let view = world.views[self.applied].windows();
        for (name, window) in view.matching(interest) {
            if !self.matches(name) {
                let events = window.events().cloned().collect();
                self.windows.insert(name.clone(), window.floor(), events);
            }
        }
        self.windows
            .hold(interest.clone(), view.head(), view.forgotten());
        if let Interest::Channel(name) = interest
            && let Lookup::Tombstone(floor) = view.lookup(name)
        {
            self.windows.remember(name, floor);
        }
        self.held.push(interest.clone());
        self.check(world);
    }

    pub(crate) fn release(&mut self, world: &World, interest: &Interest) {
        self.held.retain(|held| held != interest);
        self.windows.release(interest);
        assert!(!matches!(interest, Interest::Pattern(_)) || !self.windows.holds(interest));
        self.check(world);
    }

    /// Begins anew at `applied`, holding nothing.
    pub(crate) fn begin_anew(&mut self, applied: usize) {
        self.windows.clear();
        self.held.clear();
        self.applied = applied;
        assert!(self.windows.is_empty());
    }

    /// It has exactly the windows of the world at its place that are held.
    fn check(&self, world: &World) {
        let view = world.views[self.applied].windows();
        let everything = super::interests(1 << 11); // `/**`
        let mut count = 0;
        for (name, window) in view.matching(&everything[0]) {
            let held = self
                .windows
                .matching(&Interest::Channel(name.clone()))
                .next()
                .is_some();
            assert_eq!(held, self.matches(name), "{name}");
            if let Some((_, own)) = self
                .windows
                .matching(&Interest::Channel(name.clone()))
                .next()
            {
                count += 1;
                assert_eq!(own.floor(), window.floor());
                assert!(own.events().eq(window.events()));
            }
        }
        assert_eq!(self.windows.len(), count);
        if !self.held.is_empty() {
            assert_eq!(self.windows.head(), view.head());
        }
    }
}
