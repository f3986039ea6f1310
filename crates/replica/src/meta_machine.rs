//! The cluster's own state as a Raft group moves it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    malformed::Malformed,
    meta::{Meta, MetaCommand},
    raft::{
        Answer,
        machine::{Frozen, Machine},
    },
};

/// The state, and who waits for it to change.
#[derive(Debug, Default)]
pub(crate) struct MetaMachine {
    state: Mutex<Meta>,
    moved: Notify,
}

impl MetaMachine {
    fn state(&self) -> MutexGuard<'_, Meta> {
        self.state
            .lock()
            .expect("nobody panics while holding the state")
    }

    /// What `read` makes of the state, which is locked meanwhile.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Meta) -> T) -> T {
        read(&self.state())
    }

    /// Waits until `read` makes something of the state. Cancel-safe.
    pub(crate) async fn when<T>(&self, read: impl Fn(&Meta) -> Option<T>) -> T {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            let found = self.with(&read);
            if let Some(found) = found {
                return found;
            }
            moved.await;
        }
    }
}

impl Machine for MetaMachine {
    fn apply(&self, payload: Bytes) -> Answer {
        let command = MetaCommand::decode(&payload).unwrap_or_else(|error| {
            // Proposed only once every voter knows its form: the log is damaged otherwise.
            panic!("a committed entry of the cluster's state cannot be read: {error}")
        });
        let reply = self.state().apply(&command);
        self.moved.notify_waiters();
        Answer::Meta(reply)
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(FrozenMeta(self.state().encode()))
    }

    fn restore(&self, content: Bytes) -> Result<(), Malformed> {
        let restored = Meta::decode(&content)?;
        *self.state() = restored;
        self.moved.notify_waiters();
        Ok(())
    }
}

struct FrozenMeta(Bytes);

impl Frozen for FrozenMeta {
    fn write(&self, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        out(&self.0)
    }
}

/// The group of the cluster's own state.
#[derive(Debug)]
pub(crate) struct MetaPart<R: crate::raft::Runtime> {
    pub(crate) group: Arc<crate::group::Group<R>>,
    pub(crate) machine: Arc<MetaMachine>,
}
