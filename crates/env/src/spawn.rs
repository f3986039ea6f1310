//! Tasks with an owner: whoever holds a [`Task`] can end it and wait for its end.

use std::{fmt::Debug, future::Future, pin::Pin};

/// A boxed future, as trait objects return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs tasks.
pub trait Spawn: Debug + Send + Sync + 'static {
    /// Starts `future` as a task called `name`. Dropping the [`Task`] ends it.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;
}

/// A running task and the duty to end it: dropping this aborts the task.
#[derive(Debug)]
pub struct Task {
    name: &'static str,
    handle: tokio::task::JoinHandle<()>,
}

impl Task {
    /// Waits until the task has ended by itself.
    ///
    /// # Panics
    /// When the task panicked: its owner goes down with it.
    pub async fn join(mut self) {
        if let Err(error) = (&mut self.handle).await {
            assert!(!error.is_panic(), "task {} panicked: {error}", self.name);
        }
    }

    /// Ends the task and waits until it is gone.
    pub async fn stop(self) {
        self.handle.abort();
        self.join().await;
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Tasks on the tokio runtime that is current when they are spawned.
#[derive(Clone, Copy, Debug)]
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        Task {
            name,
            handle: tokio::spawn(future),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_dropped_task_ends() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = TokioSpawn.spawn(
            "waits for ever",
            Box::pin(async move {
                let _inside = inside;
                std::future::pending::<()>().await;
            }),
        );
        task.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn joining_waits_for_the_end() {
        let task = TokioSpawn.spawn("ends", Box::pin(async {}));
        task.join().await;
    }
}
