//! What a subscriber asks for: channels and parameters, from path, query, headers or a JSON body.
//!
//! Invariant: path, query and body end in the same checks, so that one rule holds on every transport.

mod given;
mod history;
mod place;

use halley_shard::{ChannelName, ChannelPattern, Interest, Since, limits as shard_limits};
use percent_encoding::percent_decode_str;

use crate::{Code, Rejection, limits};
use given::Given;

pub use history::{HistoryForm, parse_history};
pub use place::since;

/// A subscribe request, understood and within all limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeForm {
    /// Channels and patterns, each once.
    pub interests: Vec<Interest>,
    /// From where.
    pub since: Since,
    /// Whence `since` came.
    pub source: SinceSource,
    /// A cursor came that could not be read (`since` is `Earliest` then); only from headers and `lastEventId`.
    pub unreadable: bool,
    /// Seconds a poll is held; `None` when not given.
    pub wait_seconds: Option<u64>,
    /// Events of one answer.
    pub limit: usize,
    /// The payload alone.
    pub data_only: bool,
    /// Bytes of padding.
    pub padding: usize,
    /// The 2008 draft's format of an event stream (`dialect=dom-event-stream`, SSE only).
    pub dom_event_stream: bool,
}

/// Whence a starting place came; decides whether a foreign cursor is an error or a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinceSource {
    /// Nothing was said.
    Default,
    /// `since`.
    Since,
    /// `Last-Event-ID` or `lastEventId`.
    LastEventId,
    /// `If-None-Match`.
    IfNoneMatch,
}

/// What the transport brings to the reading of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestParts<'a> {
    /// Path behind `/v1/<transport>`, undecoded (`/stocks/goog`), or empty.
    pub path: &'a str,
    /// Query string, undecoded, without `?`.
    pub query: &'a str,
    /// `Last-Event-ID` header; empty is as if absent. Wins over `lastEventId` in the query.
    pub last_event_id: Option<&'a [u8]>,
    /// `If-None-Match` header (all fields joined by `,`). Wins over `Last-Event-ID`, except on a streamed
    /// transport, where browsers send that by themselves.
    pub if_none_match: Option<&'a [u8]>,
    /// A streamed transport: a broken `Last-Event-ID` is told as a gap there, and refused elsewhere.
    pub streamed: bool,
    /// `format=data` exists on this transport (sse, poll).
    pub data_format: bool,
}

/// Reads a GET. A `since` that a header overrides is not looked at.
///
/// # Errors
/// `channel_invalid`, `pattern_invalid`, `too_many_channels`, `cursor_invalid`, or `parameter_invalid` for
/// everything else, a `token` included.
pub fn parse(parts: RequestParts<'_>) -> Result<SubscribeForm, Rejection> {
    understand(parts, Given::of_query(parts.query)?)
}

/// Reads the body of `POST /v1/poll`; the query may not repeat a member.
///
/// # Errors
/// Those of [`parse`]; `body_invalid` for a body that is no such object; `payload_too_large` beyond
/// [`limits::BODY_BYTES_MAX`].
pub fn parse_body(parts: RequestParts<'_>, body: &[u8]) -> Result<SubscribeForm, Rejection> {
    let mut given = Given::of_query(parts.query)?;
    given.add_body(body)?;
    understand(parts, given)
}

fn understand(parts: RequestParts<'_>, given: Given) -> Result<SubscribeForm, Rejection> {
    let interests = match (parts.path, &given.channels[..]) {
        ("", channels) => interests(channels.iter().map(String::as_str))?,
        (path, []) => vec![interest(&decode_path(path)?)?],
        _ => return Err(invalid("channels are named both in the path and beside it")),
    };
    let data_only = match given.format.as_deref() {
        None | Some("envelope") => false,
        Some("data") if parts.data_format => true,
        Some("data") => return Err(invalid("format=data does not exist on this transport")),
        Some(_) => return Err(invalid("format is neither envelope nor data")),
    };
    let is_sse = parts.streamed && parts.data_format;
    let dom_event_stream = match given.dialect.as_deref() {
        Some("dom-event-stream") => is_sse,
        Some(_) if is_sse => return Err(invalid("the only dialect is dom-event-stream")),
        _ => false,
    };
    let wait_seconds = given
        .wait
        .map(|text| integer("wait", &text, 0, limits::WAIT_SECONDS_MAX));
    let padding = given
        .padding
        .map(|text| integer("padding", &text, 0, limits::PADDING_BYTES_MAX));
    let place = place::Place::find(&parts, given.since.as_deref(), given.last_event_id.as_ref())?;
    Ok(SubscribeForm {
        interests,
        since: place.since,
        source: place.source,
        unreadable: place.unreadable,
        wait_seconds: wait_seconds.transpose()?,
        limit: limit(given.limit.as_deref())?,
        data_only,
        padding: padding.transpose()?.unwrap_or(0),
        dom_event_stream,
    })
}

