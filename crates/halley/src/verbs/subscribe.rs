//! `halley subscribe CHANNEL…`: events as lines, until interrupted.

use halley_client::{Delivery, Since};

use super::{
    PATIENCE, connect, failed,
    form::{self, Envelope, GapLine},
};
use crate::{cli, cli::Output, exit::Failure, output, signals::Signals};

/// Prints events until the count, a signal, or the reader of the lines is gone.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(given: cli::Subscribe, form: Output) -> Result<(), Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::Internal(format!("signals cannot be received: {error}")))?;
    tokio::select! {
        outcome = print(&given, form) => outcome,
        _signal = signals.next() => Ok(()),
    }
}

async fn print(given: &cli::Subscribe, form: Output) -> Result<(), Failure> {
    let client = connect(&given.server, PATIENCE)?;
    let since = Since::from(given.since.as_str());
    let mut subscription = client.subscribe(given.channels.clone(), since);
    let mut left = given.count.unwrap_or(u64::MAX);
    while left > 0 {
        let delivery = subscription
            .next()
            .await
            .map_err(|error| failed(&given.server, error))?;
        let line = match (&delivery, form) {
            (Delivery::Event(event), Output::Text) => form::event_text(event),
            (Delivery::Event(event), Output::Json) => form::json(&Envelope::of(event)),
            (Delivery::Gap(gap), Output::Text) => form::gap_text(gap),
            (Delivery::Gap(gap), Output::Json) => form::json(&GapLine::of(gap)),
        };
        if !output::line(&line)? {
            break;
        }
        left -= u64::from(matches!(delivery, Delivery::Event(_)));
    }
    Ok(())
}
