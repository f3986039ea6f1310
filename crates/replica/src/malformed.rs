//! Bytes that are none of ours: what the decoders of this room say.
//!
//! Invariant: hostile bytes cost a refusal, never a panic.

use thiserror::Error;

/// Bytes that do not say what they should.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: {reason}")]
pub(crate) struct Malformed {
    /// What they should be.
    pub(crate) what: &'static str,
    /// What does not fit.
    pub(crate) reason: String,
}

impl Malformed {
    /// `what` does not hold because of `reason`.
    #[allow(clippy::needless_pass_by_value, reason = "errors and texts alike")]
    pub(crate) fn new(what: &'static str, reason: impl ToString) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}
