//! openraft's network over [`crate::Peers`]: one append stream per group and peer, the rest as questions.
//!
//! Invariant: answers of a stream come in the order of its requests; a stream that leaves a request unanswered
//! for too long ends, so that its owner opens another.

use std::{
    io,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use halley_env::{BoxFuture, Clock, Spawn};
use halley_store::{GroupId, SnapshotFile};
use openraft::{
    EmptyNode, RaftNetworkFactory, RaftNetworkV2,
    base::BoxStream,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
        VoteResponse,
    },
    storage::Snapshot,
};

use super::{
    LeaderId, Runtime, Types, Vote,
    machine::away,
    message::{self, AppendForm, AppendedForm, VoteForm},
};
use crate::{
    PeerError,
    admission::LogMark,
    asker::Asker,
    identity::NodeId,
    limits,
    meta::Process,
    peers::Lane,
    question::{Ask, LaneHead, Say},
};

/// Makes links of one group.
#[derive(Debug)]
pub(crate) struct Links<R> {
    asker: Asker,
    group: GroupId,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Links<R> {
    pub(crate) fn new(
        asker: Asker,
        group: GroupId,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
    ) -> Self {
        Self {
            asker,
            group,
            clock,
            spawn,
            runtime: PhantomData,
        }
    }
}

impl<R: Runtime> RaftNetworkFactory<Types<R>> for Links<R> {
    type Network = Link<R>;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Link<R> {
        Link {
            asker: self.asker.clone(),
            group: self.group,
            target: NodeId::new(target).expect("Raft is given ids of nodes only"),
            clock: Arc::clone(&self.clock),
            spawn: Arc::clone(&self.spawn),
            runtime: PhantomData,
        }
    }
}

/// One group's way to one peer.
#[derive(Debug)]
pub(crate) struct Link<R> {
    asker: Asker,
    group: GroupId,
    target: NodeId,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    runtime: PhantomData<fn() -> R>,
}

type Rpc<R, T> = Result<T, RPCError<Types<R>>>;
type Appended<R> = Result<StreamAppendResult<Types<R>>, RPCError<Types<R>>>;

/// A peer that does not answer is left alone for a while, whatever the reason.
fn rpc_error<R: Runtime>(error: &PeerError) -> RPCError<Types<R>> {
    Unreachable::new(error).into()
}

impl<R: Runtime> Link<R> {
    async fn ask(&self, ask: Ask, option: &RPCOption) -> Rpc<R, Say> {
        let deadline = option.hard_ttl().max(limits::ASK_MIN);
        let asked = self.asker.ask(self.target, self.group.0, ask, deadline);
        asked.await.map_err(|error| rpc_error(&error))
    }

    fn note(&self, form: &AppendedForm) {
        noted(&self.asker, self.target, self.group, form);
    }

    fn unexpected<T>(&self) -> Rpc<R, T> {
        let error = format!("{} answered something else", self.target);
        Err(NetworkError::from_string(error).into())
    }

    fn head(&self) -> LaneHead {
        LaneHead {
            cluster: self.asker.cluster(),
            from: self.asker.me().get(),
            to: self.target.get(),
            group: u32::from(self.group.0),
            vote: None,
            snapshot: None,
        }
    }

    async fn open(
        &self,
        lane: Lane,
        up: stream::BoxStream<'static, Bytes>,
    ) -> Result<crate::Stream, PeerError> {
        let address = self.asker.address(self.target).ok_or_else(|| {
            PeerError::Unreachable(format!("{} has no known address", self.target))
        })?;
        let opening = self.asker.peers().open(&address, lane, up);
        tokio::select! {
            biased;
            opened = opening => opened,
            () = self.clock.sleep(limits::OPEN_MAX) => {
                Err(PeerError::Unreachable(format!("{address} did not take a stream")))
            }
        }
    }

    /// The next answer of an append stream with `outstanding` requests under way.
    async fn answer(
        clock: &dyn Clock,
        down: &mut crate::Stream,
        outstanding: &AtomicU64,
        note: impl Fn(AppendedForm),
    ) -> Option<Appended<R>> {
        loop {
            let next = tokio::select! {
                biased;
                next = down.next() => next,
                () = clock.sleep(limits::APPEND_ANSWER_MAX) => {
                    if outstanding.load(Ordering::Acquire) == 0 {
                        continue;
                    }
                    Some(Err(PeerError::NoAnswer("an append was left unanswered".into())))
                }
            };
            let answer = next?.and_then(|bytes| {
                message::decode::<AppendedForm>("answer to an append", bytes)
                    .map_err(|error| PeerError::NoAnswer(error.to_string()))
            });
            // Never below nought: a peer that answers more than it was asked is not believed.
            let _ = outstanding.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                count.checked_sub(1)
            });
            return Some(match answer {
                Ok(form) => {
                    note(form);
                    Ok(form.into())
                }
                Err(error) => Err(rpc_error(&error)),
            });
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>,
    ) -> Result<Vote, PeerError> {
        let mut head = self.head();
        head.vote = Some(vote.into());
        head.snapshot = Some((&snapshot.meta).into());
        let first = stream::iter([message::encode(&head)]);
        let pieces = pieces(snapshot.snapshot, Arc::clone(&self.spawn));
        let mut down = self
            .open(Lane::Snapshot, first.chain(pieces).boxed())
            .await?;
        let answer = tokio::select! {
            biased;
            answer = down.next() => answer,
            () = self.clock.sleep(limits::SNAPSHOT_WITHIN) => None,
        };
        let answer = answer
            .unwrap_or_else(|| Err(PeerError::NoAnswer("the snapshot was not taken".into())))?;
        let vote: VoteForm = message::decode("answer to a snapshot", answer)
            .map_err(|error| PeerError::NoAnswer(error.to_string()))?;
        Ok(vote.into())
    }
}

