//! What every [`ShardLog`] must do, as a suite that its room runs over it.
//!
//! Each case takes a [`Subject`] of its own: a formed, empty log. A case panics, naming what was broken,
//! and waits for conditions only, each for at most [`PATIENCE`] of the subject's clock.

mod cases;
mod changing;
mod link;
mod lower;

pub use changing::survives_disturbance;
pub use link::{Link, Weather};
pub use lower::Lower;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use halley_env::Env;
use halley_shard::{
    Budget, ChannelName, ChannelPattern, Command, Content, Interest, Origin, ProducerId,
    Publication, Published, Reply, Retention, Settings, ShardId, Stamp, codec,
};

use crate::{Cluster, ShardLog};

/// How long a case waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Commands that [`Wanted::ShortFeed`] keeps for followers.
pub const SHORT_FEED: usize = 64;

/// Which log a case wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any, with [`settings`].
    Plain,
    /// One that keeps [`SHORT_FEED`] commands for its followers.
    ShortFeed,
}

/// A log under test.
#[derive(Clone, Debug)]
pub struct Subject {
    /// It.
    pub log: Arc<dyn ShardLog>,
    /// Its machine.
    pub env: Env,
}

/// The settings that every subject is to have: small enough that trimming happens.
#[must_use]
pub fn settings() -> Settings {
    let retention = Retention {
        events_max: 50,
        ..Retention::default()
    };
    Settings {
        retention,
        ..Settings::default()
    }
}

/// Runs every case, each over a log made by `make`.
///
/// # Panics
/// When the log breaks what [`ShardLog`] promises.
pub async fn all<F, Made>(make: F)
where
    F: Fn(Wanted) -> Made,
    Made: Future<Output = Subject>,
{
    cases::orders_and_answers(&make(Wanted::Plain).await).await;
    cases::remembers_what_it_answered(&make(Wanted::Plain).await).await;
    cases::refuses_unreadable_commands(&make(Wanted::Plain).await).await;
    cases::reads_wait_for_their_revision(&make(Wanted::Plain).await).await;
    cases::barrier_covers_what_was_acknowledged(&make(Wanted::Plain).await).await;
    cases::lists_channels(&make(Wanted::Plain).await).await;
    changing::windows_then_changes(&make(Wanted::Plain).await).await;
    changing::late_channels_of_a_pattern(&make(Wanted::Plain).await).await;
    changing::deletions_are_seen(&make(Wanted::Plain).await).await;
    changing::deletions_are_told_beside_a_pattern(&make(Wanted::Plain).await).await;
    changing::quiet_followers_hear_of_progress(&make(Wanted::Plain).await).await;
    changing::removed_interest_stops(&make(Wanted::Plain).await).await;
    changing::interest_changes_under_load(&make(Wanted::Plain).await).await;
    changing::history_is_what_followers_saw(&make(Wanted::Plain).await).await;
    changing::slow_followers_are_ended(&make(Wanted::ShortFeed).await).await;
}

impl Subject {
    /// What `future` gives, within [`PATIENCE`].
    ///
    /// # Panics
    /// When it takes longer; `what` says what was waited for.
    pub async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            output = future => output,
            () = self.env.clock.sleep(PATIENCE) => panic!("waited {PATIENCE:?} for {what}"),
        }
    }

    async fn cluster(&self) -> Cluster {
        self.within("the cluster", self.log.formed()).await
    }

    async fn shard_of(&self, channel: &ChannelName) -> ShardId {
        self.cluster().await.shards.shard_of(channel.hash64())
    }

    /// Publishes `texts` to one channel, one command each.
    async fn publish(&self, channel: &ChannelName, texts: &[&str]) -> Vec<Published> {
        let mut published = Vec::new();
        for text in texts {
            let command = self.command(&[(channel, text)]);
            published.extend(self.submit(channel, command).await);
        }
        published
    }

    /// Submits a publish command to the shard of `channel`; all of it must be stored.
    async fn submit(&self, channel: &ChannelName, command: Bytes) -> Vec<Published> {
        let shard = self.shard_of(channel).await;
        let submitted = self.log.submit(shard, command, PATIENCE);
        match self.within("a reply", submitted).await {
            Ok(Reply::Published(results)) => results
                .into_iter()
                .map(|result| result.expect("nothing is refused"))
                .collect(),
            other => panic!("a publish was answered with {other:?}"),
        }
    }

    /// A publish command of a producer of its own.
    fn command(&self, events: &[(&ChannelName, &str)]) -> Bytes {
        let publications = events
            .iter()
            .map(|(channel, text)| publication(channel, text));
        codec::encode_command(&Command::Publish {
            stamp: self.stamp(),
            publications: publications.collect(),
        })
    }

    async fn delete(&self, channel: &ChannelName) -> bool {
        let shard = self.shard_of(channel).await;
        let stamp = self.stamp();
        let command = Command::Delete {
            stamp,
            channel: channel.clone(),
        };
        let submitted = self
            .log
            .submit(shard, codec::encode_command(&command), PATIENCE);
        match self.within("a reply", submitted).await {
            Ok(Reply::Deleted { existed, .. }) => existed,
            other => panic!("a deletion was answered with {other:?}"),
        }
    }

    fn stamp(&self) -> Stamp {
        let mut producer = [0; 16];
        self.env.rng.fill(&mut producer);
        let producer = ProducerId(producer);
        Stamp {
            producer,
            sequence: 1,
            previous: None,
            origin: Origin::Node,
        }
    }
}

/// More than any case holds.
const ALL: Budget = Budget {
    items: 100_000,
    bytes: 1 << 30,
    scanned: 1 << 30,
};

fn publication(channel: &ChannelName, text: &str) -> Publication {
    let data = Bytes::copy_from_slice(text.as_bytes());
    let content = Content {
        content_type: "text/plain".into(),
        data,
        ..Content::default()
    };
    Publication {
        channel: channel.clone(),
        content,
        key: None,
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("the suite's names are well formed")
}

fn channel(text: &str) -> Interest {
    Interest::Channel(name(text))
}

fn pattern(text: &str) -> Interest {
    Interest::Pattern(ChannelPattern::parse(text).expect("the suite's patterns are well formed"))
}