/// The channel of a path such as `/v1/publish/stocks/goog`, from the part behind the prefix: percent-decoded
/// once, `%2F` refused.
///
/// # Errors
/// `channel_invalid`.
pub fn channel_in_path(path: &str) -> Result<ChannelName, Rejection> {
    channel(&decode_path(path)?)
}

/// One channel or pattern in text.
///
/// # Errors
/// `pattern_invalid` for what has a `*`, else `channel_invalid`.
pub fn interest(text: &str) -> Result<Interest, Rejection> {
    if !text.contains('*') {
        return channel(text).map(Interest::Channel);
    }
    ChannelPattern::parse(text)
        .map(Interest::Pattern)
        .map_err(|error| {
            Rejection::new(
                Code::PatternInvalid,
                format!("pattern {:?}: {error}", shorten(text)),
            )
        })
}

fn channel(text: &str) -> Result<ChannelName, Rejection> {
    ChannelName::parse(text).map_err(|error| {
        Rejection::new(
            Code::ChannelInvalid,
            format!("channel {:?}: {error}", shorten(text)),
        )
    })
}

/// The interests of a subscription: at least one, at most 64 channels and 16 patterns, reserved names refused.
/// One named twice counts once.
///
/// # Errors
/// Those of [`interest`]; `too_many_channels`; `parameter_invalid` for none at all.
pub fn interests<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Interest>, Rejection> {
    let mut texts: Vec<&str> = texts.into_iter().collect();
    texts.sort_unstable();
    texts.dedup();
    if texts.is_empty() {
        return Err(invalid("no channel is named"));
    }
    let patterns = texts.iter().filter(|text| text.contains('*')).count();
    let channels = texts.len() - patterns;
    for (what, count, count_max) in [
        (
            "channels",
            channels,
            shard_limits::SUBSCRIPTION_CHANNELS_MAX,
        ),
        (
            "patterns",
            patterns,
            shard_limits::SUBSCRIPTION_PATTERNS_MAX,
        ),
    ] {
        if count > count_max {
            let detail =
                format!("{count} {what} in one subscription, at most {count_max} are allowed");
            return Err(Rejection::new(Code::TooManyChannels, detail));
        }
    }
    texts.into_iter().map(interest).collect()
}

/// The text of a path, percent-decoded once. A slash that was encoded would turn one segment into two.
fn decode_path(path: &str) -> Result<String, Rejection> {
    let refused = |what: &str| {
        Rejection::new(
            Code::ChannelInvalid,
            format!("channel {:?}: {what}", shorten(path)),
        )
    };
    if path.to_ascii_lowercase().contains("%2f") {
        return Err(refused("%2F is not allowed in a path"));
    }
    decode(path).ok_or_else(|| refused("its percent-encoding is broken or no UTF-8"))
}

/// `text`, percent-decoded once; `None` when a `%` begins no escape, or the bytes are no UTF-8.
fn decode(text: &str) -> Option<String> {
    let escapes = text.split('%').skip(1);
    let whole = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !escapes.into_iter().all(whole) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Events of one answer.
fn limit(text: Option<&str>) -> Result<usize, Rejection> {
    text.map_or(Ok(limits::LIMIT_DEFAULT), |text| {
        integer("limit", text, 1, shard_limits::ANSWER_EVENTS_MAX)
    })
}

/// The decimal number `text`, between the bounds.
fn integer<N>(what: &str, text: &str, min: N, max: N) -> Result<N, Rejection>
where
    N: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && min <= number && number <= max => Ok(number),
        _ => {
            let text = shorten(text);
            Err(invalid(format!(
                "{what} is {text:?}, a whole number from {min} to {max} is needed"
            )))
        }
    }
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

#[cfg(test)]
mod tests;
