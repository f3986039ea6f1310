//! `halley dev`: a whole cluster on this machine, one child process a node, with a publisher of stock quotes.
//!
//! Invariant: when this command ends, however it ends, so do its nodes.

mod announce;
mod authority;
mod child;
mod plan;
mod ports;
mod root;
mod stocks;

use std::time::Duration;

use clap::Parser as _;
use halley_env::{Env, SystemDisk};

use crate::{
    cli::{self, Cli, Output},
    exit::Failure,
    output, probe, settings,
    signals::Signals,
};
use announce::Running;
use child::{Kept, Recipe, State};
use plan::Planned;
use root::Root;

/// How long the nodes may take to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// Longest drain of a child: nobody waits for a cluster of this kind.
const DRAIN_SECONDS: &str = "2";
/// What every node is told besides its plan, unless the environment says it: its variable and its flag. Disks of laptops are
/// fuller than those of servers, and three nodes share this one.
const UNLESS_SAID: [(&str, &str); 3] = [
    ("HALLEY_LOG_LEVEL", "--log-level=warn"),
    (
        "HALLEY_DISK_BALLAST_MAX_BYTES",
        "--disk-ballast-max-bytes=16777216",
    ),
    (
        "HALLEY_DISK_FREE_MIN_BYTES",
        "--disk-free-min-bytes=134217728",
    ),
];

/// Runs the cluster until a signal.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(dev: &cli::Dev, form: Output) -> Result<(), Failure> {
    let env = Env::system();
    let root = Root::choose(dev.data.as_deref(), &env).map_err(Failure::Usage)?;
    let planned = plan::plan(dev, root.path()).map_err(Failure::Usage)?;
    root.fits(dev.nodes).map_err(Failure::Usage)?;
    ports::check(&planned).map_err(Failure::Usage)?;
    let recipe = recipe(dev)?;
    let lines: Vec<_> = planned
        .iter()
        .map(|node| arguments(node, &planned))
        .collect();
    check_settings(&lines)?;
    let mut signals = Signals::listen()
        .map_err(|error| Failure::Internal(format!("signals cannot be received: {error}")))?;
    let _held_to_the_end = root.take(&SystemDisk)?;
    authority::write(planned.iter().map(|node| (&node.name[..], &node.tls)))
        .map_err(Failure::Internal)?;
    let start = |(node, line)| Kept::start(node, line, recipe.clone(), &env);
    let nodes: Vec<Kept> = planned.into_iter().zip(lines).map(start).collect();

    let outcome = tokio::select! {
        outcome = live(&nodes, &root, dev, form, &env) => outcome,
        _signal = signals.next() => Ok(()),
    };
    if form == Output::Text && outcome.is_ok() {
        output::error_line("ending all nodes");
    }
    end(nodes).await;
    outcome
}

/// Waits for the nodes, announces them, and publishes quotes for ever.
async fn live(
    nodes: &[Kept],
    root: &Root,
    dev: &cli::Dev,
    form: Output,
    env: &Env,
) -> Result<(), Failure> {
    let running = ready(nodes, env).await?;
    let publishers = nodes.iter().map(|node| node.planned.grpc);
    let _quotes = (!dev.no_stocks).then(|| stocks::start(publishers, env));
    output::line(&announce::text(&running, root, form))?;
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
    Ok(Recipe {
        program,
        restart_after: Duration::from_millis(dev.restart_after_ms),
    })
}

/// The command line of `node`, behind the program's name.
fn arguments(node: &Planned, all: &[Planned]) -> Vec<String> {
    let mut arguments = node.arguments(all);
    arguments.push(format!("--drain-max-seconds={DRAIN_SECONDS}"));
    let unsaid = UNLESS_SAID
        .iter()
        .filter(|(variable, _)| std::env::var_os(variable).is_none());
    arguments.extend(unsaid.map(|(_, flag)| flag.to_string()));
    arguments
}

/// Finds mistakes of the environment before any child does, in what is passed on to children.
fn check_settings(lines: &[Vec<String>]) -> Result<(), Failure> {
    let is_passed_on =
        |(name, _): &(String, String)| !settings::of_one_node().any(|own| own == name);
    let variables = settings::variables().into_iter().filter(is_passed_on);
    let variables: Vec<_> = variables.collect();
    for line in lines {
        let line = std::iter::once("halley").chain(line.iter().map(String::as_str));
        let cli =
            Cli::try_parse_from(line).map_err(|error| Failure::Internal(error.to_string()))?;
        let cli::Command::Serve(serve) = cli.command else {
            unreachable!("a plan's arguments begin with `serve`")
        };
        settings::load(None, variables.clone(), &serve.flags)
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
