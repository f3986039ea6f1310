//! One Raft group of this node: its life, what it answers to peers, and what this node may ask of it.
//!
//! Invariant: that this node calls itself the leader decides nothing; only a committed entry or a ReadIndex
//! does. A Raft core that ends, however it ends, ends the node.

mod lanes;
mod upkeep;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use halley_env::{Clock, Env, Task};
use halley_store::{GroupId, Snapshots, Wal};
use openraft::{
    Config, EmptyNode, Raft, ReadPolicy, ServerState, SnapshotPolicy, StepDownPolicy,
    async_runtime::WatchReceiver as _,
    errors::{ClientWriteError, RaftError},
    raft::{AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest},
};
use tokio::sync::Notify;

use crate::{
    Fatal, Timing,
    asker::Asker,
    identity::NodeId,
    limits,
    question::{Ask, Say},
    raft::{
        Answer, LeaderId, LogId, Payload, Runtime, Types,
        log::GroupLog,
        machine::{GroupState, Machine},
        message::AppendedForm,
        network::Links,
    },
};

type OwnRaft<R> = Raft<Types<R>, GroupState<R>>;

/// Where a conflict lies that names no place: before every entry.
const NOWHERE: LogId = LogId {
    leader_id: LeaderId {
        term: 0,
        node_id: 0,
    },
    index: 0,
};

/// What all groups of a node share.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) me: NodeId,
    pub(crate) env: Env,
    pub(crate) wal: Wal,
    pub(crate) snapshots: Snapshots,
    pub(crate) asker: Asker,
    pub(crate) timing: Timing,
    pub(crate) fatal: Fatal,
    /// The disk takes nothing more from leaders: the log would fail, and with it the node.
    pub(crate) brim: Arc<AtomicBool>,
}

/// Why a proposal has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Nothing was stored; this one leads, if anybody.
    Elsewhere(Option<NodeId>),
    /// It may have been stored.
    Unknown,
}

/// A group. Owned by its node; [`Group::close`] ends it.
pub(crate) struct Group<R: Runtime> {
    id: GroupId,
    name: String,
    raft: OwnRaft<R>,
    ground: Ground,
    leadership: Arc<Leadership>,
    /// Index of the newest snapshot seen purged, and bytes of the log that were left then.
    kept: Mutex<(u64, u64)>,
    watcher: Mutex<Option<Task>>,
}

/// Who leads, as this node last heard.
#[derive(Debug)]
struct Leadership {
    /// 0: nobody known.
    leader: AtomicU64,
    voters: Mutex<Arc<[NodeId]>>,
    changed: Notify,
    closing: AtomicBool,
    /// Since when this node leads.
    led_since: Mutex<Option<Duration>>,
}

impl Leadership {
    fn new() -> Self {
        Self {
            leader: AtomicU64::new(0),
            voters: Mutex::new(Arc::default()),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
            led_since: Mutex::new(None),
        }
    }

    /// How long this node has led; nothing where it does not.
    fn led_for(&self, clock: &dyn Clock) -> Duration {
        let since = *self.led_since.lock().expect("nobody panics holding it");
        since.map_or(Duration::ZERO, |since| {
            clock.monotonic().saturating_sub(since)
        })
    }
}

impl<R: Runtime> fmt::Debug for Group<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn config(name: &str, timing: Timing) -> Config {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: name.to_owned(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_min),
        election_timeout_max: ms(timing.election_max),
        enable_pre_vote: Some(true),
        // Until this node may vote.
        enable_elect: false,
        // A leader that was started again is a follower first: it may be an old disk.
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::Never,
        // An old disk put back lacks what it once acknowledged: it is sent that again, and does not end the leader.
        allow_log_reversion: Some(true),
        // Purging is asked for, never done beside.
        max_in_snapshot_log_to_keep: u64::MAX,
        max_payload_entries: limits::APPEND_ENTRIES_MAX,
        install_snapshot_timeout: ms(limits::SNAPSHOT_WITHIN),
        removed_leader_step_down: StepDownPolicy::After(150),
        ..Config::default()
    }
}

