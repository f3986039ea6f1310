//! Turns the publishes that wait at a shard's leader into entries: one at once when none is in flight, and beside
//! others only one that is worth it. So entries pace themselves: what comes while one is on its way to the disks goes
//! together with the next, without waiting for any time.
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
    /// Publishes that wait.
    publishes: usize,
    /// Bytes of the commands that wait.
    packable: usize,
    /// Entries in flight.
    flying: usize,
    /// Of what waits and what is in flight.
    bytes: u64,
    closed: bool,
}

impl Queue {
    /// Whether another entry should be proposed now.
    fn is_worth_an_entry(&self) -> bool {
        let many = self.publishes >= limits::PACK_PUBLISHES_WORTH;
        let large = self.packable >= limits::PACK_BYTES_MAX;
        self.flying == 0 || (self.flying < limits::IN_FLIGHT_MAX && (many || large))
    }
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
        queue.publishes += publishes;
        queue.packable += waiting.command.len();
        queue.waiting.push_back(waiting);
        let worth = queue.is_worth_an_entry();
        drop(queue);
        if worth {
            self.filled.notify_one();
        }
        Ok(outcome)
    }

    /// Refuses commands from now on; those that wait are answered with `Draining`.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        (queue.publishes, queue.packable) = (0, 0);
        let waiting: Vec<_> = queue.waiting.drain(..).collect();
        drop(queue);
        for waiting in waiting {
            waiting.end(Outcome::Failed(LogError::Draining));
        }
    }

    /// The next commands that fit one entry beside `flying` others; empty when no other one should be proposed.
    fn take(&self, flying: usize) -> Vec<Waiting> {
        let mut queue = self.queue();
        queue.flying = flying;
        if !queue.is_worth_an_entry() {
            return Vec::new();
        }
        let (mut publishes, mut bytes, mut count) = (0, 0, 0);
        for waiting in &queue.waiting {
            let more = (publishes + waiting.publishes, bytes + waiting.command.len());
            let fits = more.0 <= limits::PACK_PUBLISHES_MAX && more.1 <= limits::PACK_BYTES_MAX;
            if count > 0 && !fits {
                break;
            }
            (publishes, bytes) = more;
            count += 1;
        }
        queue.publishes -= publishes;
        queue.packable -= bytes;
        // Whoever pushes meanwhile need not wake the one who proposes these.
        queue.flying += usize::from(count > 0);
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
            let packed = self.take(flying.len());
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
            tokio::select! {
                biased;
                Some(()) = flying.next(), if !flying.is_empty() => {}
                () = self.filled.notified() => {}
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

#[cfg(test)]
mod tests {
    use halley_shard::{ChannelName, Content, Origin, ProducerId, Publication, Stamp};

    use super::*;

    #[test]
    fn small_ones_go_together_and_many_do_not_wait() {
        let packer = Packer::new();
        let push = |count: usize| {
            for _ in 0..count {
                let _outcome = packer.push(codec::encode_command(&Command::Tick));
            }
        };
        push(1);
        assert_eq!(packer.take(0).len(), 1, "at once where none is in flight");
        push(limits::PACK_PUBLISHES_WORTH - 1);
        assert!(packer.take(1).is_empty(), "what is in flight is waited for");
        push(1);
        let worth = limits::PACK_PUBLISHES_WORTH;
        assert_eq!(packer.take(1).len(), worth, "unless many wait");
        push(limits::PACK_PUBLISHES_MAX + 3);
        assert!(packer.take(limits::IN_FLIGHT_MAX).is_empty());
        assert_eq!(packer.take(1).len(), limits::PACK_PUBLISHES_MAX);
        assert!(packer.take(1).is_empty());
        assert_eq!(packer.take(0).len(), 3);
        assert!(packer.take(0).is_empty());
    }

    #[test]
    fn large_ones_do_not_wait_for_others() {
        let packer = Packer::new();
        let stamp = Stamp {
            producer: ProducerId([1; 16]),
            sequence: 1,
            previous: None,
            origin: Origin::Client { submission: 1 },
        };
        let publication = Publication {
            channel: ChannelName::parse("/a").expect("a name"),
            content: Content {
                content_type: "text/plain".into(),
                data: vec![b'x'; limits::PACK_BYTES_MAX / 4].into(),
                ..Content::default()
            },
            key: None,
        };
        let command = codec::encode_command(&Command::Publish {
            stamp,
            publications: vec![publication],
        });
        let push = || drop(packer.push(command.clone()));
        (0..3).for_each(|_| push());
        assert!(packer.take(1).is_empty());
        push();
        assert_eq!(packer.take(1).len(), 3, "as many as fit one entry");
    }
}
