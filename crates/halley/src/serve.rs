//! `halley serve`: one node, from its settings to its drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use halley_env::{Disk, Env, SystemDisk};
use halley_log::Role;
use halley_replica::StartError;

use crate::{
    cli,
    compose::{ComposeError, Node},
    exit::{self, Failure},
    exits::Exits,
    settings::{self, Settings},
    signals::Signals,
    telemetry,
};

/// What calls over gRPC and the ending of the rooms may take beyond `drain.max_seconds`.
const GRACE: Duration = Duration::from_secs(15);

/// Runs a node until a signal.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(serve: &cli::Serve) -> Result<(), Failure> {
    let settings = settings::load(serve.config.as_deref(), settings::variables(), &serve.flags)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    telemetry::start(&settings)?;
    let env = Env::system();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let data = settings
        .replica
        .as_ref()
        .map(|replica| replica.data.as_path());
    let exits = Exits::open(data, Arc::clone(&disk), Arc::clone(&env.clock));
    watch_over(Arc::clone(&exits));
    let mut signals = signals(serve.exit_with_parent)?;
    let metrics = halley_ops::install_metrics();
    let node = Node::start(&settings, exits, disk, metrics, &env)
        .await
        .map_err(|error| refused(&error))?;
    announce(&settings, node.listeners());

    let signal = signals.next().await;
    tracing::info!(
        signal,
        max_seconds = settings.drain_max.as_secs(),
        "draining"
    );
    tokio::select! {
        drained = tokio::time::timeout(settings.drain_max + GRACE, node.drain(settings.drain_max)) => {
            match drained {
                Ok(()) => tracing::info!("drained"),
                Err(_) => tracing::warn!("the time for draining is over; cutting off what is left"),
            }
        }
        signal = signals.next() => tracing::warn!(signal, "ending without draining"),
    }
    Ok(())
}

/// Notes panics among the ends, and raises the alarm over those of before.
fn watch_over(exits: Arc<Exits>) {
    let check = exits.check();
    if !check.ok {
        tracing::error!(reason = check.detail, "this node stays unready");
    }
    exit::on_panic(move || exits.note());
}

fn signals(with_parent: bool) -> Result<Signals, Failure> {
    let failed = |error| Failure::Internal(format!("signals cannot be received: {error}"));
    let signals = Signals::listen().map_err(failed)?;
    if with_parent {
        return signals.and_parent().map_err(|error| {
            Failure::Usage(format!(
                "--exit-with-parent: standard input is no pipe: {error}"
            ))
        });
    }
    Ok(signals)
}

/// A taken port or directory may be free again at the next start: that is for a supervisor, exit code 70. A disk that
/// belongs to another node or release stays what it is.
fn refused(error: &ComposeError) -> Failure {
    match error {
        ComposeError::Listener { .. }
        | ComposeError::Replica(StartError::InUse(_) | StartError::Io(_)) => {
            Failure::Internal(error.to_string())
        }
        ComposeError::Replica(StartError::Identity(_))
        | ComposeError::Upstream { .. }
        | ComposeError::Tls { .. }
        | ComposeError::TlsFile(_) => Failure::Usage(error.to_string()),
    }
}

fn announce(settings: &Settings, listeners: &[(&'static str, SocketAddr)]) {
    let role = match settings.role {
        Role::Replica => "replica",
        Role::Edge => "edge",
    };
    for (listener, address) in listeners {
        tracing::info!(node = settings.name, listener, %address, "listening");
    }
    tracing::info!(
        node = settings.name,
        role,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
}
