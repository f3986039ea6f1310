//! The one table from errors to what a gRPC caller sees: a status, and the code in `google.rpc.ErrorInfo`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use halley_env::Rng;
use halley_hub::SubscribeError;
use halley_log::{AdminError, LogError, PublishError};
use halley_shard::Refusal;
use halley_wire::{Code, Rejection};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::{limits, proto::v1};

/// Domain of every code.
pub(crate) const DOMAIN: &str = "halley";

/// Turns refusals into statuses; draws the jitter of `RetryInfo`.
#[derive(Clone, Debug)]
pub(crate) struct Refuser {
    rng: Arc<dyn Rng>,
}

impl Refuser {
    pub(crate) fn new(rng: Arc<dyn Rng>) -> Self {
        Self { rng }
    }

    /// The status of a refusal.
    pub(crate) fn status(&self, rejection: &Rejection) -> Status {
        status(rejection, self.retry(rejection.code))
    }

    /// When to try again, spread so that those refused together do not come back together.
    pub(crate) fn retry(&self, code: Code) -> Option<Duration> {
        let (least, spread) = match code {
            Code::Draining => (20, 480),
            Code::NoLeader => (200, 800),
            Code::Overloaded | Code::RateLimited => (250, 1_750),
            _ => return None,
        };
        Some(Duration::from_millis(least + self.rng.below(spread)))
    }
}

fn status(rejection: &Rejection, retry: Option<Duration>) -> Status {
    let mut details =
        ErrorDetails::with_error_info(rejection.code.as_str(), DOMAIN, HashMap::new());
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(
        grpc_code(rejection.code),
        rejection.detail.as_str(),
        details,
    )
}

/// The status of a code: what a caller that knows gRPC but not Halley should do is right.
fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::ChannelInvalid
        | Code::PatternInvalid
        | Code::CursorInvalid
        | Code::ParameterInvalid
        | Code::BodyInvalid
        | Code::TooManyChannels
        | Code::UriTooLong => tonic::Code::InvalidArgument,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::Forbidden => tonic::Code::PermissionDenied,
        Code::NotFound => tonic::Code::NotFound,
        Code::MethodNotAllowed | Code::Unsupported | Code::UpgradeRequired => {
            tonic::Code::Unimplemented
        }
        Code::CursorAhead => tonic::Code::OutOfRange,
        Code::KeyConflict => tonic::Code::AlreadyExists,
        Code::StaleKey | Code::CursorForeign | Code::Refused => tonic::Code::FailedPrecondition,
        Code::OutOfSequence | Code::Aborted => tonic::Code::Aborted,
        Code::PayloadTooLarge | Code::RateLimited | Code::HeadersTooLarge => {
            tonic::Code::ResourceExhausted
        }
        Code::Internal => tonic::Code::Internal,
        Code::Overloaded | Code::NoLeader | Code::Draining => tonic::Code::Unavailable,
        Code::UnknownOutcome | Code::RequestTimeout => tonic::Code::DeadlineExceeded,
    }
}

/// What a log's error is called.
pub(crate) fn of_log(error: &LogError) -> Rejection {
    let code = match error {
        LogError::NoLeader { .. } | LogError::Behind { .. } => Code::NoLeader,
        LogError::Overloaded { .. } => Code::Overloaded,
        LogError::UnknownOutcome => Code::UnknownOutcome,
        LogError::Unreadable(_) => Code::Internal,
        LogError::Draining => Code::Draining,
    };
    Rejection::new(code, error.to_string())
}

/// What a shard's refusal is called.
fn of_refusal(refusal: &Refusal) -> Rejection {
    let code = match refusal {
        Refusal::OutOfSequence { .. } => Code::OutOfSequence,
        Refusal::StaleKey { .. } => Code::StaleKey,
        Refusal::KeyConflict { .. } => Code::KeyConflict,
        Refusal::Overloaded { .. } => Code::Overloaded,
        Refusal::Aborted => Code::Aborted,
    };
    Rejection::new(code, refusal.to_string())
}

/// What a failed publish is called.
pub(crate) fn of_publish(error: &PublishError) -> Rejection {
    match error {
        PublishError::Refused(refusal) => of_refusal(refusal),
        PublishError::Log(error) => of_log(error),
    }
}

/// What a refused subscription is called.
pub(crate) fn of_subscribe(error: &SubscribeError) -> Rejection {
    let code = match error {
        SubscribeError::CursorForeign => Code::CursorForeign,
        SubscribeError::CursorInvalid(_) => Code::CursorInvalid,
        SubscribeError::NotReady => Code::NoLeader,
        SubscribeError::Draining => Code::Draining,
    };
    Rejection::new(code, error.to_string())
}

/// What a refused command about the cluster is called.
pub(crate) fn of_admin(error: &AdminError) -> Rejection {
    let code = match error {
        AdminError::Refused(_) => Code::Refused,
        AdminError::Invalid(_) => Code::ParameterInvalid,
        AdminError::NoLeader => Code::NoLeader,
        AdminError::UnknownOutcome => Code::UnknownOutcome,
    };
    Rejection::new(code, error.to_string())
}

/// An error inside an answer.
pub(crate) fn in_answer(rejection: Rejection) -> v1::Error {
    v1::Error {
        code: rejection.code.as_str().to_owned(),
        detail: rejection.detail,
    }
}

/// What tonic itself says of an unreadable request, in our words; `None` when the status is not tonic's.
///
/// Every status of ours has details. Without them, `OUT_OF_RANGE` is tonic's word for a message beyond the
/// decoder's bound, and `INTERNAL` for one that is not the protobuf asked for.
pub(crate) fn of_transport(theirs: &Status) -> Option<Status> {
    if !theirs.details().is_empty() {
        return None;
    }
    let rejection = match theirs.code() {
        tonic::Code::OutOfRange => Rejection::new(
            Code::PayloadTooLarge,
            format!(
                "the request is too large, at most {} bytes are allowed: {}",
                limits::REQUEST_BYTES_MAX,
                theirs.message()
            ),
        ),
        tonic::Code::Internal => Rejection::new(Code::BodyInvalid, theirs.message()),
        _ => return None,
    };
    Some(status(&rejection, None))
}

#[cfg(test)]
mod tests;
