//! Turns the publishes that wait at a shard's leader into entries: few, large ones under load, one at once
//! when nothing waits.
//!
//! Invariant: commands are proposed in the order in which they were taken; what waits and is in flight is
//! within its byte budget; every command taken is answered.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use halley_env as env;
use halley_log::LogError;
use halley_shard::{Command, Reply, Time, codec};
use tokio::sync::{Notify, oneshot};

use crate::{
    group::{Group, Unanswered},
    limits,
    raft::{Answer, Runtime},
};

/// What became of a command at this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The shard answered.
    Reply(Reply),
    /// Nothing was stored here.
    Failed(LogError),
    /// It has no answer.
    Unanswered(Unanswered),
}

/// Gives an entry the leader's time.
pub(crate) trait Stamping: Send + Sync + 'static {
    /// The time of an entry proposed now, or why none may be.
    ///
    /// # Errors
    /// [`LogError`]
    fn stamp(&self) -> env::BoxFuture<'_, Result<Time, LogError>>;
}

/// The commands of one shard that wait at this node.
pub(crate) struct Packer {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of what waits and what is in flight.
    bytes: u64,
    closed: bool,
}

struct Waiting {
    command: Bytes,
    publishes: usize,
    answer: oneshot::Sender<Outcome>,
}

impl Waiting {
    fn cost(&self) -> u64 {
        cost(&self.command)
    }

    fn end(self, outcome: Outcome) {
        // Whoever gave up waiting does not want it.
        let _gone = self.answer.send(outcome);
    }
}

fn cost(command: &Bytes) -> u64 {
    u64::try_from(command.len()).expect("a length fits") + limits::PROPOSAL_OVERHEAD_BYTES
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            filled: Notify::new(),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .expect("nobody panics while holding the queue")
    }

    /// Takes a command. The receiver has its outcome, or is closed when it may have been stored.
    ///
    /// # Errors
    /// [`LogError`]; nothing was taken then.
    pub(crate) fn push(&self, command: Bytes) -> Result<oneshot::Receiver<Outcome>, LogError> {
        let publishes = match codec::decode_command(&command) {
            Ok(Command::Publish { publications, .. }) => publications.len(),
            Ok(_) => 1,
            Err(error) => return Err(LogError::Unreadable(error.to_string())),
        };
        let (answer, outcome) = oneshot::channel();
        let waiting = Waiting {
            command,
            publishes,
            answer,
        };
        let mut queue = self.queue();
        if queue.closed {
            return Err(LogError::Draining);
        }
        let bytes = queue.bytes + waiting.cost();
        if bytes > limits::PROPOSALS_BYTES_MAX {
            return Err(LogError::Overloaded {
                what: "proposals",
                value: queue.bytes,
                limit: limits::PROPOSALS_BYTES_MAX,
            });
        }
        queue.bytes = bytes;
        queue.waiting.push_back(waiting);
        drop(queue);
        self.filled.notify_one();
        Ok(outcome)
    }

    /// Refuses commands from now on; those that wait are answered with `Draining`.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        let waiting: Vec<_> = queue.waiting.drain(..).collect();
        drop(queue);
        for waiting in waiting {
            waiting.end(Outcome::Failed(LogError::Draining));
        }
    }

    /// The next commands that fit one entry, at least one; empty when nothing waits.
    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let (mut publishes, mut bytes, mut count) = (0, 0, 0);
        for waiting in &queue.waiting {
            publishes += waiting.publishes;
            bytes += waiting.command.len();
            let fits = publishes <= limits::PACK_PUBLISHES_MAX && bytes <= limits::PACK_BYTES_MAX;
            if count > 0 && !fits {
                break;
            }
            count += 1;
        }
        queue.waiting.drain(..count).collect()
    }

    fn let_go(&self, bytes: u64) {
        let mut queue = self.queue();
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    /// Proposes what is pushed, for as long as it is polled.
    pub(crate) async fn run<R: Runtime>(
        self: Arc<Self>,
        group: Arc<Group<R>>,
        stamping: Arc<dyn Stamping>,
    ) {
        let mut flying: FuturesOrdered<BoxFuture<'static, ()>> = FuturesOrdered::new();
        loop {
            let packed = if flying.len() < limits::IN_FLIGHT_MAX {
                self.take()
            } else {
                Vec::new()
            };
            if !packed.is_empty() {
                let mut proposing =
                    std::pin::pin!(self.propose(packed, group.as_ref(), stamping.as_ref()));
                let answering = loop {
                    // The time may have to be asked for; what is committed meanwhile is answered.
                    tokio::select! {
                        biased;
                        answering = &mut proposing => break answering,
                        Some(()) = flying.next(), if !flying.is_empty() => {}
                    }
                };
                flying.extend(answering);
                continue;
            }
            let room = flying.len() < limits::IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                Some(()) = flying.next(), if !flying.is_empty() => {}
                () = self.filled.notified(), if room => {}
            }
        }
    }

    /// Proposes one entry; what is returned answers its commands.
    async fn propose<R: Runtime>(
        self: &Arc<Self>,
        packed: Vec<Waiting>,
        group: &Group<R>,
        stamping: &dyn Stamping,
    ) -> Option<BoxFuture<'static, ()>> {
        let bytes = packed.iter().map(Waiting::cost).sum();
        let proposed = match stamping.stamp().await {
            Err(error) => Err(Outcome::Failed(error)),
            Ok(_) if !group.leads() => {
                Err(Outcome::Unanswered(Unanswered::Elsewhere(group.leader())))
            }
            Ok(time) => {
                let commands: Vec<_> = packed.iter().map(|one| one.command.clone()).collect();
                let entry = codec::encode_entry(time, &commands);
                group.propose(entry).await.map_err(Outcome::Unanswered)
            }
        };
        match proposed {
            Err(outcome) => {
                self.let_go(bytes);
                packed.into_iter().for_each(|one| one.end(outcome.clone()));
                None
            }
            Ok(answer) => {
                let packer = Arc::clone(self);
                let answering = async move {
                    let answer = answer.await;
                    packer.let_go(bytes);
                    answer_all(packed, answer);
                };
                Some(answering.boxed())
            }
        }
    }
}

fn answer_all(packed: Vec<Waiting>, answer: Result<Answer, Unanswered>) {
    match answer {
        Ok(Answer::Shard(replies)) if replies.len() == packed.len() => {
            for (waiting, reply) in packed.into_iter().zip(replies) {
                waiting.end(Outcome::Reply(reply));
            }
        }
        Ok(_) => packed
            .into_iter()
            .for_each(|one| one.end(Outcome::Unanswered(Unanswered::Unknown))),
        Err(unanswered) => packed
            .into_iter()
            .for_each(|one| one.end(Outcome::Unanswered(unanswered))),
    }
}
