//! A lower end for tests: a partial copy, moved by what a following says and checking every word of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use halley_shard::{
    Change, ChannelName, Event, Interest, Item, Next, Offset, Reader, Revision, Selection, ShardId,
    Windows,
};

use super::{ALL, Subject};
use crate::{FollowEnd, Following, follow::Down};

/// A copy of one shard, following a subject.
#[derive(Debug)]
pub struct Lower {
    subject: Subject,
    shard: ShardId,
    following: Box<dyn Following>,
    windows: Windows<Arc<Event>>,
    wanted: BTreeSet<Interest>,
    /// What has been answered by its own `Held`: a pattern that covers a name knows nothing of the name's
    /// tombstone.
    held: BTreeSet<Interest>,
    /// Newest offset told of each channel by this following.
    told: BTreeMap<ChannelName, Offset>,
    /// How often it had to begin anew.
    begun_anew: usize,
}

impl Lower {
    /// Follows `shard` of `subject`, wanting nothing yet.
    #[must_use]
    pub fn new(subject: &Subject, shard: ShardId) -> Self {
        Self {
            subject: subject.clone(),
            shard,
            following: subject.log.follow(shard),
            windows: Windows::partial(),
            wanted: BTreeSet::new(),
            held: BTreeSet::new(),
            told: BTreeMap::new(),
            begun_anew: 0,
        }
    }

    /// The copy.
    #[must_use]
    pub fn windows(&self) -> &Windows<Arc<Event>> {
        &self.windows
    }

    /// How often it had to begin anew.
    #[must_use]
    pub fn begun_anew(&self) -> usize {
        self.begun_anew
    }

    /// Asks for `interests`.
    pub fn add(&mut self, interests: impl IntoIterator<Item = Interest>) {
        let add: Vec<_> = interests.into_iter().collect();
        self.wanted.extend(add.iter().cloned());
        self.following.interest(add, Vec::new());
    }

    /// Takes an interest back. It must be held, and so must all others that overlap it.
    pub fn remove(&mut self, interest: &Interest) {
        assert!(self.wanted.remove(interest), "{interest:?} was not wanted");
        self.held.remove(interest);
        self.windows.release(interest);
        let wanted = &self.wanted;
        self.told
            .retain(|name, _| wanted.iter().any(|interest| interest.matches(name)));
        self.following.interest(Vec::new(), vec![interest.clone()]);
    }

    /// Asks for `interests` and waits until they are held.
    pub async fn hold(&mut self, interests: impl IntoIterator<Item = Interest>) {
        let interests: Vec<_> = interests.into_iter().collect();
        self.add(interests.clone());
        self.until("holding", |lower| lower.holds(&interests)).await;
    }

    /// Follows until the copy has reached `revision` and holds everything wanted.
    pub async fn reach(&mut self, revision: Revision) {
        self.until("the head", |lower| {
            lower.windows.head() >= revision && lower.held == lower.wanted
        })
        .await;
    }

    /// Follows until `condition` is true, beginning anew when the following is lost.
    pub async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let subject = self.subject.clone();
        let following = async {
            while !condition(self) {
                if self.step().await.is_err() {
                    self.begin_anew();
                }
            }
        };
        subject.within(what, following).await;
    }

    /// Takes the next batch. Cancel-safe.
    ///
    /// # Errors
    /// [`FollowEnd`]
    pub async fn step(&mut self) -> Result<(), FollowEnd> {
        let batch = self.following.next().await?;
        assert!(!batch.is_empty(), "a batch has at least one message");
        for message in batch {
            self.take(message);
        }
        Ok(())
    }

    /// What a reader of `interests` behind `after` gets of this copy.
    #[must_use]
    pub fn read(
        &self,
        interests: &[Interest],
        after: Revision,
    ) -> Option<(Vec<Item<Arc<Event>>>, Revision)> {
        if !self.holds(interests) {
            return None;
        }
        let selection = Selection::new(interests.iter().cloned());
        match Reader::next(&self.windows, &selection, after, ALL) {
            Next::Items {
                items,
                through,
                more,
            } => {
                assert!(!more, "the budget is larger than anything here");
                Some((items, through))
            }
            Next::NotHeld | Next::Ahead { .. } => None,
        }
    }

    /// Follows anew, with an empty copy and all that is wanted.
    pub fn begin_anew(&mut self) {
        self.begun_anew += 1;
        self.windows.clear();
        self.told.clear();
        self.held.clear();
        self.following = self.subject.log.follow(self.shard);
        self.following
            .interest(self.wanted.iter().cloned().collect(), Vec::new());
    }

    fn take(&mut self, message: Down) {
        match message {
            Down::Window {
                channel,
                floor,
                events,
                as_of,
            } => {
                assert!(as_of >= self.windows.head(), "a window is of the past");
                let mut last = floor.offset;
                for event in &events {
                    assert_eq!(
                        event.offset(),
                        last.next(),
                        "a window of {channel} has a hole"
                    );
                    assert!(
                        event.revision() <= as_of,
                        "a window of {channel} is of the future"
                    );
                    last = event.offset();
                }
                self.told.insert(channel.clone(), last);
                if self.wants(&channel) {
                    self.windows.insert(channel, floor, events);
                }
            }
            Down::Held {
                interest,
                as_of,
                forgotten,
                tombstone,
            } => {
                assert!(as_of >= self.windows.head(), "holding is of the past");
                if !self.wanted.contains(&interest) {
                    return;
                }
                self.held.insert(interest.clone());
                self.windows.hold(interest.clone(), as_of, forgotten);
                if let (Interest::Channel(channel), Some(floor)) = (interest, tombstone) {
                    self.windows.remember(&channel, floor);
                }
            }
            Down::Changes(changes) => {
                assert!(
                    changes.through > self.windows.head(),
                    "changes are of the past"
                );
                changes.list.iter().for_each(|change| self.check(change));
                self.windows.apply(&changes, Arc::clone);
                assert_eq!(self.windows.head(), changes.through);
            }
            Down::Progress(head) => {
                assert!(head >= self.windows.head(), "progress goes back");
                self.windows.advance(head);
            }
        }
    }

    /// No channel is told of with a hole or twice.
    fn check(&mut self, change: &Change) {
        match change {
            Change::Event(event) => {
                let channel = event.channel();
                let Some(last) = self.told.get_mut(channel) else {
                    assert!(
                        !self.wants(channel),
                        "an event of {channel} before its window"
                    );
                    return;
                };
                assert_eq!(
                    event.offset(),
                    last.next(),
                    "changes of {channel} have a hole"
                );
                *last = event.offset();
            }
            Change::Opened { channel, floor } => {
                self.told.insert(channel.clone(), floor.offset);
            }
            Change::Erased { channel, .. } => {
                self.told.remove(channel);
            }
            Change::Trimmed { .. } | Change::Forgotten(_) => {}
        }
    }

    fn holds(&self, interests: &[Interest]) -> bool {
        interests
            .iter()
            .all(|interest| self.held.contains(interest))
    }

    fn wants(&self, channel: &ChannelName) -> bool {
        self.wanted.iter().any(|interest| interest.matches(channel))
    }
}
