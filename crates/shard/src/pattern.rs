//! Patterns: a channel name whose last segment is `*` (exactly one segment) or `**` (one or more).

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::{ChannelName, NameError, name};

/// A pattern such as `/stocks/*` or `/chat/**`, within the bounds of a channel name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelPattern(Arc<str>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// `*` elsewhere than as the whole last segment, or no wildcard at all.
    #[error("a pattern ends in `/*` or `/**` and has no other `*`")]
    Wildcard,
    /// What stands before the wildcard is no channel name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl ChannelPattern {
    /// Checks `text`, already percent-decoded.
    ///
    /// # Errors
    ///
    /// [`PatternError::Wildcard`] for a misplaced or missing wildcard; else the rule of channel names that
    /// the text, or what stands before the wildcard, breaks. Patterns below a reserved name are refused.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        name::check_size(text)?;
        let (path, last) = text.rsplit_once('/').ok_or(NameError::NotAbsolute)?;
        if !matches!(last, "*" | "**") || path.contains('*') {
            return Err(PatternError::Wildcard);
        }
        if !path.is_empty() {
            name::check_path(path)?;
        }
        Ok(Self(text.into()))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every matching name begins with, the slash before the wildcard included: `/a/` of `/a/*`.
    /// In name order, the names that begin so stand together.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.trim_end_matches('*')
    }

    /// Whether `channel` matches.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        let rest = channel.as_str().strip_prefix(self.prefix());
        // A name has no empty segment, so that something stands behind the slash.
        rest.is_some_and(|rest| self.0.ends_with("**") || !rest.contains('/'))
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, channel: &str) -> bool {
        ChannelPattern::parse(pattern)
            .unwrap()
            .matches(&ChannelName::parse(channel).unwrap())
    }

    fn error(text: &str) -> PatternError {
        ChannelPattern::parse(text).unwrap_err()
    }

    #[test]
    fn one_star_is_one_segment() {
        assert!(matches("/a/*", "/a/b"));
        assert!(matches("/*", "/a"));
        assert!(!matches("/a/*", "/a"));
        assert!(!matches("/a/*", "/ab"));
        assert!(!matches("/a/*", "/ab/c"));
        assert!(!matches("/a/*", "/a/b/c"));
        assert!(!matches("/*", "/a/b"));
    }

    #[test]
    fn two_stars_are_one_segment_or_more() {
        assert!(matches("/a/**", "/a/b"));
        assert!(matches("/a/**", "/a/b/c"));
        assert!(matches("/**", "/a"));
        assert!(matches("/**", "/a/b/c"));
        assert!(!matches("/a/**", "/a"));
        assert!(!matches("/a/**", "/ab"));
        assert!(!matches("/a/**", "/b/a/c"));
    }

    #[test]
    fn wildcards_stand_last_and_alone() {
        for text in [
            "/a", "/a*", "/a/*b", "/a/***", "/*/b", "/a/*/b/*", "/**/x/**", "/a/*/", "/",
        ] {
            assert_eq!(error(text), PatternError::Wildcard, "{text}");
        }
    }

    #[test]
    fn the_rest_is_a_name() {
        assert_eq!(error(""), PatternError::Name(NameError::NotAbsolute));
        assert_eq!(error("**"), PatternError::Name(NameError::NotAbsolute));
        assert_eq!(error("a/*"), PatternError::Name(NameError::NotAbsolute));
        assert_eq!(
            error("//*"),
            PatternError::Name(NameError::EmptySegment { position: 1 })
        );
        assert_eq!(
            error("/a/../*"),
            PatternError::Name(NameError::DotSegment { position: 2 })
        );
        assert_eq!(
            error("/meta/*"),
            PatternError::Name(NameError::Reserved { first: "meta" })
        );
        assert_eq!(
            error("/$sys/a/**"),
            PatternError::Name(NameError::Reserved { first: "$sys" })
        );
        assert_eq!(
            error(&"/*".repeat(17)),
            PatternError::Name(NameError::TooManySegments { count: 17 })
        );
        assert!(ChannelPattern::parse(&format!("{}/*", "/a".repeat(15))).is_ok());
    }

    #[test]
    fn the_prefix_ends_before_the_wildcard() {
        assert_eq!(ChannelPattern::parse("/a/**").unwrap().prefix(), "/a/");
        assert_eq!(ChannelPattern::parse("/*").unwrap().prefix(), "/");
    }
}