/// Remembers what a follower has acknowledged, and as which process.
fn noted(asker: &Asker, target: NodeId, group: GroupId, form: &AppendedForm) {
    if let Some(place) = form.acknowledged() {
        let mark = LogMark {
            term: place.term,
            index: place.index,
        };
        asker
            .memory()
            .logged(target, Process(form.process), group.0, mark);
    }
}

/// A snapshot's content piece by piece, an empty one at its end: who receives it can tell it from a link that broke.
fn pieces(file: SnapshotFile, spawn: Arc<dyn Spawn>) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(Some((file, spawn, 0_u64)), async |state| {
        let (file, spawn, at) = state?;
        let reading = file.clone();
        let read = away(spawn.as_ref(), move || {
            reading.read(at, limits::SNAPSHOT_CHUNK_BYTES)
        })
        .await;
        // A file that cannot be read ends the stream without its end: the peer refuses it.
        let piece: Bytes = read.inspect_err(broken).ok()?;
        let next = at + u64::try_from(piece.len()).expect("a length fits");
        let rest = (!piece.is_empty()).then_some((file, spawn, next));
        Some((piece, rest))
    })
}

fn broken(error: &io::Error) {
    tracing::error!(%error, "a snapshot cannot be read");
}

impl<R: Runtime> RaftNetworkV2<Types<R>> for Link<R> {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, AppendEntriesResponse<Types<R>>> {
        let last = request.entries.last().map(|entry| entry.log_id);
        let last = last.or(request.prev_log_id);
        match self.ask(Ask::Heartbeat((&request).into()), &option).await? {
            Say::Appended(form) => {
                self.note(&form);
                let appended: StreamAppendResult<Types<R>> = form.into();
                Ok(match appended {
                    Ok(matched) if matched == last => AppendEntriesResponse::Success,
                    Ok(matched) => AppendEntriesResponse::PartialSuccess(matched),
                    Err(error) => Err(error).into(),
                })
            }
            _ => self.unexpected(),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Rpc<R, BoxStream<'s, Appended<R>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let outstanding = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&outstanding);
            // Raft waits in here before it asks a peer again that was out of reach: nothing is opened before.
            let Some(request) = input.next().await else {
                let nothing: BoxStream<'s, Appended<R>> = Box::pin(stream::empty());
                return Ok(nothing);
            };
            let input = stream::iter([request]).chain(input);
            let requests = input.map(move |request| {
                counted.fetch_add(1, Ordering::AcqRel);
                message::encode(&AppendForm::from(&request))
            });
            let exhausted = Arc::new(AtomicBool::new(false));
            let ending = Arc::clone(&exhausted);
            let end = stream::poll_fn(move |_| {
                ending.store(true, Ordering::Release);
                std::task::Poll::Ready(None)
            });
            let first = stream::iter([message::encode(&self.head())]);
            let up = first.chain(requests).chain(end).boxed();
            let opened = self.open(Lane::Append, up).await;
            let down = opened.map_err(|error| rpc_error(&error))?;
            let clock = Arc::clone(&self.clock);
            let (asker, target, group) = (self.asker.clone(), self.target, self.group);
            let note = move |form: AppendedForm| noted(&asker, target, group, &form);
            let state = Some((down, outstanding, clock, note, exhausted));
            let answers = stream::unfold(state, async |state| {
                let (mut down, outstanding, clock, note, exhausted) = state?;
                let answer = Self::answer(clock.as_ref(), &mut down, &outstanding, &note).await;
                let answer = match answer {
                    Some(answer) => answer,
                    None if exhausted.load(Ordering::Acquire) => return None,
                    // Said as an error, or Raft opens the next stream without a pause.
                    None => Err(rpc_error(&PeerError::NoAnswer(
                        "the peer ended the stream".into(),
                    ))),
                };
                let goes_on = matches!(answer, Ok(Ok(_)));
                Some((
                    answer,
                    goes_on.then_some((down, outstanding, clock, note, exhausted)),
                ))
            });
            let answers: BoxStream<'s, Appended<R>> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, VoteResponse<Types<R>>> {
        match self.ask(Ask::Vote((&request).into()), &option).await? {
            Say::Voted(form) => Ok(form.into()),
            _ => self.unexpected(),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, VoteResponse<Types<R>>> {
        match self.ask(Ask::PreVote((&request).into()), &option).await? {
            Say::Voted(form) => Ok(form.into()),
            _ => self.unexpected(),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<R>>, StreamingError<Types<R>>> {
        metrics::counter!("halley_replica_snapshots_sent_total").increment(1);
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => Err(Unreachable::new(&error).into()),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, TransferLeaderResponse<Types<R>>> {
        match self.ask(Ask::Transfer((&request).into()), &option).await? {
            Say::Transferred(true) => Ok(Ok(())),
            Say::Transferred(false) => Ok(Err(TransferLeaderError::LogNotFlushed {
                expected: request.last_log_id().copied(),
                actual: None,
            })),
            _ => self.unexpected(),
        }
    }
}
