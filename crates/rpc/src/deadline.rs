//! How long a request may take: what its caller said (`grpc-timeout`), or the node's own bound.
//!
//! Invariant: the node answers a little earlier than the caller stops listening, so that the answer is the
//! node's (`unknown_outcome` where a publish may have been stored) and not the transport's.

use std::time::Duration;

use tonic::{Request, metadata::MetadataMap};

/// Time kept back for the way of the answer, at most.
const RETURN_MAX: Duration = Duration::from_millis(100);

/// Time for `request`: the caller's, at most `longest`, less the way back.
pub(crate) fn of<T>(request: &Request<T>, longest: Duration) -> Duration {
    let given = given(request.metadata()).map_or(longest, |given| given.min(longest));
    given.saturating_sub(RETURN_MAX.min(given / 10))
}

fn given(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.get("grpc-timeout")?.to_str().ok()?)
}

/// At most eight digits and a unit, as the gRPC protocol has it; anything else is as if nothing was said.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_the_protocol_writes_it() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        for broken in ["", "S", "5", "5s", "-1S", "123456789S", "1.5S", "5é"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn the_shorter_one_counts_less_the_way_back() {
        let mut request = Request::new(());
        assert_eq!(
            of(&request, Duration::from_secs(30)),
            Duration::from_millis(29_900)
        );
        request.set_timeout(Duration::from_millis(500));
        assert_eq!(
            of(&request, Duration::from_secs(30)),
            Duration::from_millis(450)
        );
        request.set_timeout(Duration::from_secs(100));
        assert_eq!(
            of(&request, Duration::from_secs(30)),
            Duration::from_millis(29_900)
        );
    }
}
