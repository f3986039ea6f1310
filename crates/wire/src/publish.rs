//! Publishes as clients write them, turned into [`Publication`]s and checked against every limit.
//!
//! Invariant: what [`check`] lets through can be framed by every framing without another check: JSON is one
//! compact value, text is UTF-8, and nothing that becomes a line of its own has a control character.

mod body;

use bytes::Bytes;
use halley_shard::{ChannelName, Content, IdempotencyKey, Publication, limits as shard_limits};

use crate::{
    Code, Rejection, json, limits,
    media::{self, Kind},
};

pub use body::{channels_named, parse_json};

/// Types that mean something of ours on one transport or another.
const TYPES_RESERVED: [&str; 7] = [
    "cursor",
    "gap",
    "error",
    "open",
    "message",
    "keepalive",
    "end",
];

/// One publish as it came, from whatever surface; absent members are `None` or empty.
#[derive(Clone, Debug, Default)]
pub struct PublishForm {
    /// Channel name, percent-decoded.
    pub channel: String,
    /// Payload.
    pub data: Bytes,
    /// Media type; decides how `data` is checked and shown. `None`: JSON.
    pub content_type: Option<String>,
    /// Type.
    pub event_type: Option<String>,
    /// Event id.
    pub id: Option<String>,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// Idempotency key (quotes around it are not part of it).
    pub key: Option<String>,
    /// Scope of the key (`Halley-Producer`).
    pub producer: Option<String>,
}

/// Checks one publish; `payload_bytes_max` is the node's setting. JSON comes out compact, header names in lower
/// case, a payload without a type of its own as `application/json`.
///
/// # Errors
/// `channel_invalid`; `body_invalid` for JSON or text that is none; `payload_too_large` (of JSON, once compact);
/// `unsupported` for a charset other than UTF-8; `parameter_invalid` for everything beside the payload.
pub fn check(form: PublishForm, payload_bytes_max: usize) -> Result<Publication, Rejection> {
    let channel = ChannelName::parse(&form.channel).map_err(|error| {
        Rejection::new(
            Code::ChannelInvalid,
            format!("channel {:?}: {error}", shorten(&form.channel)),
        )
    })?;
    let event_type = form.event_type.map(event_type).transpose()?;
    let id = form
        .id
        .map(|id| text("id", id, shard_limits::ID_BYTES_MAX))
        .transpose()?;
    let headers = headers(form.headers)?;
    let key = key(form.key, form.producer)?;
    let content_type = content_type(form.content_type)?;
    let data = data(&form.data, &content_type, payload_bytes_max)?;
    let content = Content {
        event_type,
        content_type,
        id,
        headers,
        data,
    };
    Ok(Publication {
        channel,
        content,
        key,
    })
}

fn invalid(detail: impl Into<String>) -> Rejection {
    Rejection::new(Code::ParameterInvalid, detail)
}

/// At most the first 64 characters, for a detail.
fn shorten(text: &str) -> &str {
    text.char_indices()
        .nth(64)
        .map_or(text, |(end, _)| &text[..end])
}

/// `text` if it has 1 to `bytes_max` bytes and no control characters.
fn text(what: &str, text: String, bytes_max: usize) -> Result<String, Rejection> {
    let bytes = text.len();
    if bytes == 0 || bytes > bytes_max {
        return Err(invalid(format!(
            "{what} has {bytes} bytes, 1 to {bytes_max} are allowed"
        )));
    }
    if text.contains(char::is_control) {
        return Err(invalid(format!("{what} has a control character")));
    }
    Ok(text)
}

fn event_type(event_type: String) -> Result<String, Rejection> {
    let event_type = text("type", event_type, shard_limits::TYPE_BYTES_MAX)?;
    if TYPES_RESERVED.contains(&event_type.as_str()) {
        return Err(invalid(format!("type {event_type:?} is reserved")));
    }
    Ok(event_type)
}

/// Names in lower case, each once.
fn headers(mut headers: Vec<(String, String)>) -> Result<Vec<(String, String)>, Rejection> {
    let (count, count_max) = (headers.len(), shard_limits::HEADERS_MAX);
    if count > count_max {
        return Err(invalid(format!(
            "{count} headers, at most {count_max} are allowed"
        )));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let bytes_max = shard_limits::HEADER_BYTES_MAX;
    if bytes > bytes_max {
        return Err(invalid(format!(
            "headers have {bytes} bytes, at most {bytes_max} are allowed"
        )));
    }
    for index in 0..headers.len() {
        let (seen, rest) = headers.split_at_mut(index);
        let (name, value) = &mut rest[0];
        if !media::is_token(name) {
            return Err(invalid(format!(
                "header name {:?} is no token",
                shorten(name)
            )));
        }
        name.make_ascii_lowercase();
        if seen.iter().any(|(other, _)| other == name) {
            return Err(invalid(format!(
                "header {:?} is given twice",
                shorten(name)
            )));
        }
        if value.contains(char::is_control) {
            return Err(invalid(format!(
                "header {:?} has a control character",
                shorten(name)
            )));
        }
    }
    Ok(headers)
}

fn key(key: Option<String>, producer: Option<String>) -> Result<Option<IdempotencyKey>, Rejection> {
    let scope = producer.map(|scope| text("producer", scope, shard_limits::SCOPE_BYTES_MAX));
    let scope = scope.transpose()?.unwrap_or_default();
    let Some(key) = key else {
        return Ok(None);
    };
    let bare = key
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .map(str::to_owned);
    let key = text("key", bare.unwrap_or(key), shard_limits::KEY_BYTES_MAX)?;
    Ok(Some(IdempotencyKey { scope, key }))
}

/// The media type as given; JSON for none and for what simple clients say of any body.
fn content_type(content_type: Option<String>) -> Result<String, Rejection> {
    let Some(content_type) = content_type else {
        return Ok(media::JSON.to_owned());
    };
    let content_type = text(
        "content_type",
        content_type,
        shard_limits::CONTENT_TYPE_BYTES_MAX,
    )?;
    if !media::is_well_formed(&content_type) {
        return Err(invalid(format!(
            "content_type {:?} is no media type",
            shorten(&content_type)
        )));
    }
    if media::essence(&content_type).eq_ignore_ascii_case(media::FORM) {
        return Ok(media::JSON.to_owned());
    }
    Ok(content_type)
}

fn data(data: &Bytes, content_type: &str, bytes_max: usize) -> Result<Bytes, Rejection> {
    let kind = Kind::of(content_type);
    if kind != Kind::Binary
        && let Some(charset) = media::charset(content_type)
        && !["utf-8", "utf8"]
            .iter()
            .any(|utf8| charset.eq_ignore_ascii_case(utf8))
    {
        let detail = format!("charset {:?}: only utf-8 is supported", shorten(charset));
        return Err(Rejection::new(Code::Unsupported, detail));
    }
    // Nothing is scanned that no white space could explain.
    size("payload", data.len(), limits::BODY_BYTES_MAX)?;
    let data = match kind {
        Kind::Json => json::compact(data)?,
        Kind::Text => {
            json::utf8(data)?;
            data.clone()
        }
        Kind::Binary => data.clone(),
    };
    size("payload", data.len(), bytes_max)?;
    Ok(data)
}

fn size(what: &str, bytes: usize, bytes_max: usize) -> Result<(), Rejection> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("{what} has {bytes} bytes, at most {bytes_max} are allowed");
    Err(Rejection::new(Code::PayloadTooLarge, detail))
}

#[cfg(test)]
mod tests;
