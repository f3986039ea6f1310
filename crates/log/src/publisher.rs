//! A publish on its way: which shard, which stamp, which bytes, how often.
//!
//! Invariant: what is sent again has the same bytes, and a command given up without an answer is the last
//! one of its producer id (contract.md, Once).

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use halley_env::Env;
use halley_shard::{
    ChannelName, Command, Cursor, Origin, ProducerId, Publication, Published, Refusal, Reply,
    ShardId, Stamp, codec,
};
use metrics::{counter, histogram};
use thiserror::Error;

use crate::{Cluster, LogError, ShardLog, backoff::Backoff, limits, route::Minter};

/// Publishes for everybody who publishes on this node; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    log: Arc<dyn ShardLog>,
    env: Env,
    minter: Arc<Minter>,
}

/// Why one publication has no place. A whole command's failure is given to each of its publications.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The shard refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log did not answer.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A client's numbered publish: contract.md, Once, *Sequence*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The stream's id.
    pub producer: ProducerId,
    /// This publish's number.
    pub sequence: u64,
    /// Number of the stream's previous publish to the same shard.
    pub previous: Option<u64>,
}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The channel existed.
    pub existed: bool,
    /// A cursor behind the deletion.
    pub cursor: Cursor,
}

/// One publication's result.
type PublishResult = Result<(Published, Cursor), PublishError>;

/// A command and the way to its shard.
struct Submission {
    cluster: Cluster,
    shard: ShardId,
    /// On the publisher's monotonic clock.
    ends: Duration,
}

impl Publisher {
    /// A publisher over `log`; draws its producer ids from `env.rng`.
    #[must_use]
    pub fn new(log: Arc<dyn ShardLog>, env: Env) -> Self {
        Self {
            log,
            env,
            minter: Arc::new(Minter::new()),
        }
    }

    /// Publishes a batch (1 to 512), each publication with its own result, in order: events of one channel
    /// keep their order, and after the first failure of a channel its later events are `Aborted`. The
    /// result's cursor reads on right behind the event.
    pub async fn publish(
        &self,
        publications: Vec<Publication>,
        deadline: Duration,
    ) -> Vec<PublishResult> {
        let count = publications.len();
        let publishing = async {
            let (cluster, ends) = match self.begin(deadline).await {
                Ok(begun) => begun,
                Err(error) => return vec![Err(error.into()); count],
            };
            self.publish_by_shard(cluster, ends, publications).await
        };
        let results = self.measured(publishing).await;
        results.iter().for_each(count_result);
        results
    }

    /// Publishes one event of a client's numbered stream.
    ///
    /// # Errors
    /// [`PublishError`]; `OutOfSequence` and `StaleKey` are refusals of the stream's number.
    pub async fn publish_numbered(
        &self,
        stream: Stream,
        publication: Publication,
        deadline: Duration,
    ) -> PublishResult {
        let publishing = async {
            let (cluster, ends) = self.begin(deadline).await?;
            let shard = cluster.shards.shard_of(publication.channel.hash64());
            let origin = Origin::Client {
                submission: self.env.rng.next_u64(),
            };
            let Stream {
                producer,
                sequence,
                previous,
            } = stream;
            let stamp = Stamp {
                producer,
                sequence,
                previous,
                origin,
            };
            let command = Command::Publish {
                stamp,
                publications: vec![publication],
            };
            let submission = Submission {
                cluster,
                shard,
                ends,
            };
            let reply = self
                .submit(&submission, codec::encode_command(&command))
                .await;
            results_of(reply, 1, &submission)
                .pop()
                .expect("as many results as publications")
        };
        let result = self.measured(publishing).await;
        count_result(&result);
        result
    }

