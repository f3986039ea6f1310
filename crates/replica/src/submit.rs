//! Commands on their way to a leader on another node: one ordered stream per peer, both ends.
//!
//! Invariant: commands reach the leader in the order in which they were sent; one whose stream broke is
//! unknown, never "not stored".

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream, FuturesUnordered},
};
use halley_env::{Env, Task};
use halley_log::LogError;
use halley_shard::codec;
use tokio::sync::{mpsc, oneshot};

use crate::{
    PeerError, Stream,
    asker::Asker,
    group::Unanswered,
    identity::NodeId,
    limits,
    packer::Outcome,
    peers::Lane,
    question::{Fate, LaneHead, Outcomes, Submission, Submissions, Submitted},
    raft::message,
};

/// The ways to all leaders there may be.
pub(crate) struct Submitter {
    asker: Asker,
    env: Env,
    lanes: Mutex<BTreeMap<NodeId, SubmitLane>>,
}

/// One open stream, and the task that reads its answers.
struct SubmitLane {
    up: mpsc::UnboundedSender<Submission>,
    waiting: Arc<Mutex<Awaited>>,
    _reader: Task,
}

#[derive(Default)]
struct Awaited {
    next: u64,
    by_id: BTreeMap<u64, (u64, oneshot::Sender<Outcome>)>,
    /// Of the commands that have no outcome yet.
    bytes: u64,
    ended: bool,
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").finish_non_exhaustive()
    }
}

fn awaited(waiting: &Mutex<Awaited>) -> MutexGuard<'_, Awaited> {
    waiting
        .lock()
        .expect("nobody panics while holding what is awaited")
}

impl Submitter {
    pub(crate) fn new(asker: Asker, env: Env) -> Self {
        Self {
            asker,
            env,
            lanes: Mutex::default(),
        }
    }

    /// Sends `command` to `to`, in order of the calls. The receiver has its outcome, or is closed when it may have been
    /// stored.
    ///
    /// # Errors
    /// Why nothing was sent; `None` when nothing can be sent there.
    pub(crate) fn send(
        &self,
        to: NodeId,
        group: u16,
        command: Bytes,
    ) -> Result<oneshot::Receiver<Outcome>, Option<LogError>> {
        let address = self.asker.address(to).ok_or(None)?;
        let mut lanes = self
            .lanes
            .lock()
            .expect("nobody panics while holding the lanes");
        if lanes
            .get(&to)
            .is_some_and(|lane| awaited(&lane.waiting).ended)
        {
            lanes.remove(&to);
        }
        let lane = lanes.entry(to).or_insert_with(|| self.open(to, address));
        let (answer, outcome) = oneshot::channel();
        let id = {
            let mut waiting = awaited(&lane.waiting);
            if waiting.ended {
                return Err(None);
            }
            let length = u64::try_from(command.len()).expect("a length fits");
            let cost = length + limits::PROPOSAL_OVERHEAD_BYTES;
            if waiting.bytes + cost > limits::SUBMITTED_BYTES_MAX {
                return Err(Some(LogError::Overloaded {
                    what: "requests in flight",
                    value: waiting.bytes,
                    limit: limits::SUBMITTED_BYTES_MAX,
                }));
            }
            waiting.next += 1;
            waiting.bytes += cost;
            let id = waiting.next;
            waiting.by_id.insert(id, (cost, answer));
            id
        };
        let submission = Submission {
            id,
            group: u32::from(group),
            command,
        };
        // A reader that has ended closes what is awaited.
        let _ended = lane.up.send(submission);
        Ok(outcome)
    }

    fn open(&self, to: NodeId, address: String) -> SubmitLane {
        let head = LaneHead {
            cluster: self.asker.cluster(),
            from: self.asker.me().get(),
            to: to.get(),
            ..LaneHead::default()
        };
        let (up, queued) = mpsc::unbounded_channel();
        let first = stream::iter([message::encode(&head)]);
        let rest = stream::unfold(queued, async |mut queued| {
            let submissions = waiting_in(&mut queued).await?;
            Some((message::encode(&submissions), queued))
        });
        let waiting = Arc::new(Mutex::new(Awaited::default()));
        let reading = read(
            Arc::clone(self.asker.peers()),
            address,
            first.chain(rest).boxed(),
            Arc::clone(&waiting),
        );
        SubmitLane {
            up,
            waiting,
            _reader: self.env.spawn.spawn("submit-lane", Box::pin(reading)),
        }
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        let mut lanes = self
            .lanes
            .lock()
            .expect("nobody panics while holding the lanes");
        lanes.clear();
    }
}