impl<R: Runtime> Group<R> {
    /// Starts the group: restores its newest snapshot, applies what it knows to be committed, and takes part. It
    /// does not stand for election before [`Group::may_elect`].
    ///
    /// # Errors
    /// What Raft says: the group's disk cannot be read.
    pub(crate) async fn start(
        id: GroupId,
        name: String,
        machine: Arc<dyn Machine>,
        ground: Ground,
    ) -> Result<Arc<Self>, String> {
        let env = &ground.env;
        let log = GroupLog::new(ground.wal.clone(), id);
        let links = Links::new(
            ground.asker.clone(),
            id,
            Arc::clone(&env.clock),
            Arc::clone(&env.spawn),
        );
        let snapshots = ground.snapshots.clone();
        let state = GroupState::<R>::new(id, machine, snapshots, Arc::clone(&env.spawn));
        let config = config(&name, ground.timing).validate();
        let config = Arc::new(config.map_err(|error| error.to_string())?);
        let starting = Raft::new(ground.me.get(), config, links, log, state);
        let raft: OwnRaft<R> = Box::pin(R::within(env.rng.next_u64(), starting))
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        let leadership = Arc::new(Leadership::new());
        let watching = watch(
            raft.clone(),
            name.clone(),
            Arc::clone(&leadership),
            ground.clone(),
        );
        let watcher = env.spawn.spawn("raft-watcher", Box::pin(watching));
        Ok(Arc::new(Self {
            id,
            name,
            raft,
            ground,
            leadership,
            kept: Mutex::default(),
            watcher: Mutex::new(Some(watcher)),
        }))
    }

    pub(crate) fn id(&self) -> GroupId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lets it stand for election, and its votes count.
    pub(crate) fn may_elect(&self) {
        self.raft.runtime_config().elect(true);
    }

    /// Keeps it from standing for election.
    pub(crate) fn may_not_elect(&self) {
        self.raft.runtime_config().elect(false);
    }

    /// Begins the group with exactly these voters; nothing happens where it has begun.
    ///
    /// # Errors
    /// What Raft says.
    pub(crate) async fn initialise(&self, voters: &BTreeSet<NodeId>) -> Result<(), String> {
        let members: BTreeMap<u64, EmptyNode> =
            voters.iter().map(|id| (id.get(), EmptyNode {})).collect();
        let raft = self.raft.clone();
        let begun = self
            .within(async move { raft.initialize(members).await })
            .await;
        match begun {
            Ok(()) | Err(RaftError::APIError(_)) => Ok(()),
            Err(RaftError::Fatal(fatal)) => Err(fatal.to_string()),
        }
    }

    /// Runs a call of Raft's with this runtime's randomness.
    async fn within<T: Send>(&self, call: impl Future<Output = T> + Send) -> T {
        R::within(self.ground.env.rng.next_u64(), call).await
    }

