//! Paths and what they have: a table, without a framework's own answers.

use hyper::Method;

use crate::reject::Reject;
use halley_wire::Code;

/// A place under the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v1/poll`.
    Poll,
    /// `/v1/sse`.
    Sse,
    /// `/v1/publish`.
    Publish,
    /// `/v1/history`.
    History,
    /// `/v1/channels`.
    Channels,
    /// `/demo/…`.
    Demo,
    /// `/`.
    Index,
}

impl Route {
    /// The place of `path`, and the rest of the path behind it (empty, or from its slash on).
    pub(crate) fn find(path: &str) -> Result<(Self, &str), Reject> {
        const API: [(&str, Route); 5] = [
            ("/v1/poll", Route::Poll),
            ("/v1/sse", Route::Sse),
            ("/v1/publish", Route::Publish),
            ("/v1/history", Route::History),
            ("/v1/channels", Route::Channels),
        ];
        let rest_of = |prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        if let Some(found) = API
            .iter()
            .find_map(|(prefix, at)| Some((*at, rest_of(prefix)?)))
        {
            return Ok(found);
        }
        match (path, rest_of("/demo")) {
            ("/", _) => Ok((Self::Index, "")),
            (_, Some(rest)) => Ok((Self::Demo, rest)),
            _ => Err(Reject::new(
                Code::NotFound,
                "nothing is served at this path",
            )),
        }
    }

    /// Refuses methods that this place does not have. OPTIONS is answered before, under `/v1`.
    pub(crate) fn check(self, method: &Method) -> Result<(), Reject> {
        let (methods, allow): (&[Method], _) = match self {
            Self::Poll => (&[Method::GET, Method::POST], "GET, POST, OPTIONS"),
            Self::Sse | Self::History => (&[Method::GET], "GET, OPTIONS"),
            Self::Publish => (&[Method::POST], "POST, OPTIONS"),
            Self::Channels => (&[Method::DELETE], "DELETE, OPTIONS"),
            Self::Demo | Self::Index => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        };
        if methods.contains(method) {
            Ok(())
        } else {
            Err(Reject::method(method, allow))
        }
    }

    /// For metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Sse => "sse",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Channels => "channels",
            Self::Demo => "demo",
            Self::Index => "index",
        }
    }
}

/// Whether `path` belongs to the interface for programs.
pub(crate) fn is_api(path: &str) -> bool {
    path.strip_prefix("/v1")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_a_slash() {
        assert_eq!(Route::find("/v1/poll").unwrap(), (Route::Poll, ""));
        assert_eq!(Route::find("/v1/poll/a/b").unwrap(), (Route::Poll, "/a/b"));
        assert_eq!(
            Route::find("/demo/stocks").unwrap(),
            (Route::Demo, "/stocks")
        );
        for nowhere in ["/v1/pollx", "/v1", "/v2/poll", "", "//", "/v1/ws", "*"] {
            assert!(Route::find(nowhere).is_err(), "{nowhere}");
        }
        assert!(is_api("/v1") && is_api("/v1/x") && !is_api("/v1x") && !is_api("/"));
    }
}
