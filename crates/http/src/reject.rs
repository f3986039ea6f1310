//! The one table from errors to answers: every refusal leaves as RFC 9457 problem details.

use bytes::Bytes;
use halley_env::Rng;
use halley_hub::{EndReason, SubscribeError};
use halley_log::{LogError, PublishError};
use halley_shard::Refusal;
use halley_wire::{Code, Rejection, answer::problem};
use hyper::{
    StatusCode,
    header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER},
};

use crate::{
    answer::{Answer, whole},
    limits::RETRY_AFTER_SECONDS_MAX,
};

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    /// Code and sentence.
    pub(crate) rejection: Rejection,
    /// The methods that would do (405 only).
    pub(crate) allow: Option<&'static str>,
    /// The request was not read to its end, so the connection cannot go on.
    pub(crate) close: bool,
}

impl Reject {
    /// A refusal under `code`.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Rejection::new(code, detail).into()
    }

    /// A method that this path does not have; `allow` lists those that it has.
    pub(crate) fn method(method: &hyper::Method, allow: &'static str) -> Self {
        let detail = format!("{method} is not allowed here, {allow} are");
        Self {
            allow: Some(allow),
            ..Self::new(Code::MethodNotAllowed, detail)
        }
    }

    /// The same, ending the connection.
    pub(crate) fn closing(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    /// The refusal of a node that is going down.
    pub(crate) fn draining() -> Self {
        Self::new(
            Code::Draining,
            "this node is going down, another one serves the same",
        )
    }

    /// The refusal of a node that serves as many connections as it may.
    pub(crate) fn overloaded(limit: usize) -> Self {
        let detail = format!("all {limit} connections of this node are in use");
        Self::new(Code::Overloaded, detail).closing()
    }

    /// The answer; waiting times are drawn from `rng`, so that clients do not come back together.
    pub(crate) fn answer(&self, rng: &dyn Rng) -> Answer {
        let code = self.rejection.code;
        let status = status(code);
        let body = Bytes::from(problem(code, status.as_u16(), &self.rejection.detail));
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut answer = whole(status, content_type, body);
        let headers = answer.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = 1 + rng.below(RETRY_AFTER_SECONDS_MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// The status of a code (contract.md, Errors).
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::ChannelInvalid
        | Code::PatternInvalid
        | Code::CursorInvalid
        | Code::ParameterInvalid
        | Code::BodyInvalid
        | Code::TooManyChannels => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::CursorAhead
        | Code::KeyConflict
        | Code::StaleKey
        | Code::OutOfSequence
        | Code::Aborted
        | Code::Refused => StatusCode::CONFLICT,
        Code::CursorForeign => StatusCode::GONE,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UriTooLong => StatusCode::URI_TOO_LONG,
        Code::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Overloaded | Code::NoLeader | Code::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Code::UnknownOutcome => StatusCode::GATEWAY_TIMEOUT,
    }
}

impl From<Rejection> for Reject {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            allow: None,
            close: false,
        }
    }
}

impl From<SubscribeError> for Reject {
    fn from(error: SubscribeError) -> Self {
        let code = match error {
            SubscribeError::CursorForeign => Code::CursorForeign,
            SubscribeError::CursorInvalid(_) => Code::CursorInvalid,
            SubscribeError::NotReady => Code::NoLeader,
            SubscribeError::Draining => return Self::draining(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<EndReason> for Reject {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Draining => Self::draining(),
            EndReason::Behind => Self::new(Code::NoLeader, "this node lags behind the cursor"),
            EndReason::CursorAhead => Self::new(
                Code::CursorAhead,
                "the cursor is beyond the newest event of its shard",
            ),
            EndReason::NoLeader => Self::new(
                Code::NoLeader,
                "the cursor is ahead of this node, and no leader answers",
            ),
        }
    }
}

impl From<LogError> for Reject {
    fn from(error: LogError) -> Self {
        rejection_of_log(&error).into()
    }
}

/// Why a publish or a deletion was not acknowledged.
pub(crate) fn rejection_of_publish(error: &PublishError) -> Rejection {
    match error {
        PublishError::Refused(refusal) => {
            let code = match refusal {
                Refusal::OutOfSequence { .. } => Code::OutOfSequence,
                Refusal::StaleKey { .. } => Code::StaleKey,
                Refusal::KeyConflict { .. } => Code::KeyConflict,
                Refusal::Overloaded { .. } => Code::Overloaded,
                Refusal::Aborted => Code::Aborted,
            };
            Rejection::new(code, refusal.to_string())
        }
        PublishError::Log(error) => rejection_of_log(error),
    }
}

fn rejection_of_log(error: &LogError) -> Rejection {
    let code = match error {
        LogError::NoLeader { .. } | LogError::Behind { .. } => Code::NoLeader,
        LogError::Overloaded { .. } => Code::Overloaded,
        LogError::UnknownOutcome => Code::UnknownOutcome,
        LogError::Unreadable(_) => {
            return Rejection::new(Code::Internal, "a command of this node cannot be read");
        }
        LogError::Draining => Code::Draining,
    };
    Rejection::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status() {
        for code in Code::ALL {
            assert!(status(code).as_u16() >= 400, "{code:?}");
        }
    }

    #[test]
    fn only_what_passes_says_when_to_come_back() {
        let answer = Reject::draining().answer(&halley_env::SystemRng);
        let seconds: u64 = answer.headers()[RETRY_AFTER]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=RETRY_AFTER_SECONDS_MAX).contains(&seconds));
        let answer = Reject::new(Code::BodyInvalid, "x").answer(&halley_env::SystemRng);
        assert!(!answer.headers().contains_key(RETRY_AFTER));
    }
}
