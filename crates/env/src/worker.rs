//! Work that blocks, done step by step away from the tasks.
//!
//! Invariant: the steps of one worker never overlap, a wake is never lost, and ending a worker waits for the
//! step that runs and does the one that was asked for.

use std::{
    fmt::{self, Debug},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
};

use tokio::sync::Notify;

use crate::{BoxFuture, Task};

/// One step of a worker: does all that is to be done now, and returns. It may block.
pub type Step = Box<dyn FnMut() + Send>;

/// A worker and the duty to end it: dropping this waits for its end.
pub struct Worker {
    kind: Kind,
}

enum Kind {
    Thread {
        bell: Arc<Bell>,
        thread: Option<JoinHandle<()>>,
    },
    Inline {
        bell: Arc<Notify>,
        step: Arc<Mutex<Step>>,
        _task: Task,
    },
}

#[derive(Default)]
struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    ended: bool,
}

impl Bell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nobody panics while holding the bell")
    }
}

impl Worker {
    /// A worker on a thread of its own.
    ///
    /// # Panics
    /// When the machine has no thread left.
    #[must_use]
    pub(crate) fn thread(name: &'static str, mut step: Step) -> Self {
        let bell = Arc::new(Bell::default());
        let heard = Arc::clone(&bell);
        let work = move || {
            loop {
                let mut state = heard.state();
                while !state.rung && !state.ended {
                    state = heard
                        .rung
                        .wait(state)
                        .expect("nobody panics while holding the bell");
                }
                if !state.rung {
                    return;
                }
                state.rung = false;
                drop(state);
                step();
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work);
        let thread = Some(thread.expect("the machine has a thread left"));
        Self {
            kind: Kind::Thread { bell, thread },
        }
    }

    /// A worker whose steps are done between tasks, by a task that `spawn` starts.
    pub(crate) fn inline(step: Step, spawn: impl FnOnce(BoxFuture<'static, ()>) -> Task) -> Self {
        let bell = Arc::new(Notify::new());
        let step = Arc::new(Mutex::new(step));
        let (heard, stepping) = (Arc::clone(&bell), Arc::clone(&step));
        let task = spawn(Box::pin(async move {
            loop {
                heard.notified().await;
                (stepping
                    .lock()
                    .expect("a step that panics ends the program"))();
            }
        }));
        Self {
            kind: Kind::Inline {
                bell,
                step,
                _task: task,
            },
        }
    }

    /// Asks for one more step. Never blocks; asking twice before a step begins asks for one.
    pub fn wake(&self) {
        match &self.kind {
            Kind::Thread { bell, .. } => {
                bell.state().rung = true;
                bell.rung.notify_one();
            }
            Kind::Inline { bell, .. } => bell.notify_one(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Thread { bell, thread } => {
                bell.state().ended = true;
                bell.rung.notify_one();
                let thread = thread.take().expect("a worker is dropped once");
                // A worker that owns itself ends on its own thread, which nobody can wait for there.
                if thread.thread().id() != std::thread::current().id() {
                    let _panicked = thread.join();
                }
            }
            Kind::Inline { step, .. } => {
                if let Ok(mut step) = step.try_lock() {
                    step();
                }
            }
        }
    }
}

impl Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::{InlineSpawn, Spawn, TokioSpawn};

    /// A worker that moves what lies in a queue to a channel.
    fn mover(spawn: &dyn Spawn) -> (Arc<Mutex<Vec<u32>>>, mpsc::Receiver<u32>, Worker) {
        let queue = Arc::new(Mutex::new(Vec::new()));
        let (moved, out) = mpsc::channel();
        let from = Arc::clone(&queue);
        let step = move || {
            for number in from.lock().expect("a queue").drain(..) {
                moved.send(number).expect("somebody listens");
            }
        };
        (queue, out, spawn.worker("mover", Box::new(step)))
    }

    #[test]
    fn a_thread_does_what_it_is_woken_for_and_what_is_left_at_its_end() {
        let (queue, out, worker) = mover(&TokioSpawn);
        for number in 0..100 {
            queue.lock().expect("a queue").push(number);
            worker.wake();
        }
        drop(worker);
        assert_eq!(out.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_inline_worker_steps_between_tasks() {
        let (queue, out, worker) = mover(&InlineSpawn);
        queue.lock().expect("a queue").push(7);
        worker.wake();
        while out.try_recv() != Ok(7) {
            tokio::task::yield_now().await;
        }
        queue.lock().expect("a queue").push(8);
        worker.wake();
        drop(worker);
        assert_eq!(out.recv(), Ok(8));
    }
}
