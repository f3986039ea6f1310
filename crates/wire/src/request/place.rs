//! Where a subscription starts: `since`, or the cursor that a browser or cache brought along.
//!
//! Invariant: `If-None-Match` is never refused, whatever it says: caches and proxies may have changed it.

use halley_shard::{Cursor, Since, limits as shard_limits};

use super::{RequestParts, SinceSource, given::Undecodable, integer};
use crate::{Rejection, cursor};

/// A starting place, and whence it came.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) since: Since,
    pub(super) source: SinceSource,
    pub(super) unreadable: bool,
}

impl Place {
    /// The first that is there: on streamed transports `Last-Event-ID`, `If-None-Match`, `since`; on others
    /// `If-None-Match` before `Last-Event-ID`; else `latest`.
    pub(super) fn find(
        parts: &RequestParts<'_>,
        since: Option<&str>,
        last_event_id: Option<&Result<String, Undecodable>>,
    ) -> Result<Self, Rejection> {
        let by_id = || of_last_event_id(parts, last_event_id).transpose();
        let by_tag = || parts.if_none_match.and_then(of_if_none_match).map(Ok);
        let carried = if parts.streamed {
            by_id().or_else(by_tag)
        } else {
            by_tag().or_else(by_id)
        };
        match (carried, since) {
            (Some(place), _) => place,
            (None, Some(text)) => {
                let since = self::since(text)?;
                Ok(Self {
                    since,
                    source: SinceSource::Since,
                    unreadable: false,
                })
            }
            (None, None) => Ok(Self {
                since: Since::Latest,
                source: SinceSource::Default,
                unreadable: false,
            }),
        }
    }

    fn at(cursor: Cursor, source: SinceSource) -> Self {
        Self {
            since: Since::Cursor(cursor),
            source,
            unreadable: false,
        }
    }

    fn unreadable(source: SinceSource) -> Self {
        Self {
            since: Since::Earliest,
            source,
            unreadable: true,
        }
    }
}

/// `since` in text: `latest`, `earliest`, `last:N`, or a cursor. `last:0` is `latest`.
///
/// # Errors
/// `parameter_invalid` for an `N` that is no whole number up to 1,000; `cursor_invalid` for anything else.
pub fn since(text: &str) -> Result<Since, Rejection> {
    match (text, text.strip_prefix("last:")) {
        ("latest", _) => Ok(Since::Latest),
        ("earliest", _) => Ok(Since::Earliest),
        (_, Some(count)) => {
            const COUNT_MAX: u16 = shard_limits::ANSWER_EVENTS_MAX as u16;
            let count = integer("since=last", count, 0, COUNT_MAX)?;
            Ok(if count == 0 {
                Since::Latest
            } else {
                Since::Last(count)
            })
        }
        _ => cursor::parse(text).map(Since::Cursor),
    }
}

/// The header, or the query where there is no header; empty is as if absent.
fn of_last_event_id(
    parts: &RequestParts<'_>,
    query: Option<&Result<String, Undecodable>>,
) -> Result<Option<Place>, Rejection> {
    let header = parts
        .last_event_id
        .map(<[u8]>::trim_ascii)
        .filter(|header| !header.is_empty());
    let header = header.map(|header| std::str::from_utf8(header).unwrap_or(BROKEN));
    let query = query
        .map(|text| text.as_deref().unwrap_or(BROKEN))
        .filter(|text| !text.is_empty());
    let Some(text) = header.or(query) else {
        return Ok(None);
    };
    match cursor::parse(text) {
        Ok(cursor) => Ok(Some(Place::at(cursor, SinceSource::LastEventId))),
        Err(_) if parts.streamed => Ok(Some(Place::unreadable(SinceSource::LastEventId))),
        Err(rejection) => Err(rejection),
    }
}

/// Stands for what is no text; not a cursor.
const BROKEN: &str = "\u{fffd}";

/// The newest of the tags that are cursors: the one with the largest sum of revisions, since of two cursors of one
/// subscription the newer is nowhere behind. `*` says nothing; nothing readable at all is unreadable.
fn of_if_none_match(header: &[u8]) -> Option<Place> {
    let mut tags = header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut named = tags
        .by_ref()
        .filter(|tag| !tag.is_empty() && *tag != b"*")
        .peekable();
    named.peek()?;
    let newest = named.filter_map(cursor_of_tag).max_by_key(|cursor| {
        cursor
            .positions()
            .iter()
            .map(|(_, revision)| u128::from(revision.get()))
            .sum::<u128>()
    });
    let source = SinceSource::IfNoneMatch;
    Some(newest.map_or_else(
        || Place::unreadable(source),
        |cursor| Place::at(cursor, source),
    ))
}

/// The cursor of an entity tag, weak or strong. A quoted comma splits a tag in two that are both none; no cursor
/// has one.
fn cursor_of_tag(tag: &[u8]) -> Option<Cursor> {
    let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
    let text = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    cursor::parse(std::str::from_utf8(text).ok()?).ok()
}