    /// Who leads, as this node last heard.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        NodeId::new(self.leadership.leader.load(Ordering::Acquire))
    }

    /// Who votes, as this node last heard: whom to ask, never who decides. In no order.
    pub(crate) fn known_voters(&self) -> Arc<[NodeId]> {
        let voters = self.leadership.voters.lock();
        Arc::clone(&voters.expect("nobody panics holding them"))
    }

    /// Whether this node believes to lead; good for deciding whom to ask, never for answering.
    pub(crate) fn leads(&self) -> bool {
        self.leader() == Some(self.ground.me)
    }

    /// Completes when another leader than `known` is heard of, nobody included. Cancel-safe.
    pub(crate) async fn leader_changed(&self, known: Option<NodeId>) -> Option<NodeId> {
        loop {
            let mut changed = std::pin::pin!(self.leadership.changed.notified());
            changed.as_mut().enable();
            let now = self.leader();
            if now != known {
                return now;
            }
            changed.await;
        }
    }

    /// Proposes an entry; in order of the calls' first polls. The returned future gives the answer.
    pub(crate) async fn propose(
        &self,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<Answer, Unanswered>> + Send + use<R>, Unanswered> {
        let (responder, answer) = openraft::impls::OneshotResponder::new_pair();
        let proposing = self.raft.client_write_ff(Payload(payload), Some(responder));
        self.within(proposing)
            .await
            .map_err(|_| Unanswered::Unknown)?;
        Ok(async move {
            match answer.await {
                Ok(Ok(written)) => Ok(written.data),
                Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(Unanswered::Elsewhere(
                    forward.leader_id.and_then(NodeId::new),
                )),
                Ok(Err(_)) | Err(_) => Err(Unanswered::Unknown),
            }
        })
    }

    /// Completes once this node has applied all that was committed when the call began, if it leads (ReadIndex).
    pub(crate) async fn read_index(&self) -> Result<(), Unanswered> {
        let reading = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match self.within(reading).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(openraft::errors::LinearizableReadError::ForwardToLeader(
                forward,
            ))) => Err(Unanswered::Elsewhere(
                forward.leader_id.and_then(NodeId::new),
            )),
            Err(_) => Err(Unanswered::Elsewhere(None)),
        }
    }

    /// Answers a peer's question; whether votes may be given is the caller's to know.
    pub(crate) async fn answer(&self, ask: Ask) -> Say {
        match ask {
            Ask::Vote(form) => match self.within(self.raft.vote(form.into())).await {
                Ok(voted) => Say::Voted(voted.into()),
                Err(error) => Say::Refused(error.to_string()),
            },
            Ask::PreVote(form) => match self.within(self.raft.pre_vote(form.into())).await {
                Ok(voted) => Say::Voted(voted.into()),
                Err(error) => Say::Refused(error.to_string()),
            },
            Ask::Heartbeat(form) => {
                let request: AppendEntriesRequest<Types<R>> = form.into();
                let last = request.entries.last().map(|entry| entry.log_id);
                let (prev, last) = (request.prev_log_id, last.or(request.prev_log_id));
                match self.within(self.raft.append_entries(request)).await {
                    Ok(answer) => {
                        let appended: StreamAppendResult<Types<R>> =
                            answer.into_stream_result(prev.or(Some(NOWHERE)), last);
                        let form = AppendedForm::from(appended);
                        Say::Appended(form.by(self.ground.asker.process()))
                    }
                    Err(error) => Say::Refused(error.to_string()),
                }
            }
            Ask::Transfer(form) => {
                let request: TransferLeaderRequest<Types<R>> = form.into();
                match self.within(self.raft.handle_transfer_leader(request)).await {
                    Ok(taken) => Say::Transferred(taken.is_ok()),
                    Err(error) => Say::Refused(error.to_string()),
                }
            }
            Ask::HandOver(to) => {
                let Some(to) = NodeId::new(to) else {
                    return Say::Refused("no node".into());
                };
                let handed = self.transfer(to).await;
                handed.map_or_else(Say::Refused, |()| Say::Done(()))
            }
            _ => Say::Refused("no question for a group".into()),
        }
    }

    /// Asks Raft to hand the leadership to `to`; nothing happens where this node does not lead.
    ///
    /// # Errors
    /// What Raft says.
    pub(crate) async fn transfer(&self, to: NodeId) -> Result<(), String> {
        let raft = self.raft.clone();
        self.within(async move { raft.trigger().transfer_leader(to.get()).await })
            .await
            .map_err(|error| error.to_string())
    }

    /// Ends the group.
    pub(crate) async fn close(&self) {
        self.leadership.closing.store(true, Ordering::Release);
        let _ended = self.within(self.raft.shutdown()).await;
        let watcher = self
            .watcher
            .lock()
            .expect("nobody panics holding it")
            .take();
        if let Some(watcher) = watcher {
            watcher.stop().await;
        }
    }
}

/// Tells who leads as it changes, and the end of the core.
async fn watch<R: Runtime>(
    raft: OwnRaft<R>,
    name: String,
    leadership: Arc<Leadership>,
    ground: Ground,
) {
    let mut metrics = raft.server_metrics();
    drop(raft);
    loop {
        let leader = {
            let seen = metrics.borrow_and_update();
            let voters = seen.membership_config.membership().voter_ids();
            *leadership
                .voters
                .lock()
                .expect("nobody panics holding them") = voters.filter_map(NodeId::new).collect();
            let follows = seen.state != ServerState::Candidate;
            seen.current_leader.filter(|_| follows).unwrap_or(0)
        };
        if leadership.leader.swap(leader, Ordering::AcqRel) != leader {
            let leads = leader == ground.me.get();
            let since = leads.then(|| ground.env.clock.monotonic());
            *leadership
                .led_since
                .lock()
                .expect("nobody panics holding it") = since;
            leadership.changed.notify_waiters();
        }
        if metrics.changed().await.is_err() {
            break;
        }
    }
    leadership.leader.store(0, Ordering::Release);
    leadership.changed.notify_waiters();
    if !leadership.closing.load(Ordering::Acquire) {
        (ground.fatal)(format!("the Raft core of {name} has ended"));
    }
}
