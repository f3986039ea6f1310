//! What a reader of a channel's past asks for: `GET /v1/history/{channel}`.
//!
//! Invariant: one channel, never a pattern; nothing is waited for but a cursor ahead of this node.

use halley_shard::{ChannelName, Since};

use super::{RequestParts, channel_in_path, given::Given, invalid, limit, since};
use crate::Rejection;

/// A history request, understood and within all limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryForm {
    /// The channel.
    pub channel: ChannelName,
    /// From where; `Earliest` when not given.
    pub since: Since,
    /// Events of the answer.
    pub limit: usize,
    /// `consistency=linearizable`: the answer is not older than the request.
    pub linearizable: bool,
}

/// Reads a GET; of `parts` only path and query are looked at.
///
/// # Errors
/// `channel_invalid`, `cursor_invalid`, or `parameter_invalid` for everything else, a `channel` or `token` in the
/// query included.
pub fn parse_history(parts: RequestParts<'_>) -> Result<HistoryForm, Rejection> {
    let given = Given::of_query(parts.query)?;
    if !given.channels.is_empty() {
        return Err(invalid("history is of the one channel in the path"));
    }
    let linearizable = match given.consistency.as_deref() {
        None | Some("local") => false,
        Some("linearizable") => true,
        Some(_) => return Err(invalid("consistency is neither local nor linearizable")),
    };
    Ok(HistoryForm {
        channel: channel_in_path(parts.path)?,
        since: given.since.as_deref().map_or(Ok(Since::Earliest), since)?,
        limit: limit(given.limit.as_deref())?,
        linearizable,
    })
}
