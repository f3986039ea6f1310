//! openraft's state machine over any [`Machine`], with snapshots as files of the store.
//!
//! Invariant: the state is a function of the entries applied; a snapshot holds exactly what was applied up to
//! the place in its head, frozen before anything later was.

use std::{fmt, io, marker::PhantomData, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};
use halley_env::Spawn;
use halley_store::{GroupId, SnapshotFile, Snapshots};
use openraft::{
    EntryPayload, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine, Snapshot},
};
use tokio::sync::oneshot;

use super::{
    Answer, LeaderId, LogId, Runtime, SnapshotMeta, StoredMembership, Types,
    message::{self, SnapshotForm},
};
use crate::{limits, malformed::Malformed};

/// What a group's entries change.
pub(crate) trait Machine: Send + Sync + 'static {
    /// Applies one entry's payload.
    fn apply(&self, payload: Bytes) -> Answer;
    /// A view of the state that later entries do not change; cheap.
    fn freeze(&self) -> Box<dyn Frozen>;
    /// Puts the state of a snapshot's content in place. May take long.
    ///
    /// # Errors
    /// [`Malformed`]; the state is as before then.
    fn restore(&self, content: Bytes) -> Result<(), Malformed>;
}

/// A frozen state, to be written.
pub(crate) trait Frozen: Send + Sync {
    /// Gives the content to `out`, piece by piece. May take long.
    fn write(&self, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;
}

type RaftSnapshot = Snapshot<LeaderId, u64, openraft::EmptyNode, SnapshotFile>;

/// A group's state as openraft moves it.
pub(crate) struct GroupState<R> {
    group: GroupId,
    machine: Arc<dyn Machine>,
    snapshots: Snapshots,
    spawn: Arc<dyn Spawn>,
    applied: Option<LogId>,
    membership: StoredMembership,
    runtime: PhantomData<fn() -> R>,
}

impl<R> GroupState<R> {
    /// The state of `group`, empty until openraft has restored it.
    pub(crate) fn new(
        group: GroupId,
        machine: Arc<dyn Machine>,
        snapshots: Snapshots,
        spawn: Arc<dyn Spawn>,
    ) -> Self {
        Self {
            group,
            machine,
            snapshots,
            spawn,
            applied: None,
            membership: StoredMembership::default(),
            runtime: PhantomData,
        }
    }
}

impl<R> fmt::Debug for GroupState<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupState")
            .field("group", &self.group)
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// Does `work` away from the tasks and gives its result.
pub(crate) async fn away<T: Send + 'static>(
    spawn: &dyn Spawn,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = oneshot::channel();
    spawn
        .blocking(Box::new(move || {
            let _nobody_waits = done.send(work());
        }))
        .await;
    result.await.expect("the work was done")
}

impl<R: Runtime> RaftStateMachine<Types<R>> for GroupState<R> {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder<R>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types<R>>>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let answer = match entry.payload {
                EntryPayload::Blank => Answer::None,
                EntryPayload::Normal(payload) => self.machine.apply(payload.0),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Answer::None
                }
            };
            self.applied = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<R> {
        Builder {
            group: self.group,
            frozen: Some(self.machine.freeze()),
            snapshots: self.snapshots.clone(),
            spawn: Arc::clone(&self.spawn),
            meta: SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
            },
            runtime: PhantomData,
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> io::Result<()> {
        let machine = Arc::clone(&self.machine);
        let (group, snapshots) = (self.group, self.snapshots.clone());
        away(self.spawn.as_ref(), move || {
            let content = whole(&snapshot)?;
            // One that came over the network lies here already.
            if snapshots
                .newest(group)
                .is_none_or(|own| own.index < snapshot.index)
            {
                let mut writer = snapshots.create(group, snapshot.index, snapshot.head)?;
                writer.write(&content)?;
                writer.finish()?;
            }
            machine.restore(content).map_err(io::Error::from)
        })
        .await?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        metrics::counter!("halley_replica_snapshots_installed_total").increment(1);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        self.snapshots.newest(self.group).map(described).transpose()
    }
}

/// A snapshot file with what its head says of it.
pub(crate) fn described(snapshot: SnapshotFile) -> io::Result<RaftSnapshot> {
    let form: SnapshotForm = message::decode("head of a snapshot", snapshot.head.clone())?;
    Ok(Snapshot {
        meta: form.into(),
        snapshot,
    })
}

fn whole(snapshot: &SnapshotFile) -> io::Result<Bytes> {
    let mut content = BytesMut::new();
    loop {
        let at = u64::try_from(content.len()).expect("a length fits");
        let more = snapshot.read(at, limits::READ_BYTES)?;
        if more.is_empty() {
            return Ok(content.freeze());
        }
        content.extend_from_slice(&more);
    }
}

/// Writes one frozen state.
pub(crate) struct Builder<R> {
    group: GroupId,
    frozen: Option<Box<dyn Frozen>>,
    snapshots: Snapshots,
    spawn: Arc<dyn Spawn>,
    meta: SnapshotMeta,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> RaftSnapshotBuilder<Types<R>> for Builder<R> {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let frozen = self.frozen.take();
        let frozen = frozen.ok_or_else(|| io::Error::other("a builder builds once"))?;
        let head = message::encode(&SnapshotForm::from(&self.meta));
        let index = self.meta.last_log_id.map_or(0, |last| last.index);
        let (group, snapshots) = (self.group, self.snapshots.clone());
        let written = away(self.spawn.as_ref(), move || {
            let mut writer = snapshots.create(group, index, head)?;
            frozen.write(&mut |piece| writer.write(piece))?;
            // Old states are freed here, away from the tasks.
            drop(frozen);
            writer.finish()
        })
        .await?;
        metrics::counter!("halley_replica_snapshots_written_total").increment(1);
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot: written,
        })
    }
}
