//! `halley check live|ready|round-trip`: for probes in images without any other program.

use std::time::Duration;

use halley_client::{Delivery, Publish, Since};
use halley_env::{Clock as _, Env, SystemClock};
use serde_json::json;

use super::{connect, failed};
use crate::{
    cli::{self, Output, What},
    exit::Failure,
    output, probe,
};

/// Asks, and says what the node said.
///
/// # Errors
/// [`Failure`]: `Refused` when the answer is no.
pub(crate) async fn run(check: cli::Check, form: Output) -> Result<(), Failure> {
    match check.what {
        What::Live(ops) => ask(&ops, "/livez", "live", form).await,
        What::Ready(ops) => ask(&ops, "/readyz", "ready", form).await,
        What::RoundTrip(trip) => round_trip(&trip, form).await,
    }
}

async fn ask(ops: &cli::Ops, path: &str, what: &str, form: Output) -> Result<(), Failure> {
    let answer = probe::get(&ops.ops, path, Duration::from_secs(ops.timeout))
        .await
        .map_err(|error| {
            Failure::Unreachable(format!("{error}. --ops names another ops address"))
        })?;
    if answer.status != 200 {
        let detail = format!("{} is not {what}: {}", ops.ops, answer.body.trim());
        return Err(Failure::Refused {
            code: format!("not_{what}"),
            detail,
        });
    }
    let line = match form {
        Output::Text => format!("{} is {what}", ops.ops),
        Output::Json => json!({ what: true }).to_string(),
    };
    output::line(&line)?;
    Ok(())
}

/// Publishes an event of its own and waits until a subscription gives it back.
async fn round_trip(trip: &cli::RoundTrip, form: Output) -> Result<(), Failure> {
    let patience = Duration::from_secs(trip.timeout);
    let clock = SystemClock::new();
    let late = || {
        Failure::Unreachable(format!(
            "no event came back within {} s; is the node ready? `halley check ready`",
            trip.timeout
        ))
    };
    tokio::time::timeout(patience, pass(trip, patience))
        .await
        .map_err(|_| late())??;
    let milliseconds = clock.monotonic().as_secs_f64() * 1_000.0;
    let line = match form {
        Output::Text => format!("an event came back after {milliseconds:.1} ms"),
        Output::Json => json!({"round_trip_ms": milliseconds}).to_string(),
    };
    output::line(&line)?;
    Ok(())
}

async fn pass(trip: &cli::RoundTrip, patience: Duration) -> Result<(), Failure> {
    let failed = |error| failed(&trip.server, error);
    let client = connect(&trip.server, patience)?;
    let mut subscription = client.subscribe([trip.channel.as_str()], Since::Latest);
    subscription.opened().await.map_err(failed)?;
    let id = format!("{:016x}", Env::system().rng.next_u64());
    let event = Publish {
        id: Some(id.clone()),
        ..Publish::json(trip.channel.as_str(), "{}")
    };
    client.publish(event).await.map_err(failed)?;
    loop {
        if let Delivery::Event(event) = subscription.next().await.map_err(failed)?
            && event.id.as_deref() == Some(id.as_str())
        {
            return Ok(());
        }
    }
}
