//! Tasks and workers with an owner: whoever holds a [`Task`] or a [`Worker`] can end it and wait for its end.

use std::{fmt::Debug, future::Future, pin::Pin};

use crate::worker::{Step, Worker};

/// A boxed future, as trait objects return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs tasks.
pub trait Spawn: Debug + Send + Sync + 'static {
    /// Starts `future` as a task called `name`. Dropping the [`Task`] ends it.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task;
    /// Starts a worker called `name`, whose `step` may block. Dropping the [`Worker`] ends it.
    fn worker(&self, name: &'static str, step: Step) -> Worker;
    /// Does `work`, which may block, once and away from the tasks. It is done even if the future is dropped.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
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

    fn worker(&self, name: &'static str, step: Step) -> Worker {
        Worker::thread(name, step)
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let done = tokio::task::spawn_blocking(work);
        Box::pin(async move { done.await.expect("blocking work does not panic") })
    }
}

/// Tasks on the tokio runtime, and blocking work between them on the same thread: nothing happens beside the
/// runtime, so that paused time and a seed decide everything. For tests and simulation.
#[derive(Clone, Copy, Debug)]
pub struct InlineSpawn;

impl Spawn for InlineSpawn {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Task {
        TokioSpawn.spawn(name, future)
    }

    fn worker(&self, name: &'static str, step: Step) -> Worker {
        Worker::inline(step, |future| self.spawn(name, future))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let done = tokio::spawn(async move { work() });
        Box::pin(async move { done.await.expect("blocking work does not panic") })
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
