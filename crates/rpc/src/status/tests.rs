//! The table, row by row where the contract says so.

use halley_env::SystemRng;
use halley_shard::ShardId;

use super::*;

fn refuser() -> Refuser {
    Refuser::new(Arc::new(SystemRng))
}

#[test]
fn every_code_is_in_the_details() {
    for code in Code::ALL {
        let status = refuser().status(&Rejection::new(code, "why"));
        let info = status
            .get_details_error_info()
            .expect("every status has it");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            (code.as_str(), DOMAIN)
        );
        assert_eq!(status.message(), "why");
        assert_ne!(status.code(), tonic::Code::Ok);
        let retry = status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        assert_eq!(
            retry.is_some(),
            status.code() == tonic::Code::Unavailable || code == Code::RateLimited
        );
    }
}

#[test]
fn the_contract_names_these() {
    for (code, theirs) in [
        (Code::PayloadTooLarge, tonic::Code::ResourceExhausted),
        (Code::KeyConflict, tonic::Code::AlreadyExists),
        (Code::CursorInvalid, tonic::Code::InvalidArgument),
        (Code::Overloaded, tonic::Code::Unavailable),
        (Code::NoLeader, tonic::Code::Unavailable),
        (Code::Refused, tonic::Code::FailedPrecondition),
        (Code::UnknownOutcome, tonic::Code::DeadlineExceeded),
    ] {
        assert_eq!(
            refuser().status(&Rejection::new(code, "")).code(),
            theirs,
            "{code:?}"
        );
    }
}

#[test]
fn errors_of_the_rooms_below_have_their_code() {
    let shard = ShardId::new(0);
    assert_eq!(of_log(&LogError::NoLeader { shard }).code, Code::NoLeader);
    assert_eq!(
        of_publish(&LogError::UnknownOutcome.into()).code,
        Code::UnknownOutcome
    );
    assert_eq!(of_publish(&Refusal::Aborted.into()).code, Code::Aborted);
    assert_eq!(
        of_subscribe(&SubscribeError::CursorForeign).code,
        Code::CursorForeign
    );
    for (error, code) in [
        (AdminError::Refused("why".into()), Code::Refused),
        (AdminError::Invalid("why".into()), Code::ParameterInvalid),
        (AdminError::NoLeader, Code::NoLeader),
        (AdminError::UnknownOutcome, Code::UnknownOutcome),
    ] {
        assert_eq!(of_admin(&error), Rejection::new(code, error.to_string()));
    }
}

#[test]
fn what_tonic_refuses_is_said_in_our_words() {
    let too_large = of_transport(&Status::out_of_range("found 9 bytes")).expect("ours");
    assert_eq!(too_large.code(), tonic::Code::ResourceExhausted);
    let info = too_large.get_details_error_info().expect("details");
    assert_eq!(info.reason, "payload_too_large");
    let ours = refuser().status(&Rejection::new(Code::CursorAhead, ""));
    assert!(of_transport(&ours).is_none());
    assert!(of_transport(&Status::unavailable("")).is_none());
}
