//! What a node answers to others.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use halley_env::BoxFuture;
use halley_store::GroupId;

use super::{Node, held};
use crate::{
    Answering, Lane, Stream,
    admission::LogMark,
    formation::Hello,
    group::Unanswered,
    identity::{Incarnation, NodeId},
    limits,
    meta::{MetaCommand, Process},
    packer::Outcome,
    question::{Ask, KnownForm, KnownLast, LaneHead, Question, Said, Say, StartForm},
    raft::{Answer, Runtime, message},
    submit::{Taken, submit_lane},
};

/// The way in.
#[derive(Debug)]
pub(crate) struct NodeAnswering<R: Runtime>(pub(crate) Arc<Node<R>>);

impl<R: Runtime> Answering for NodeAnswering<R> {
    fn ask(&self, question: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move {
            let say = match Question::decode(question) {
                Ok(question) => self.0.answer(question).await,
                Err(error) => Say::Refused(error.to_string()),
            };
            let said = Said {
                cluster: self.0.asker.cluster(),
                from: self.0.me().get(),
                say: Some(say),
            };
            said.encode()
        })
    }

    fn open(&self, lane: Lane, mut up: Stream) -> BoxStream<'static, Bytes> {
        let node = Arc::clone(&self.0);
        let opening = async move {
            let head = up.next().await.and_then(Result::ok);
            let head = head.and_then(|bytes| message::decode::<LaneHead>("head", bytes).ok());
            let Some(head) = head else {
                return stream::empty().boxed();
            };
            let checked = node.check(head.cluster, head.to);
            if let Err(reason) = checked.and_then(|()| node.check_standing(head.from)) {
                tracing::warn!(%reason, "a stream was refused");
                return stream::empty().boxed();
            }
            node.take_lane(lane, head, up)
        };
        stream::once(opening).flatten().boxed()
    }
}

impl<R: Runtime> Node<R> {
    /// Whether a message to `to` of `cluster` is for this node.
    fn check(&self, cluster: u64, to: u64) -> Result<(), String> {
        let own = self.asker.cluster();
        if own == 0 {
            return Err("this node belongs to no cluster yet".into());
        }
        if cluster != own {
            return Err(format!(
                "this node belongs to cluster {own:016x}, not to {cluster:016x}"
            ));
        }
        if to != self.me().get() {
            return Err(format!("this is node {}, not {to:016x}", self.me()));
        }
        Ok(())
    }

    /// Whether `from` still counts: a node that was replaced does until its replacement has reached every group.
    fn check_standing(&self, from: u64) -> Result<(), String> {
        let retired = self.meta().is_some_and(|meta| {
            meta.machine.with(|state| {
                NodeId::new(from).is_some_and(|from| {
                    state.is_retired(from)
                        && state.change().is_none_or(|change| !change.retires(from))
                })
            })
        });
        if retired {
            return Err(format!(
                "node {from:016x} was replaced: its disk may not come back"
            ));
        }
        Ok(())
    }

    async fn answer(self: &Arc<Self>, question: Question) -> Say {
        let Question {
            cluster,
            from,
            to,
            group,
            process,
            ask,
        } = question;
        let Some(ask) = ask else {
            return Say::Refused("an empty question".into());
        };
        if let Ask::Greet(hello) = ask {
            return self.greeted(&hello).await;
        }
        if let Err(reason) = self.check(cluster, to) {
            return Say::Refused(reason);
        }
        // A node that was replaced learns that from its announcement.
        let is_announcement = matches!(ask, Ask::Known(_) | Ask::Meta(_));
        if let Err(reason) = self.check_standing(from)
            && !is_announcement
        {
            return Say::Refused(reason);
        }
        let group = GroupId(u16::try_from(group).unwrap_or(u16::MAX));
        match ask {
            Ask::Known(start) => self.known(from, start),
            Ask::Clock(()) => Say::Clock(self.env.clock.wall_ms()),
            Ask::Meta(command) => self.propose_meta_here(command).await,
            Ask::Barrier(()) => self.barrier_here(group).await,
            // Taking a leadership over begins with a vote for oneself.
            Ask::Vote(_) | Ask::PreVote(_) | Ask::Transfer(_) | Ask::Votes(())
                if !self.voting.load(Ordering::Acquire) =>
            {
                Say::Refused("this node may not vote yet".into())
            }
            Ask::Votes(()) => self
                .takes_leaderships()
                .map_or_else(Say::Refused, Say::Done),
            ask => {
                let Some(found) = self.group(group) else {
                    return Say::Refused("no such group here yet".into());
                };
                if let Ask::Vote(form) | Ask::PreVote(form) = &ask
                    && let (Some(node), Some(last)) = (NodeId::new(from), form.last)
                {
                    let mark = LogMark {
                        term: last.term,
                        index: last.index,
                    };
                    self.asker
                        .memory()
                        .logged(node, Process(process), group.0, mark);
                }
                match ask {
                    Ask::Progress(()) => match found.progress() {
                        Some(progress) => Say::Progress(progress),
                        None => Say::Elsewhere(found.leader().map_or(0, NodeId::get)),
                    },
                    ask => found.answer(ask).await,
                }
            }
        }
    }