    /// Deletes a channel.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn delete(
        &self,
        channel: ChannelName,
        deadline: Duration,
    ) -> Result<DeleteOutcome, PublishError> {
        let (cluster, ends) = self.begin(deadline).await?;
        let shard = cluster.shards.shard_of(channel.hash64());
        let submission = Submission {
            cluster,
            shard,
            ends,
        };
        let command = |stamp| Command::Delete { stamp, channel };
        match self.submit_minted(&submission, command).await? {
            Reply::Deleted { existed, revision } => {
                let cursor = Cursor::single(cluster.id, shard, revision);
                Ok(DeleteOutcome { existed, cursor })
            }
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Published(_) | Reply::Done => Err(LogError::UnknownOutcome.into()),
        }
    }

    async fn publish_by_shard(
        &self,
        cluster: Cluster,
        ends: Duration,
        publications: Vec<Publication>,
    ) -> Vec<PublishResult> {
        let mut places = Vec::with_capacity(publications.len());
        let mut shares = vec![Vec::new(); usize::from(cluster.shards.get())];
        for publication in publications {
            let shard = cluster.shards.shard_of(publication.channel.hash64());
            let share: &mut Vec<Publication> = &mut shares[usize::from(shard.get())];
            places.push(shard);
            share.push(publication);
        }
        let submissions = cluster
            .shards
            .ids()
            .zip(shares)
            .map(|(shard, share)| async move {
                if share.is_empty() {
                    return Vec::new().into_iter();
                }
                let (count, submission) = (
                    share.len(),
                    Submission {
                        cluster,
                        shard,
                        ends,
                    },
                );
                let command = |stamp| Command::Publish {
                    stamp,
                    publications: share,
                };
                let reply = self.submit_minted(&submission, command).await;
                results_of(reply, count, &submission).into_iter()
            });
        let mut results = join_all(submissions).await;
        let in_order = places.into_iter().map(|shard| {
            let of_shard = &mut results[usize::from(shard.get())];
            of_shard
                .next()
                .expect("as many results as publications of the shard")
        });
        in_order.collect()
    }

    /// The cluster, and when `deadline` ends.
    async fn begin(&self, deadline: Duration) -> Result<(Cluster, Duration), LogError> {
        let ends = self.env.clock.monotonic().saturating_add(deadline);
        if let Some(cluster) = self.log.cluster() {
            return Ok((cluster, ends));
        }
        tokio::select! {
            biased;
            cluster = self.log.formed() => Ok((cluster, ends)),
            () = self.env.clock.sleep(deadline) => {
                Err(LogError::NoLeader { shard: ShardId::new(0) })
            }
        }
    }

    /// Submits a command of this node's own under a fresh stamp.
    async fn submit_minted(
        &self,
        submission: &Submission,
        command: impl FnOnce(Stamp) -> Command,
    ) -> Result<Reply, LogError> {
        let stamp = self.minter.mint(submission.shard, self.env.rng.as_ref());
        let bytes = codec::encode_command(&command(stamp));
        let mut given_up = GivenUp {
            minter: &self.minter,
            shard: submission.shard,
            stamp,
        };
        let reply = match self.submit(submission, bytes).await {
            // Remembered too short for this late repetition: it may have been stored long ago.
            Ok(Reply::Refused(Refusal::StaleKey { .. })) => Err(LogError::UnknownOutcome),
            reply => reply,
        };
        if reply != Err(LogError::UnknownOutcome) {
            given_up.disarm();
        }
        reply
    }

    /// Has the log take `command`, again and again where that is safe, until the submission ends.
    async fn submit(&self, submission: &Submission, command: Bytes) -> Result<Reply, LogError> {
        let clock = &self.env.clock;
        let mut backoff = Backoff::new(limits::BACKOFF_LAST);
        let mut may_be_stored = false;
        loop {
            let left = submission.ends.saturating_sub(clock.monotonic());
            let result = self
                .log
                .submit(submission.shard, command.clone(), left)
                .await;
            let same_history = self.log.cluster() == Some(submission.cluster);
            let error = match result {
                Ok(reply) if same_history => return Ok(reply),
                // The channel's shard and the reply's revision would be another history's.
                Ok(_) => return Err(LogError::UnknownOutcome),
                Err(error) => error,
            };
            may_be_stored |= error == LogError::UnknownOutcome;
            let passing = match error {
                LogError::UnknownOutcome | LogError::NoLeader { .. } | LogError::Behind { .. } => {
                    true
                }
                LogError::Overloaded { .. } | LogError::Unreadable(_) | LogError::Draining => {
                    may_be_stored
                }
            };
            let wait = backoff.next(self.env.rng.as_ref());
            let late = clock.monotonic() + wait >= submission.ends;
            if late || !passing || !same_history {
                return Err(if may_be_stored {
                    LogError::UnknownOutcome
                } else {
                    error
                });
            }
            clock.sleep(wait).await;
        }
    }

    async fn measured<T>(&self, publishing: impl Future<Output = T>) -> T {
        let start = self.env.clock.monotonic();
        let result = publishing.await;
        let took = self.env.clock.monotonic().saturating_sub(start);
        histogram!("halley_publish_duration_seconds").record(took.as_secs_f64());
        result
    }
}

/// Changes the producer id unless the command's outcome became known, also when its caller went away.
struct GivenUp<'a> {
    minter: &'a Minter,
    shard: ShardId,
    stamp: Stamp,
}

impl GivenUp<'_> {
    fn disarm(&mut self) {
        self.stamp.sequence = 0;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if self.stamp.sequence != 0 {
            self.minter.abandon(self.shard, &self.stamp);
        }
    }
}

/// A command's reply as one result for each of its publications.
fn results_of(
    reply: Result<Reply, LogError>,
    count: usize,
    submission: &Submission,
) -> Vec<PublishResult> {
    let with_cursor = |published: Published| {
        let (id, shard) = (submission.cluster.id, submission.shard);
        (published, Cursor::single(id, shard, published.revision))
    };
    let for_all: PublishError = match reply {
        Ok(Reply::Published(results)) if results.len() == count => {
            let results = results.into_iter();
            return results.map(|result| Ok(with_cursor(result?))).collect();
        }
        Ok(Reply::Refused(refusal)) => refusal.into(),
        Err(error) => error.into(),
        // No answer to this command.
        Ok(Reply::Published(_) | Reply::Deleted { .. } | Reply::Done) => {
            LogError::UnknownOutcome.into()
        }
    };
    vec![Err(for_all); count]
}

fn count_result(result: &PublishResult) {
    let label = match result {
        Ok((published, _)) if published.duplicate => "duplicate",
        Ok(_) => "ok",
        Err(PublishError::Refused(refusal)) => match refusal {
            Refusal::OutOfSequence { .. } => "out_of_sequence",
            Refusal::StaleKey { .. } => "stale_key",
            Refusal::KeyConflict { .. } => "key_conflict",
            Refusal::Overloaded { .. } => "overloaded",
            Refusal::Aborted => "aborted",
        },
        Err(PublishError::Log(error)) => match error {
            LogError::NoLeader { .. } | LogError::Behind { .. } => "no_leader",
            LogError::Overloaded { .. } => "overloaded",
            LogError::UnknownOutcome => "unknown_outcome",
            LogError::Unreadable(_) => "unreadable",
            LogError::Draining => "draining",
        },
    };
    counter!("halley_publish_total", "result" => label).increment(1);
}

#[cfg(test)]
mod tests;
