//! A group's ends of the streams that leaders open: entries, and snapshots.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use openraft::raft::AppendEntriesRequest;

use super::Group;
use crate::{
    Stream, limits,
    question::LaneHead,
    raft::{
        Runtime, SnapshotMeta, Types, Vote,
        machine::{away, described},
        message::{self, AppendForm, AppendedForm, VoteForm},
    },
};

impl<R: Runtime> Group<R> {
    /// Takes a leader's entries and says what became of each message, in order.
    pub(crate) fn append_lane(self: Arc<Self>, up: Stream) -> BoxStream<'static, Bytes> {
        let brim = Arc::clone(&self.ground.brim);
        let requests = up.scan((), move |(), message| {
            let room = !brim.load(Ordering::Acquire);
            let request = message.ok().filter(|_| room).and_then(|bytes| {
                let form: AppendForm = message::decode("append", bytes).ok()?;
                Some(AppendEntriesRequest::<Types<R>>::from(form))
            });
            std::future::ready(request)
        });
        let process = self.ground.asker.process();
        let opening = async move {
            let raft = self.raft.clone();
            self.within(async move { raft.stream_append(requests).boxed() })
                .await
        };
        let answers = stream::once(opening).flatten();
        let answers = answers.scan((), move |(), answer| {
            let form = answer.ok().map(AppendedForm::from);
            std::future::ready(form.map(|form| message::encode(&form.by(process))))
        });
        answers.boxed()
    }

    /// Takes a snapshot, and answers with this node's vote once it is installed.
    pub(crate) fn snapshot_lane(
        self: Arc<Self>,
        head: LaneHead,
        up: Stream,
    ) -> BoxStream<'static, Bytes> {
        let taking = async move {
            match self.take_snapshot(head, up).await {
                Ok(vote) => Some(message::encode(&VoteForm::from(vote))),
                Err(error) => {
                    tracing::warn!(group = %self.name, %error, "a snapshot was not taken");
                    None
                }
            }
        };
        stream::once(taking).filter_map(std::future::ready).boxed()
    }

    async fn take_snapshot(&self, head: LaneHead, mut up: Stream) -> Result<Vote, String> {
        let (Some(vote), Some(form)) = (head.vote, head.snapshot) else {
            return Err("a snapshot without a vote or a head".into());
        };
        let spawn = Arc::clone(&self.ground.env.spawn);
        let meta: SnapshotMeta = form.clone().into();
        let index = meta.last_log_id.map_or(0, |last| last.index);
        let (snapshots, id) = (self.ground.snapshots.clone(), self.id);
        let creating = move || snapshots.create(id, index, message::encode(&form));
        let mut writer = away(spawn.as_ref(), creating)
            .await
            .map_err(|error| error.to_string())?;
        loop {
            let piece = up.next().await.ok_or("the stream ended early")?;
            let piece = piece.map_err(|error| error.to_string())?;
            if piece.is_empty() {
                break;
            }
            if piece.len() > 2 * limits::SNAPSHOT_CHUNK_BYTES {
                return Err(format!("a piece of {} bytes", piece.len()));
            }
            let writing = move || writer.write(&piece).map(|()| writer);
            writer = away(spawn.as_ref(), writing)
                .await
                .map_err(|error| error.to_string())?;
        }
        let file = away(spawn.as_ref(), move || writer.finish())
            .await
            .map_err(|error| error.to_string())?;
        let snapshot = described(file).map_err(|error| error.to_string())?;
        let raft = self.raft.clone();
        let installing = async move { raft.install_full_snapshot(vote.into(), snapshot).await };
        let answer = self.within(installing).await;
        Ok(answer.map_err(|error| error.to_string())?.vote)
    }
}
