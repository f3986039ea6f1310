//! Media types, as far as they decide how a payload is checked and shown.
//!
//! Invariant: publishing and framing ask the same question, so that what was checked as JSON is shown as JSON.

/// The type of a payload without another one.
pub(crate) const JSON: &str = "application/json";
/// The type of `text` without another one.
pub(crate) const TEXT: &str = "text/plain;charset=utf-8";
/// The type of `base64` without another one.
pub(crate) const BINARY: &str = "application/octet-stream";
/// What simple clients call any body.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// How a payload is checked and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `application/json` and whatever ends in `+json`: shown as it is.
    Json,
    /// Any other `text/*`: shown as a string.
    Text,
    /// Anything else: shown in base 64.
    Binary,
}

impl Kind {
    /// The kind of `content_type`, parameters ignored.
    pub(crate) fn of(content_type: &str) -> Self {
        let essence = essence(content_type);
        let ends_with = |end: &str| {
            let start = essence.len().checked_sub(end.len());
            start
                .and_then(|at| essence.get(at..))
                .is_some_and(|s| s.eq_ignore_ascii_case(end))
        };
        if essence.eq_ignore_ascii_case(JSON) || ends_with("+json") {
            Self::Json
        } else if essence
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("text/"))
        {
            Self::Text
        } else {
            Self::Binary
        }
    }
}

/// `type/subtype` of `content_type`.
pub(crate) fn essence(content_type: &str) -> &str {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

/// Whether `content_type` is `type/subtype` of tokens, with parameters or without (RFC 9110, 8.3.1), in
/// visible ASCII and blanks.
pub(crate) fn is_well_formed(content_type: &str) -> bool {
    let visible = content_type
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let typed = essence(content_type)
        .split_once('/')
        .is_some_and(|(main, sub)| is_token(main) && is_token(sub));
    visible && typed
}

/// The value of parameter `charset`, without quotes.
pub(crate) fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_ascii().trim_matches('"');
        name.trim_ascii()
            .eq_ignore_ascii_case("charset")
            .then_some(value)
    })
}

/// Whether `text` is a token (RFC 9110, 5.6.2), as names of headers and media types are.
pub(crate) fn is_token(text: &str) -> bool {
    let is_mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

#[cfg(test)]
mod tests {
    use super::{Kind, charset, is_well_formed};

    #[test]
    fn kinds() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/ld+json",
            "text/x+json",
        ] {
            assert_eq!(Kind::of(json), Kind::Json, "{json}");
        }
        for text in ["text/plain", "TEXT/html;charset=utf-8", "text/json"] {
            assert_eq!(Kind::of(text), Kind::Text, "{text}");
        }
        for binary in [
            "image/png",
            "application/jsonx",
            "application/x;a=+json",
            "",
            "text",
            "ä+jso",
        ] {
            assert_eq!(Kind::of(binary), Kind::Binary, "{binary}");
        }
    }

    #[test]
    fn forms() {
        for good in [
            "a/b",
            "text/plain; charset=\"utf-8\"",
            "application/vnd.x+json;v=1",
        ] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "a/b\u{7f}",
            "a/b;c=\u{e4}",
            "a/b\r\nc: d",
        ] {
            assert!(!is_well_formed(bad), "{bad:?}");
        }
        assert_eq!(charset("a/b"), None);
        assert_eq!(charset("a/b; x=1; Charset = \"UTF-8\""), Some("UTF-8"));
    }
}
