//! `halley history CHANNEL`: what is retained.

use halley_client::{Consistency, Since};
use serde::Serialize;

use super::{
    PATIENCE, connect, failed,
    form::{self, Envelope, GapLine},
};
use crate::{cli, cli::Output, exit::Failure, output};

/// contract.md, poll.
#[derive(Serialize)]
struct Answer<'a> {
    cursor: &'a str,
    events: Vec<Envelope<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<GapLine<'a>>,
}

/// Prints gaps and events.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(given: cli::History, form: Output) -> Result<(), Failure> {
    let client = connect(&given.server, PATIENCE)?;
    let consistency = match given.consistency {
        cli::Consistency::Local => Consistency::Local,
        cli::Consistency::Linearizable => Consistency::Linearizable,
    };
    let since = Since::from(given.since.as_str());
    let page = client
        .history(&given.channel, since, given.limit, consistency)
        .await
        .map_err(|error| failed(&given.server, error))?;
    match form {
        Output::Json => {
            let answer = Answer {
                cursor: &page.cursor,
                events: page.events.iter().map(Envelope::of).collect(),
                gaps: page.gaps.iter().map(GapLine::of).collect(),
            };
            output::line(&form::json(&answer))?;
        }
        Output::Text => {
            let gaps = page.gaps.iter().map(form::gap_text);
            for line in gaps.chain(page.events.iter().map(form::event_text)) {
                if !output::line(&line)? {
                    break;
                }
            }
        }
    }
    Ok(())
}