    /// A greeting, with what it offers written down before the answer says so.
    async fn greeted(self: &Arc<Self>, hello: &Bytes) -> Say {
        let hello = match Hello::decode(hello) {
            Ok(hello) => hello,
            Err(error) => return Say::Refused(error.to_string()),
        };
        let now = self.env.clock.monotonic();
        {
            let mut formation = held(&self.formation);
            match &hello.offer {
                Some(record) => {
                    if let Err(reason) = formation.offered(&hello.greeting, record, now) {
                        tracing::warn!(%reason, "a formation record was refused");
                    }
                }
                None => formation.heard(None, &hello.greeting, now),
            }
        }
        if hello.offer.is_some() {
            // The node's own task writes it down: this one ends when its caller gives up.
            self.record_written().await;
        }
        Say::Greeting(held(&self.formation).greeting().encode())
    }

    /// Waits until no record is being written, for a while.
    async fn record_written(&self) {
        let clock = &self.env.clock;
        let ends = clock.monotonic() + limits::GREET_MAX;
        while held(&self.formation).is_storing() && clock.monotonic() < ends {
            clock.sleep(limits::FORM_EVERY).await;
        }
    }

    /// Whether this node takes leaderships over: not while it hands its own over, or its disk is full.
    ///
    /// # Errors
    /// Why it does not, for people.
    pub(super) fn takes_leaderships(&self) -> Result<(), String> {
        if self.handing_over.load(Ordering::Acquire) {
            return Err("this node is going down".into());
        }
        self.proposals_may_go_on()
            .map_err(|error| error.to_string())
    }

    /// What this node knows of a node that was started again; its own start is remembered.
    fn known(&self, from: u64, start: StartForm) -> Say {
        let Some(node) = NodeId::new(from) else {
            return Say::Refused("no node".into());
        };
        let recorded = self
            .meta()
            .and_then(|meta| meta.machine.with(|state| state.node(node).cloned()));
        if let Some(record) = recorded {
            self.asker
                .memory()
                .started(node, record.incarnation, record.process);
        }
        let incarnation = Incarnation::new(start.incarnation);
        let known = self
            .asker
            .memory()
            .answer(node, incarnation, Process(start.process));
        Say::Known(KnownForm {
            incarnation: known.incarnation.map(Incarnation::get),
            last: known
                .last
                .iter()
                .map(|(group, mark)| KnownLast {
                    group: u32::from(*group),
                    term: mark.term,
                    index: mark.index,
                })
                .collect(),
        })
    }

    async fn barrier_here(&self, group: GroupId) -> Say {
        let shard = self.shards().iter().find(|shard| shard.group.id() == group);
        let Some(shard) = shard else {
            return Say::Refused("no such shard here yet".into());
        };
        match shard.barrier().await {
            Ok(revision) => Say::Revision(revision.get()),
            Err(Unanswered::Elsewhere(leader)) => Say::Elsewhere(leader.map_or(0, NodeId::get)),
            Err(Unanswered::Unknown) => Say::Elsewhere(0),
        }
    }

    /// Proposes a command for the cluster's own state, if this node leads it.
    pub(super) async fn propose_meta_here(&self, command: Bytes) -> Say {
        if let Err(error) = MetaCommand::decode(&command) {
            return Say::Refused(error.to_string());
        }
        let Some(meta) = self.meta() else {
            return Say::Elsewhere(0);
        };
        let answer = match meta.group.propose(command).await {
            Ok(answer) => answer.await,
            Err(unanswered) => Err(unanswered),
        };
        match answer {
            Ok(Answer::Meta(reply)) => Say::Meta(reply.encode()),
            Ok(_) | Err(Unanswered::Unknown) => Say::Refused("the outcome is unknown".into()),
            Err(Unanswered::Elsewhere(leader)) => Say::Elsewhere(leader.map_or(0, NodeId::get)),
        }
    }

    fn take_lane(
        self: Arc<Self>,
        lane: Lane,
        head: LaneHead,
        up: Stream,
    ) -> BoxStream<'static, Bytes> {
        let id = GroupId(u16::try_from(head.group).unwrap_or(u16::MAX));
        let brim = self.ground.brim.load(Ordering::Acquire);
        match (lane, self.group(id)) {
            (Lane::Append | Lane::Snapshot, _) if brim => stream::empty().boxed(),
            (Lane::Submit, _) => submit_lane(up, move |group, command| {
                self.take_submission(GroupId(group), command)
            }),
            (Lane::Append, Some(group)) => group.append_lane(up),
            (Lane::Snapshot, Some(group)) => group.snapshot_lane(head, up),
            (Lane::Append | Lane::Snapshot, None) => stream::empty().boxed(),
        }
    }

    /// Takes a command that another node sent here as to its leader.
    fn take_submission(&self, group: GroupId, command: Bytes) -> Taken {
        let elsewhere = |leader| Err(Outcome::Unanswered(Unanswered::Elsewhere(leader)));
        let shard = self.shards().iter().find(|shard| shard.group.id() == group);
        let Some(shard) = shard else {
            return elsewhere(None);
        };
        if !shard.group.leads() {
            return elsewhere(shard.group.leader());
        }
        shard.packer.push(command).map_err(Outcome::Failed)
    }
}
