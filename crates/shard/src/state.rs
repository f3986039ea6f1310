//! The state machine of one shard. Each verb is a function of its own module on this state.
//!
//! Invariant: `apply` reads its arguments and this state and nothing else; refusals are values; the same
//! commands give the same state, to the byte of its snapshot.

use std::sync::Arc;

use crate::{
    Change, Changes, ChannelInfo, ChannelName, ChannelPage, ChannelPattern, Command, Event, Reply,
    Revision, Settings, Time, Window, Windows,
    cow::Ordered,
    dedupe::{Keys, Producers},
    forget::Graves,
    trim::Expiry,
};

/// The state of one shard. Cloning freezes a view: everything large is shared until it is written.
#[derive(Clone, Debug)]
pub struct Shard {
    pub(crate) settings: Settings,
    pub(crate) time: Time,
    pub(crate) windows: Windows<Arc<Event>>,
    /// Channels without events, by the revision of the last one they had.
    pub(crate) empties: Ordered<ChannelName>,
    pub(crate) graves: Graves,
    pub(crate) expiry: Expiry,
    pub(crate) keys: Keys,
    pub(crate) producers: Producers,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer to whoever sent it.
    pub reply: Reply,
    /// The news for whoever follows.
    pub changes: Changes,
}

/// The changes of a command being applied.
#[derive(Debug, Default)]
pub(crate) struct News(pub(crate) Vec<Change>);

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let expiry = Expiry::new(&settings);
        Self {
            settings,
            time: Time::ZERO,
            windows: Windows::complete(),
            empties: Ordered::new(),
            graves: Graves::new(),
            expiry,
            keys: Keys::new(),
            producers: Producers::new(),
        }
    }

    /// Applies one command, stamped `now` by its proposer; time never goes back whatever `now` is.
    pub fn apply(&mut self, now: Time, command: Command) -> Applied {
        self.time = self.time.max(now);
        let mut news = News::default();
        let reply = match command {
            Command::Publish {
                stamp,
                publications,
            } => self.once(stamp, |shard| shard.publish(publications, &mut news)),
            Command::Delete { stamp, channel } => {
                self.once(stamp, |shard| shard.delete(&channel, &mut news))
            }
            Command::Configure { settings } => {
                self.expiry = Expiry::new(&settings);
                self.settings = settings;
                self.make_room(0, &mut news);
                self.bound_bytes(&mut news);
                Reply::Done
            }
            Command::Tick => {
                self.expire(&mut news);
                Reply::Done
            }
        };
        Applied {
            reply,
            changes: Changes {
                through: self.windows.head(),
                list: news.0,
            },
        }
    }

    /// What readers read.
    #[must_use]
    pub fn windows(&self) -> &Windows<Arc<Event>> {
        &self.windows
    }

    /// The stamp of the newest command.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One channel in figures; `None` when it does not exist.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> Option<ChannelInfo> {
        self.windows.window(name).map(|window| info(name, window))
    }

    /// Channels after `after` in name order, at most `count`, optionally only those that match.
    #[must_use]
    pub fn channels(
        &self,
        after: Option<&ChannelName>,
        pattern: Option<&ChannelPattern>,
        count: usize,
    ) -> ChannelPage {
        let mut found: Vec<_> = self
            .windows
            .all()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .filter(|(name, _)| pattern.is_none_or(|pattern| pattern.matches(name)))
            .collect();
        let more = found.len() > count;
        if more && count > 0 {
            found.select_nth_unstable_by_key(count, |(name, _)| *name);
        }
        found.truncate(count);
        found.sort_unstable_by_key(|(name, _)| *name);
        ChannelPage {
            channels: found
                .into_iter()
                .map(|(name, window)| info(name, window))
                .collect(),
            more,
        }
    }

    /// The next revision, taken.
    pub(crate) fn take_revision(&mut self) -> Revision {
        let next = self.windows.head().next();
        self.windows.advance(next);
        next
    }
}

fn info(name: &ChannelName, window: &Window<Arc<Event>>) -> ChannelInfo {
    ChannelInfo {
        name: name.clone(),
        first_offset: window.floor().offset.next(),
        next_offset: window.next_offset(),
        events: window.events().len() as u64,
        bytes: window.bytes(),
        last_time: window.newest().map(|event| event.time()),
    }
}
