//! Why a call failed, in terms of what its caller can do.

use std::time::Duration;

use halley_wire::Code;
use thiserror::Error;
use tonic::{ConnectError, Status};
use tonic_types::StatusExt;

/// Domain of the broker's error codes.
const DOMAIN: &str = "halley";

/// Why a call failed, after all retries that were worth it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The broker refused.
    #[error("{code}: {detail}")]
    Refused {
        /// The code of the public contract, such as `channel_invalid`.
        code: String,
        /// What was wrong, for people.
        detail: String,
        /// When the broker asks to be tried again.
        retry: Option<Duration>,
    },
    /// No endpoint could be reached: nothing was sent.
    #[error("no endpoint could be reached: {detail}")]
    Unreachable {
        /// Why not, of the last one tried.
        detail: String,
    },
    /// Something was sent, and no answer came: it may have been done.
    #[error("no answer came, the outcome is unknown: {detail}")]
    NoAnswer {
        /// What happened to the last attempt.
        detail: String,
    },
    /// An endpoint's address cannot be read.
    #[error("{endpoint:?} is no endpoint: {detail}")]
    Endpoint {
        /// The address.
        endpoint: String,
        /// Why not.
        detail: String,
    },
}

impl ClientError {
    /// The code of the public contract; `unreachable`, `unknown_outcome` or `parameter_invalid` for what never came
    /// from a broker.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => Code::UnknownOutcome.as_str(),
            Self::Endpoint { .. } => Code::ParameterInvalid.as_str(),
        }
    }

    /// Why, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Refused { detail, .. }
            | Self::Unreachable { detail }
            | Self::NoAnswer { detail }
            | Self::Endpoint { detail, .. } => detail,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { code, retry, .. } => retry.is_some() || is_passing(code),
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Endpoint { .. } => false,
        }
    }

    /// Whether no broker's word was had, as opposed to a refusal.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NoAnswer { .. })
    }

    /// Whether another endpoint may do better right now.
    pub(crate) fn is_of_this_endpoint(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                matches!(Code::parse(code), Some(Code::Draining | Code::NoLeader))
            }
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Endpoint { .. } => false,
        }
    }

    /// When the broker asks to be tried again.
    pub(crate) fn retry(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry, .. } => *retry,
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Endpoint { .. } => None,
        }
    }

    pub(crate) fn no_answer(detail: impl Into<String>) -> Self {
        Self::NoAnswer {
            detail: detail.into(),
        }
    }

    /// What a failed call says.
    pub(crate) fn of_status(status: &Status) -> Self {
        let details = status.get_error_details();
        if let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) {
            let retry = details.retry_info().and_then(|info| info.retry_delay);
            let detail = status.message().to_owned();
            return Self::Refused {
                code: info.reason.clone(),
                detail,
                retry,
            };
        }
        let said = format!("{:?}: {}", status.code(), status.message());
        let detail = with_causes(said, std::error::Error::source(status));
        if never_sent(status) {
            return Self::Unreachable { detail };
        }
        match status.code() {
            tonic::Code::Unavailable
            | tonic::Code::Unknown
            | tonic::Code::Cancelled
            | tonic::Code::DeadlineExceeded
            | tonic::Code::Internal => Self::NoAnswer { detail },
            // Not a broker of ours, or one of another age: its word is final all the same.
            _ => Self::Refused {
                code: Code::Unsupported.as_str().to_owned(),
                detail,
                retry: None,
            },
        }
    }
}

/// Whether the code is one of a condition that passes. What may have been stored is among them: retries are safe.
pub(crate) fn is_passing(code: &str) -> bool {
    matches!(
        Code::parse(code),
        Some(
            Code::Overloaded
                | Code::NoLeader
                | Code::Draining
                | Code::RateLimited
                | Code::UnknownOutcome
                | Code::RequestTimeout
        )
    )
}

/// `told`, and of its causes whatever it does not say yet: a refused certificate is told there.
pub(crate) fn with_causes(
    mut told: String,
    mut cause: Option<&(dyn std::error::Error + 'static)>,
) -> String {
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        cause = error.source();
    }
    told
}

/// The connection was never made.
fn never_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_broker_s_refusal_keeps_its_code_and_its_delay() {
        let mut details = ErrorDetails::with_error_info("overloaded", DOMAIN, HashMap::new());
        details.set_retry_info(Some(Duration::from_millis(700)));
        let status = Status::with_error_details(tonic::Code::Unavailable, "full", details);
        let error = ClientError::of_status(&status);
        assert_eq!((error.code(), error.detail()), ("overloaded", "full"));
        assert_eq!(error.retry(), Some(Duration::from_millis(700)));
        assert!(error.is_retryable() && !error.is_unreachable());
    }

    #[test]
    fn what_is_not_a_broker_s_word_is_no_refusal() {
        assert!(ClientError::of_status(&Status::unavailable("reset")).is_unreachable());
        assert!(!ClientError::of_status(&Status::unimplemented("")).is_retryable());
        for code in [
            "key_conflict",
            "channel_invalid",
            "cursor_foreign",
            "stale_key",
        ] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
