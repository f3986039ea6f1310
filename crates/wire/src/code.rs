//! The error codes of the public contract. Rooms map their errors to these; two tables map these to statuses.
//!
//! Invariant: a code's text never changes and never means something else.

/// A code, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `channel_invalid`
    ChannelInvalid,
    /// `pattern_invalid`
    PatternInvalid,
    /// `cursor_invalid`
    CursorInvalid,
    /// `parameter_invalid`
    ParameterInvalid,
    /// `body_invalid`
    BodyInvalid,
    /// `too_many_channels`
    TooManyChannels,
    /// `unauthenticated`
    Unauthenticated,
    /// `forbidden`
    Forbidden,
    /// `not_found`
    NotFound,
    /// `method_not_allowed`
    MethodNotAllowed,
    /// `request_timeout`
    RequestTimeout,
    /// `cursor_ahead`
    CursorAhead,
    /// `key_conflict`
    KeyConflict,
    /// `stale_key`
    StaleKey,
    /// `out_of_sequence`
    OutOfSequence,
    /// `aborted`
    Aborted,
    /// `refused`: a command about the cluster that cannot be carried out as long as things stand as they do.
    Refused,
    /// `cursor_foreign`
    CursorForeign,
    /// `payload_too_large`
    PayloadTooLarge,
    /// `uri_too_long`
    UriTooLong,
    /// `unsupported`
    Unsupported,
    /// `upgrade_required`
    UpgradeRequired,
    /// `rate_limited`
    RateLimited,
    /// `headers_too_large`
    HeadersTooLarge,
    /// `internal`: a broken invariant of ours; its detail is one fixed sentence.
    Internal,
    /// `overloaded`
    Overloaded,
    /// `no_leader`
    NoLeader,
    /// `draining`
    Draining,
    /// `unknown_outcome`
    UnknownOutcome,
}

impl Code {
    /// Every code, in the order of the contract's list.
    pub const ALL: [Self; 29] = [
        Self::ChannelInvalid,
        Self::PatternInvalid,
        Self::CursorInvalid,
        Self::ParameterInvalid,
        Self::BodyInvalid,
        Self::TooManyChannels,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::CursorAhead,
        Self::KeyConflict,
        Self::StaleKey,
        Self::OutOfSequence,
        Self::Aborted,
        Self::Refused,
        Self::CursorForeign,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::Unsupported,
        Self::UpgradeRequired,
        Self::RateLimited,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Overloaded,
        Self::NoLeader,
        Self::Draining,
        Self::UnknownOutcome,
    ];

    /// The code as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// A title for people, the same for every occurrence (RFC 9457, 3.1.3).
    #[must_use]
    pub fn title(self) -> &'static str {
        self.texts().1
    }

    /// The code written as `text`; `None` for one that this version does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Code and title.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::ChannelInvalid => ("channel_invalid", "Not a channel name"),
            Self::PatternInvalid => ("pattern_invalid", "Not a channel pattern"),
            Self::CursorInvalid => ("cursor_invalid", "Not a cursor"),
            Self::ParameterInvalid => ("parameter_invalid", "A parameter is not allowed"),
            Self::BodyInvalid => ("body_invalid", "The body cannot be read"),
            Self::TooManyChannels => ("too_many_channels", "Too many channels"),
            Self::Unauthenticated => ("unauthenticated", "Who asks is not known"),
            Self::Forbidden => ("forbidden", "Not allowed"),
            Self::NotFound => ("not_found", "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", "Method not allowed here"),
            Self::RequestTimeout => ("request_timeout", "The request came too slowly"),
            Self::CursorAhead => ("cursor_ahead", "The cursor is beyond the newest event"),
            Self::KeyConflict => ("key_conflict", "The key was used for another content"),
            Self::StaleKey => ("stale_key", "Too old to know whether it was stored"),
            Self::OutOfSequence => ("out_of_sequence", "The previous publish is missing"),
            Self::Aborted => ("aborted", "An earlier event of the channel was refused"),
            Self::Refused => ("refused", "Not as things stand"),
            Self::CursorForeign => ("cursor_foreign", "The cursor is of another history"),
            Self::PayloadTooLarge => ("payload_too_large", "Too large"),
            Self::UriTooLong => ("uri_too_long", "The request line is too long"),
            Self::Unsupported => ("unsupported", "Not supported"),
            Self::UpgradeRequired => ("upgrade_required", "Only by WebSocket"),
            Self::RateLimited => ("rate_limited", "Too many requests"),
            Self::HeadersTooLarge => ("headers_too_large", "The request head is too large"),
            Self::Internal => ("internal", "An error on our side"),
            Self::Overloaded => ("overloaded", "Overloaded for the moment"),
            Self::NoLeader => ("no_leader", "No leader for the moment"),
            Self::Draining => ("draining", "This node is going down"),
            Self::UnknownOutcome => ("unknown_outcome", "Whether it was stored is not known"),
        }
    }
}

/// A refused request: the code, and the sentence that names the value and the limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// What it is called.
    pub code: Code,
    /// What was wrong with what, and what would be right.
    pub detail: String,
}

impl Rejection {
    /// A refusal under `code`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn every_code_reads_back_and_none_is_said_twice() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        assert_eq!(
            Code::ALL.into_iter().collect::<BTreeSet<_>>().len(),
            Code::ALL.len()
        );
        assert_eq!(Code::parse("teapot"), None);
    }
}
