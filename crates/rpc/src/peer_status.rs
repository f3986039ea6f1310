//! Errors between nodes: put into a status by the one that answers, read back by the one that asked.
//!
//! Invariant: a log's error read back is the one that was said, so that a retry decides as it would have on the
//! other node; anything that is not the other node's own word leaves open what it did.

use bytes::Bytes;
use halley_log::{FollowEnd, LogError, UpstreamError};
use halley_replica::PeerError;
use thiserror::Error;
use tonic::{
    Code, ConnectError, Status,
    metadata::{MetadataMap, MetadataValue},
};

/// Trailer with a log's error, in the log's own bytes.
const LOG_ERROR: &str = "halley-log-error-bin";
/// Trailer with one of the words below.
const REASON: &str = "halley-reason";
pub(crate) const OTHER_CLUSTER: &str = "other_cluster";
pub(crate) const NOT_FORMED: &str = "not_formed";
const FOLLOWER_BEHIND: &str = "follower_behind";

/// Why a request is still here: its connection was gone before it was sent.
#[derive(Debug, Error)]
#[error("not sent")]
pub(crate) struct NotSent(#[source] pub(crate) hyper::Error);

fn reasoned(code: Code, message: impl Into<String>, reason: &'static str) -> Status {
    let mut trailers = MetadataMap::new();
    trailers.insert(REASON, MetadataValue::from_static(reason));
    Status::with_metadata(code, message, trailers)
}

pub(crate) fn other_cluster() -> Status {
    reasoned(
        Code::FailedPrecondition,
        "this node belongs to another cluster",
        OTHER_CLUSTER,
    )
}

pub(crate) fn not_formed() -> Status {
    reasoned(
        Code::Unavailable,
        "this node does not know its cluster yet",
        NOT_FORMED,
    )
}

pub(crate) fn of_follow_end(end: &FollowEnd) -> Status {
    match end {
        FollowEnd::Behind => reasoned(Code::FailedPrecondition, end.to_string(), FOLLOWER_BEHIND),
        FollowEnd::Lost(_) => Status::unavailable(end.to_string()),
    }
}

pub(crate) fn of_log(error: &LogError) -> Status {
    let code = match error {
        LogError::NoLeader { .. } | LogError::Overloaded { .. } | LogError::Draining => {
            Code::Unavailable
        }
        LogError::UnknownOutcome => Code::DeadlineExceeded,
        LogError::Behind { .. } => Code::FailedPrecondition,
        LogError::Unreadable(_) => Code::InvalidArgument,
    };
    let mut trailers = MetadataMap::new();
    trailers.insert_bin(LOG_ERROR, MetadataValue::from_bytes(&error.encode()));
    Status::with_metadata(code, error.to_string(), trailers)
}

/// What a failed call means for whoever made it.
///
/// Only what was provably never handed to the other node's log is `Unreachable`; a status that is not of that node's
/// own making is `NoAnswer`.
pub(crate) fn to_upstream_error(status: &Status) -> UpstreamError {
    let message = || in_full(status);
    if let Some(error) = log_error(status) {
        return UpstreamError::Log(error);
    }
    match reason(status) {
        Some(OTHER_CLUSTER) => return UpstreamError::OtherCluster,
        Some(NOT_FORMED) => return UpstreamError::Unreachable(message()),
        _ => {}
    }
    // Where there is no such service, nobody has read the request.
    if never_sent(status) || status.code() == Code::Unimplemented {
        return UpstreamError::Unreachable(message());
    }
    UpstreamError::NoAnswer(message())
}

pub(crate) fn to_follow_end(status: &Status) -> FollowEnd {
    match reason(status) {
        Some(FOLLOWER_BEHIND) => FollowEnd::Behind,
        _ => FollowEnd::Lost(in_full(status)),
    }
}

/// What a failed call to a replica means for whoever made it.
pub(crate) fn to_peer_error(status: &Status) -> PeerError {
    // Where there is no such service, nobody has read the question.
    if never_sent(status) || status.code() == Code::Unimplemented {
        return PeerError::Unreachable(in_full(status));
    }
    PeerError::NoAnswer(in_full(status))
}

/// A status with its causes, which are where a refused certificate or a missed sign of life is told.
pub(crate) fn in_full(status: &Status) -> String {
    let told = format!("{:?}: {}", status.code(), status.message());
    with_causes(told, std::error::Error::source(status))
}

/// `told`, and of its causes whatever it does not say yet.
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

pub(crate) fn reason(status: &Status) -> Option<&str> {
    status.metadata().get(REASON)?.to_str().ok()
}

fn log_error(status: &Status) -> Option<LogError> {
    let bytes: Bytes = status.metadata().get_bin(LOG_ERROR)?.to_bytes().ok()?;
    LogError::decode(&bytes).ok()
}

/// The connection was never made, or was gone: the request is still here.
fn never_sent(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() || error.is::<NotSent>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use halley_shard::{Revision, ShardId};

    use super::*;

    #[test]
    fn a_log_s_errors_survive_the_way() {
        let errors = [
            LogError::NoLeader {
                shard: ShardId::new(3),
            },
            LogError::UnknownOutcome,
            LogError::Behind {
                wanted: Revision::new(7),
                head: Revision::new(5),
            },
            LogError::Unreadable("a stray byte".to_owned()),
            LogError::Draining,
        ];
        for error in errors {
            assert_eq!(
                to_upstream_error(&of_log(&error)),
                UpstreamError::Log(error)
            );
        }
    }

    #[test]
    fn what_is_not_the_other_node_s_word_leaves_the_outcome_open() {
        for status in [
            Status::unavailable("reset"),
            Status::cancelled("late"),
            Status::unknown(""),
        ] {
            assert!(matches!(
                to_upstream_error(&status),
                UpstreamError::NoAnswer(_)
            ));
        }
        assert_eq!(
            to_upstream_error(&other_cluster()),
            UpstreamError::OtherCluster
        );
        assert!(matches!(
            to_upstream_error(&not_formed()),
            UpstreamError::Unreachable(_)
        ));
        assert_eq!(
            to_follow_end(&of_follow_end(&FollowEnd::Behind)),
            FollowEnd::Behind
        );
        assert!(matches!(
            to_follow_end(&Status::unavailable("reset")),
            FollowEnd::Lost(_)
        ));
    }
}
