//! `halley publish CHANNEL [DATA]`.

use std::io::Read as _;

use bytes::Bytes;
use halley_client::Publish;
use halley_shard::limits;
use serde::Serialize;

use super::{PATIENCE, connect, failed, form};
use crate::{cli, cli::Output, exit::Failure, output};

/// A publish's result, members in the order that they have over HTTP.
#[derive(Serialize)]
struct Published<'a> {
    channel: &'a str,
    offset: u64,
    cursor: &'a str,
    duplicate: bool,
}

/// Publishes one event and prints where it is.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(given: cli::Publish, form: Output) -> Result<(), Failure> {
    let client = connect(&given.server, PATIENCE)?;
    let server = given.server.clone();
    let is_json = !given.text && given.content_type == "application/json";
    let event = event(given)?;
    let published = client.publish(event).await.map_err(|error| {
        let mut failure = failed(&server, error);
        if let (true, Failure::Refused { code, detail }) = (is_json, &mut failure)
            && code == "body_invalid"
        {
            detail.push_str("; --text publishes plain text, --content-type anything else");
        }
        failure
    })?;
    let line = match form {
        Output::Text => {
            let again = if published.duplicate {
                " (published before under this key)"
            } else {
                ""
            };
            format!("{} {}{again}", published.channel, published.offset)
        }
        Output::Json => form::json(&Published {
            channel: &published.channel,
            offset: published.offset,
            cursor: &published.cursor,
            duplicate: published.duplicate,
        }),
    };
    output::line(&line)?;
    Ok(())
}

fn event(given: cli::Publish) -> Result<Publish, Failure> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let data = match given.data {
        Some(data) if data != "-" => Bytes::from(data),
        _ => stdin()?,
    };
    let content_type = if given.text {
        "text/plain".into()
    } else {
        given.content_type
    };
    Ok(Publish {
        channel: given.channel,
        data,
        content_type: Some(content_type),
        event_type: some(given.event_type),
        id: some(given.id),
        headers: given
            .headers
            .iter()
            .map(|header| split(header))
            .collect::<Result<_, _>>()?,
        key: some(given.key),
        producer: some(given.producer),
    })
}

fn split(header: &str) -> Result<(String, String), Failure> {
    match header.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(Failure::Usage(format!(
            "--header `{header}`: NAME=VALUE is needed"
        ))),
    }
}

/// All of standard input, as far as a payload may be long.
fn stdin() -> Result<Bytes, Failure> {
    let most = limits::PAYLOAD_BYTES_CEILING;
    let mut data = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(most as u64 + 1)
        .read_to_end(&mut data);
    read.map_err(|error| Failure::Internal(format!("standard input cannot be read: {error}")))?;
    if data.len() > most {
        return Err(Failure::Usage(format!(
            "standard input has more than {most} bytes, which no payload may have"
        )));
    }
    Ok(data.into())
}
