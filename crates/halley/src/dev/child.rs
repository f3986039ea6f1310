//! One node as a child process: started, watched, started again when it ends by itself, ended when asked.
//!
//! Invariant: a child never outlives its keeper. It is in a process group of its own, so that Ctrl-C reaches
//! it only through the keeper; it holds the keeper's pipe as standard input and ends when that closes.

use std::{path::PathBuf, process::ExitStatus, process::Stdio, time::Duration};

use halley_env::{Env, Task};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    sync::watch,
};

use super::plan::Planned;
use crate::settings;

/// How long a child may take to drain before it is killed. Longer than `drain.max_seconds` of a child.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a child is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not started yet.
    Starting,
    /// It runs, as this process.
    Running(u32),
    /// It ended by itself, or could not be started; said in a sentence.
    Ended(String),
}

/// A node that is kept running.
#[derive(Debug)]
pub(super) struct Kept {
    /// What it was planned as.
    pub(super) planned: Planned,
    state: watch::Receiver<State>,
    stop: watch::Sender<bool>,
    task: Task,
}

/// How children are run.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// This very program.
    pub(super) program: PathBuf,
    /// How long to wait before a child that ended is started again.
    pub(super) restart_after: Duration,
}

impl Kept {
    /// Starts keeping `planned` running, by these `arguments`.
    pub(super) fn start(
        planned: Planned,
        arguments: Vec<String>,
        recipe: Recipe,
        env: &Env,
    ) -> Self {
        let (told, state) = watch::channel(State::Starting);
        let (stop, stopped) = watch::channel(false);
        let keeper = Keeper {
            name: planned.name.clone(),
            arguments,
            recipe,
            env: env.clone(),
            told,
            stopped,
        };
        let task = env.spawn.spawn("dev child", Box::pin(keeper.run()));
        Self {
            planned,
            state,
            stop,
            task,
        }
    }

    /// What it is doing now.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Asks it to end; [`Kept::ended`] waits for it.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended.
    pub(super) async fn ended(self) {
        self.task.join().await;
    }
}

struct Keeper {
    name: String,
    arguments: Vec<String>,
    recipe: Recipe,
    env: Env,
    told: watch::Sender<State>,
    stopped: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let reason = match self.spawn() {
                Ok(child) => match self.watch(child).await {
                    Some(status) => format!("ended ({status})"),
                    None => return,
                },
                Err(error) => format!("could not be started: {error}"),
            };
            let name = &self.name;
            let pause = self.recipe.restart_after;
            crate::output::error_line(&format!(
                "{name} {reason}; starting it again in {} s",
                pause.as_secs_f32()
            ));
            self.told
                .send_replace(State::Ended(format!("{name} {reason}")));
            tokio::select! {
                () = self.env.clock.sleep(pause) => {}
                _ = self.stopped.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.recipe.program);
        // What is meant for one node would give all of them one address, one disk, one name.
        for variable in settings::of_one_node() {
            command.env_remove(variable);
        }
        command
            .args(&self.arguments)
            .env_remove("HALLEY_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Waits for the end of `child`, of its own accord (then how) or asked for (then `None`).
    async fn watch(&mut self, mut child: Child) -> Option<ExitStatus> {
        let stderr = child
            .stderr
            .take()
            .expect("standard error was asked for as a pipe");
        let lines = relay(self.name.clone(), stderr);
        let lines = self.env.spawn.spawn("dev child's lines", Box::pin(lines));
        if let Some(pid) = child.id() {
            self.told.send_replace(State::Running(pid));
        }
        // `wait` would close standard input, and with it end the child.
        let _held_open = child.stdin.take();
        let status = tokio::select! {
            status = child.wait() => Some(status),
            _ = self.stopped.wait_for(|stop| *stop) => None,
        };
        let status = match status {
            Some(status) => Some(status.unwrap_or_default()),
            None => {
                self.end(child).await;
                None
            }
        };
        lines.join().await;
        status
    }

    async fn end(&self, mut child: Child) {
        // Not reaped yet, so the number still means this child.
        if let Some(pid) = child.id().and_then(pid) {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
            crate::output::error_line(&format!(
                "{} did not end within {} s; killing it",
                self.name,
                PATIENCE.as_secs()
            ));
            let _gone_already = child.kill().await;
        }
    }
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// Prints a child's log lines with its name before them, until the child ends.
async fn relay(name: String, stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        crate::output::error_line(&format!("{name} | {line}"));
    }
}
