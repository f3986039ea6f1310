//! `halley channels [PATTERN]`: all channels by name, in figures.

use halley_client::ChannelInfo;
use serde::Serialize;

use super::{PATIENCE, connect, failed, form};
use crate::{cli, cli::Output, exit::Failure, output};

/// Channels asked for at a time; printed before the next are asked for.
const PAGE: u32 = 1_000;

#[derive(Serialize)]
struct Line<'a> {
    channel: &'a str,
    first_offset: u64,
    next_offset: u64,
    events: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_time: Option<u64>,
}

/// Prints them page by page: one JSON object a channel, or a table.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(given: cli::Channels, form: Output) -> Result<(), Failure> {
    let client = connect(&given.server, PATIENCE)?;
    let pattern = (!given.pattern.is_empty()).then_some(given.pattern.as_str());
    let mut token: Option<String> = None;
    loop {
        let page = client
            .channels(pattern, token.as_deref(), PAGE)
            .await
            .map_err(|error| failed(&given.server, error))?;
        if !print(&page.channels, form)? {
            return Ok(());
        }
        match page.next_page {
            Some(next) => token = Some(next),
            None => return Ok(()),
        }
    }
}

/// `false` when nobody reads any more.
fn print(channels: &[ChannelInfo], form: Output) -> Result<bool, Failure> {
    if channels.is_empty() {
        return Ok(true);
    }
    match form {
        Output::Json => {
            let lines = channels.iter().map(|info| form::json(&line(info)));
            output::line(&lines.collect::<Vec<_>>().join("\n"))
        }
        Output::Text => {
            let rows: Vec<_> = channels.iter().map(row).collect();
            output::line(&output::table(
                &["channel", "first", "next", "events", "bytes"],
                &rows,
            ))
        }
    }
}

fn line(info: &ChannelInfo) -> Line<'_> {
    Line {
        channel: &info.channel,
        first_offset: info.first_offset,
        next_offset: info.next_offset,
        events: info.events,
        bytes: info.bytes,
        last_time: info.last_time_ms,
    }
}

fn row(info: &ChannelInfo) -> Vec<String> {
    let figures = [info.first_offset, info.next_offset, info.events, info.bytes];
    std::iter::once(info.channel.clone())
        .chain(figures.map(|figure| figure.to_string()))
        .collect()
}
