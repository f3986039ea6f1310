//! `halley dev`: a whole cluster on this machine, one child process a node, with a publisher of stock quotes.
//!
//! Invariant: when this command ends, however it ends, so do its nodes.

mod announce;
mod child;
mod plan;
mod ports;
mod stocks;

use std::time::Duration;

use clap::Parser as _;
use halley_env::Env;

use crate::{
    cli::{self, Cli, Output},
    exit::Failure,
    output, probe, settings,
    signals::Signals,
};
use announce::Running;
use child::{Kept, Recipe, State};
use plan::Planned;

/// How long the nodes may take to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// Longest drain of a child: nobody waits for a cluster of this kind.
const DRAIN_SECONDS: &str = "2";

/// Runs the cluster until a signal.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(dev: &cli::Dev, form: Output) -> Result<(), Failure> {
    let planned = plan::plan(dev).map_err(Failure::Usage)?;
    ports::check(&planned).map_err(Failure::Usage)?;
    let recipe = recipe(dev)?;
    check_settings(&planned, &recipe)?;
    let mut signals = Signals::listen()
        .map_err(|error| Failure::Internal(format!("signals cannot be received: {error}")))?;
    let env = Env::system();
    let start = |node: Planned| Kept::start(node, recipe.clone(), &env);
    let nodes: Vec<Kept> = planned.into_iter().map(start).collect();

    let outcome = tokio::select! {
        outcome = live(&nodes, dev, form, &env) => outcome,
        _signal = signals.next() => Ok(()),
    };
    if form == Output::Text && outcome.is_ok() {
        output::error_line("ending all nodes");
    }
    end(nodes).await;
    outcome
}

/// Waits for the nodes, announces them, and publishes quotes for ever.
async fn live(nodes: &[Kept], dev: &cli::Dev, form: Output, env: &Env) -> Result<(), Failure> {
    let running = ready(nodes, env).await?;
    let first = nodes.first().expect("a plan has a replica").planned.grpc;
    let _quotes = (!dev.no_stocks).then(|| stocks::start(first, env));
    output::line(&announce::text(&running, form))?;
    std::future::pending().await
}

async fn end(nodes: Vec<Kept>) {
    for node in &nodes {
        node.stop();
    }
    for node in nodes {
        node.ended().await;
    }
}

fn recipe(dev: &cli::Dev) -> Result<Recipe, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Internal(format!("this program cannot find itself: {error}")))?;
    let mut arguments = vec![format!("--drain-max-seconds={DRAIN_SECONDS}")];
    if std::env::var_os("HALLEY_LOG_LEVEL").is_none() {
        arguments.push("--log-level=warn".into());
    }
    let restart_after = Duration::from_millis(dev.restart_after_ms);
    Ok(Recipe {
        program,
        arguments,
        restart_after,
    })
}

/// Finds mistakes of the environment before any child does.
fn check_settings(planned: &[Planned], recipe: &Recipe) -> Result<(), Failure> {
    for node in planned {
        let mut line = vec!["halley".to_owned()];
        line.extend(node.arguments());
        line.extend(recipe.arguments.iter().cloned());
        let cli =
            Cli::try_parse_from(line).map_err(|error| Failure::Internal(error.to_string()))?;
        let cli::Command::Serve(serve) = cli.command else {
            unreachable!("a plan's arguments begin with `serve`")
        };
        settings::load(None, settings::variables(), &serve.flags)
            .map_err(|error| Failure::Usage(error.to_string()))?;
    }
    Ok(())
}

/// Waits until every node is ready.
async fn ready<'a>(nodes: &'a [Kept], env: &Env) -> Result<Vec<Running<'a>>, Failure> {
    let late = env.clock.monotonic() + READY_PATIENCE;
    let mut running = Vec::with_capacity(nodes.len());
    for node in nodes {
        let ops = node.planned.ops.to_string();
        let pid = loop {
            let pid = match node.state() {
                State::Ended(reason) => {
                    return Err(Failure::Internal(format!("{reason} before it was ready")));
                }
                State::Starting => None,
                State::Running(pid) => Some(pid),
            };
            let answer = probe::get(&ops, "/readyz", Duration::from_secs(1)).await;
            if let (Some(pid), true) = (pid, answer.as_ref().is_ok_and(|a| a.status == 200)) {
                break pid;
            }
            if env.clock.monotonic() > late {
                let said = answer.map_or_else(|error| error, |answer| answer.body);
                return Err(Failure::Internal(format!(
                    "{} is not ready after {} s: {said}",
                    node.planned.name,
                    READY_PATIENCE.as_secs()
                )));
            }
            env.clock.sleep(POLL_EVERY).await;
        };
        running.push(Running {
            planned: &node.planned,
            pid,
        });
    }
    Ok(running)
}