/// Opens the stream and hands its answers to those who wait, until it ends.
async fn read(
    peers: Arc<dyn crate::Peers>,
    address: String,
    up: BoxStream<'static, Bytes>,
    waiting: Arc<Mutex<Awaited>>,
) {
    let never_sent = match peers.open(&address, Lane::Submit, up).await {
        Ok(mut down) => {
            while let Some(Ok(bytes)) = down.next().await {
                let Ok(said) = message::decode::<Outcomes>("outcomes", bytes) else {
                    break;
                };
                let answered = waiting_for(&waiting, said.outcomes);
                for (awaiting, fate) in answered {
                    let _gone = awaiting.send(outcome(fate));
                }
            }
            false
        }
        Err(PeerError::Unreachable(_)) => true,
        Err(PeerError::NoAnswer(_)) => false,
    };
    let left = {
        let mut waiting = awaited(&waiting);
        waiting.ended = true;
        std::mem::take(&mut waiting.by_id)
    };
    if never_sent {
        for (_, (_, awaiting)) in left {
            let _gone = awaiting.send(Outcome::Unanswered(Unanswered::Elsewhere(None)));
        }
    }
}

/// The oldest that wait to be sent, as many as make a message; `None` once nobody sends any more.
async fn waiting_in(queued: &mut mpsc::UnboundedReceiver<Submission>) -> Option<Submissions> {
    let mut submissions = vec![queued.recv().await?];
    let mut bytes = submissions[0].command.len();
    while submissions.len() < limits::PACK_PUBLISHES_MAX && bytes < limits::PACK_BYTES_MAX {
        let Ok(next) = queued.try_recv() else { break };
        bytes += next.command.len();
        submissions.push(next);
    }
    Some(Submissions { submissions })
}

/// Those who wait for these outcomes, each with its own.
fn waiting_for(
    waiting: &Mutex<Awaited>,
    outcomes: Vec<Submitted>,
) -> Vec<(oneshot::Sender<Outcome>, Option<Fate>)> {
    let mut waiting = awaited(waiting);
    let mut answered = Vec::with_capacity(outcomes.len());
    for submitted in outcomes {
        if let Some((cost, awaiting)) = waiting.by_id.remove(&submitted.id) {
            waiting.bytes -= cost;
            answered.push((awaiting, submitted.fate));
        }
    }
    answered
}

fn outcome(fate: Option<Fate>) -> Outcome {
    match fate {
        Some(Fate::Reply(bytes)) => match codec::decode_reply(&bytes) {
            Ok(reply) => Outcome::Reply(reply),
            Err(_) => Outcome::Unanswered(Unanswered::Unknown),
        },
        Some(Fate::Elsewhere(leader)) => {
            Outcome::Unanswered(Unanswered::Elsewhere(NodeId::new(leader)))
        }
        Some(Fate::Failed(bytes)) => match LogError::decode(&bytes) {
            Ok(error) => Outcome::Failed(error),
            Err(_) => Outcome::Unanswered(Unanswered::Unknown),
        },
        Some(Fate::Unknown(())) | None => Outcome::Unanswered(Unanswered::Unknown),
    }
}

fn fate(outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Reply(reply) => Fate::Reply(codec::encode_reply(&reply)),
        Outcome::Failed(error) => Fate::Failed(error.encode()),
        Outcome::Unanswered(Unanswered::Elsewhere(leader)) => {
            Fate::Elsewhere(leader.map_or(0, |leader| leader.get()))
        }
        Outcome::Unanswered(Unanswered::Unknown) => Fate::Unknown(()),
    }
}

/// What a leader does with one submission: refused at once, or its outcome to come.
pub(crate) type Taken = Result<oneshot::Receiver<Outcome>, Outcome>;

/// The leader's end: hands submissions to `take` in their order, and answers each as soon as it can.
pub(crate) fn submit_lane(
    up: Stream,
    take: impl Fn(u16, Bytes) -> Taken + Send + 'static,
) -> BoxStream<'static, Bytes> {
    let state = (up, take, FuturesUnordered::new(), true);
    let answers = stream::unfold(state, async |(mut up, take, mut flying, mut open)| {
        let mut outcomes = Vec::new();
        while outcomes.is_empty() {
            tokio::select! {
                biased;
                Some(first) = flying.next(), if !flying.is_empty() => {
                    outcomes.push(first);
                    // An entry's commands have their outcomes together.
                    while outcomes.len() < limits::PACK_PUBLISHES_MAX
                        && let Some(Some(next)) = flying.next().now_or_never()
                    {
                        outcomes.push(next);
                    }
                }
                message = up.next(), if open => {
                    let submissions = message
                        .and_then(Result::ok)
                        .and_then(|bytes| message::decode::<Submissions>("submissions", bytes).ok());
                    let Some(Submissions { submissions }) = submissions else {
                        open = false;
                        continue;
                    };
                    for Submission { id, group, command } in submissions {
                        match take(u16::try_from(group).unwrap_or(u16::MAX), command) {
                            Err(refused) => outcomes.push(Submitted { id, fate: Some(fate(refused)) }),
                            Ok(outcome) => flying.push(submitted(id, outcome)),
                        }
                    }
                }
                else => return None,
            }
        }
        let answer = message::encode(&Outcomes { outcomes });
        Some((answer, (up, take, flying, open)))
    });
    answers.boxed()
}

async fn submitted(id: u64, outcome: oneshot::Receiver<Outcome>) -> Submitted {
    let unknown = Outcome::Unanswered(Unanswered::Unknown);
    let fate = fate(outcome.await.unwrap_or(unknown));
    Submitted {
        id,
        fate: Some(fate),
    }
}
