//! Which pages of other origins may call `/v1` (the Fetch standard, 3.2).
//!
//! Invariant: DELETE is never among the methods that another origin may use.

use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderName, HeaderValue, ORIGIN,
        VARY,
    },
};

use crate::answer::{Answer, empty};

/// Request headers that any allowed page may send, beside those of our own.
const HEADERS: &str =
    "authorization, content-type, if-none-match, last-event-id, cache-control, idempotency-key";
/// What our own request headers begin with; the standard has no wildcard for a prefix.
const OWN_PREFIX: &str = "halley-";
/// Seconds that a browser may remember a preflight; browsers cap it by themselves.
const MAX_AGE_SECONDS: u64 = 7_200;

/// The origins that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cors {
    /// Every origin, without credentials.
    Any,
    /// These, as browsers write them; none when empty.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    /// Those of the setting; an origin that cannot be a header's value can never be sent, and is left out.
    pub(crate) fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        let listed = origins.iter().filter_map(|origin| {
            let origin = origin.trim_end_matches('/').to_ascii_lowercase();
            HeaderValue::from_str(&origin).ok()
        });
        Self::Listed(listed.collect())
    }

    /// Adds what every answer under `/v1` says.
    pub(crate) fn apply(&self, request_origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let allowed = match (self, request_origin) {
            (Self::Any, _) => HeaderValue::from_static("*"),
            (Self::Listed(listed), origin) => {
                headers.append(VARY, HeaderValue::from_static("origin"));
                let Some(origin) = origin.filter(|origin| listed.contains(origin)) else {
                    return;
                };
                let yes = HeaderValue::from_static("true");
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
                origin.clone()
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let exposed = HeaderValue::from_static("etag, retry-after");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    /// The answer to OPTIONS under `/v1`, before [`Cors::apply`].
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Answer {
        let mut answer = empty(StatusCode::NO_CONTENT);
        let allowed = match (self, request.get(ORIGIN)) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Listed(listed), Some(origin)) => listed.contains(origin),
        };
        if !allowed {
            return answer;
        }
        let headers = answer.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST"),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(request));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
        answer
    }
}

/// The fixed ones, and those of ours that were asked for.
fn allowed_headers(request: &HeaderMap) -> HeaderValue {
    let mut allowed = HEADERS.to_owned();
    let asked = request.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.iter().filter_map(|value| value.to_str().ok());
    for name in asked.flat_map(|list| list.split(',')) {
        let name = name.trim().to_ascii_lowercase();
        if name.starts_with(OWN_PREFIX) && HeaderName::from_bytes(name.as_bytes()).is_ok() {
            allowed.push_str(", ");
            allowed.push_str(&name);
        }
    }
    HeaderValue::from_str(&allowed).expect("names of headers are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    #[test]
    fn listed_origins_are_told_apart_and_caches_know_it() {
        let cors = Cors::new(&["https://A.example/".to_owned()]);
        for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
            let mut headers = HeaderMap::new();
            cors.apply(Some(&HeaderValue::from_static(origin)), &mut headers);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
            assert_eq!(headers[VARY], "origin");
        }
    }

    #[test]
    fn every_origin_comes_without_credentials() {
        let mut headers = HeaderMap::new();
        Cors::new(&["*".to_owned()]).apply(None, &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn a_preflight_allows_our_own_headers_and_never_delete() {
        let asked = "content-type, Halley-Event-Type, x-other, halley-header-a";
        let answer = Cors::Any.preflight(&request(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", asked),
        ]));
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let headers = answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS]
            .to_str()
            .unwrap();
        assert!(
            headers.ends_with(", halley-event-type, halley-header-a"),
            "{headers}"
        );
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
    }
}
