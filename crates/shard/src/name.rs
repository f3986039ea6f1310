//! Channel names: one canonical form, checked once, cheap to share.
//!
//! Invariant: a [`ChannelName`] obeys contract.md, Words, so that nobody behind the parser checks again;
//! equal channels have equal bytes, which is why another spelling is refused and never rewritten.

use std::{borrow::Borrow, fmt, sync::Arc};

use thiserror::Error;
use unicode_normalization::is_nfc;
use xxhash_rust::xxh3::xxh3_64;

use crate::limits;

/// First segments that belong to the protocols themselves.
const RESERVED: [&str; 3] = ["meta", "service", "$sys"];

/// An absolute path such as `/stocks/nyse/goog`, in its one canonical form.
///
/// 1 to [`limits::NAME_SEGMENTS_MAX`] segments, at most [`limits::NAME_BYTES_MAX`] bytes. Clones share one
/// allocation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name. Every variant names what was wrong and the limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It does not begin with `/`.
    #[error("a channel name begins with `/`")]
    NotAbsolute,
    /// More than [`limits::NAME_BYTES_MAX`] bytes.
    #[error(
        "{bytes} bytes, at most {} are allowed in a channel name",
        limits::NAME_BYTES_MAX
    )]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// More than [`limits::NAME_SEGMENTS_MAX`] segments.
    #[error(
        "{count} segments, at most {} are allowed in a channel name",
        limits::NAME_SEGMENTS_MAX
    )]
    TooManySegments {
        /// How many.
        count: usize,
    },
    /// Nothing between two slashes, or behind the last one.
    #[error("segment {position} is empty")]
    EmptySegment {
        /// Which one, counted from 1.
        position: usize,
    },
    /// A segment that file systems and clients would resolve away.
    #[error("segment {position} is `.` or `..`")]
    DotSegment {
        /// Which one, counted from 1.
        position: usize,
    },
    /// A character that no name may contain.
    #[error("{:?} (U+{:04X}) at byte {at} is not allowed in a channel name", found, u32::from(*found))]
    Forbidden {
        /// The character.
        found: char,
        /// Byte at which it begins.
        at: usize,
    },
    /// Not in Unicode normalization form C.
    #[error("a channel name must be in Unicode normalization form C")]
    NotNormalized,
    /// The name belongs to the protocols.
    #[error("`/{first}` and everything below it is reserved")]
    Reserved {
        /// The reserved first segment.
        first: &'static str,
    },
}

impl ChannelName {
    /// Checks `text`, already percent-decoded, against the rules of contract.md, Words.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks; a text that is too long is not looked at any further.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_size(text)?;
        check_path(text)?;
        Ok(Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// xxh3-64 of the name: names its shard.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }
}

/// Bounds of a name or pattern.
pub(crate) fn check_size(text: &str) -> Result<(), NameError> {
    let bytes = text.len();
    if bytes > limits::NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes });
    }
    if !text.starts_with('/') {
        return Err(NameError::NotAbsolute);
    }
    let count = text.bytes().filter(|&byte| byte == b'/').count();
    if count > limits::NAME_SEGMENTS_MAX {
        return Err(NameError::TooManySegments { count });
    }
    Ok(())
}

/// The rules of an absolute path that is short enough: its characters and its segments.
pub(crate) fn check_path(path: &str) -> Result<(), NameError> {
    if let Some((at, found)) = path.char_indices().find(|(_, c)| is_forbidden(*c)) {
        return Err(NameError::Forbidden { found, at });
    }
    if !path.is_ascii() && !is_nfc(path) {
        return Err(NameError::NotNormalized);
    }
    for (index, segment) in path.split('/').enumerate().skip(1) {
        match segment {
            "" => return Err(NameError::EmptySegment { position: index }),
            "." | ".." => return Err(NameError::DotSegment { position: index }),
            _ => {}
        }
    }
    let first = path.split('/').nth(1);
    match RESERVED
        .into_iter()
        .find(|reserved| first == Some(reserved))
    {
        Some(first) => Err(NameError::Reserved { first }),
        None => Ok(()),
    }
}

/// Characters that would make two names look alike, or mean something else elsewhere.
fn is_forbidden(c: char) -> bool {
    // Last line: every character with the Unicode property Bidi_Control.
    matches!(c, '*' | '?' | '#' | '\\')
        || c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> NameError {
        ChannelName::parse(text).unwrap_err()
    }

    #[test]
    fn good_names_are_kept_as_they_are() {
        let sixteen = "/a".repeat(limits::NAME_SEGMENTS_MAX);
        let longest = format!("/{}", "x".repeat(limits::NAME_BYTES_MAX - 1));
        let good = [
            "/a",
            "/stocks/nyse/goog",
            "/ünï/日本語/😀",
            "/metadata/x",
            "/a/meta/b",
            "/$sysop",
            "/...",
            "/a/.hidden",
            "/a%2Fb",
            "/a&b=c",
            &sixteen,
            &longest,
        ];
        for text in good {
            assert_eq!(ChannelName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(
            error(&format!("/{}", "x".repeat(255))),
            NameError::TooLong { bytes: 256 }
        );
        assert_eq!(
            error(&"/a".repeat(17)),
            NameError::TooManySegments { count: 17 }
        );
        assert_eq!(
            error(&"/a".repeat(17)).to_string(),
            "17 segments, at most 16 are allowed in a channel name"
        );
    }

    #[test]
    fn shapes_are_refused() {
        assert_eq!(error(""), NameError::NotAbsolute);
        assert_eq!(error("a/b"), NameError::NotAbsolute);
        assert_eq!(error("/"), NameError::EmptySegment { position: 1 });
        assert_eq!(error("//a"), NameError::EmptySegment { position: 1 });
        assert_eq!(error("/a//b"), NameError::EmptySegment { position: 2 });
        assert_eq!(error("/a/"), NameError::EmptySegment { position: 2 });
        assert_eq!(error("/."), NameError::DotSegment { position: 1 });
        assert_eq!(error("/a/../b"), NameError::DotSegment { position: 2 });
    }

    #[test]
    fn characters_are_refused() {
        let bidi = "\u{61C}\u{200E}\u{200F}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}";
        let space =
            " \t\n\r\u{B}\u{C}\u{85}\u{A0}\u{1680}\u{2000}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}";
        for found in "*?#\\\0\u{1}\u{7F}\u{9F}"
            .chars()
            .chain(bidi.chars())
            .chain(space.chars())
        {
            assert_eq!(
                error(&format!("/a{found}b")),
                NameError::Forbidden { found, at: 2 }
            );
        }
        assert_eq!(
            error("/a b").to_string(),
            "' ' (U+0020) at byte 2 is not allowed in a channel name"
        );
    }

    #[test]
    fn another_spelling_is_refused() {
        assert!(ChannelName::parse("/caf\u{E9}").is_ok());
        assert_eq!(error("/cafe\u{301}"), NameError::NotNormalized);
        assert_eq!(error("/\u{212B}"), NameError::NotNormalized);
    }

    #[test]
    fn reserved_names_are_refused() {
        for (text, first) in [
            ("/meta", "meta"),
            ("/meta/connect", "meta"),
            ("/service/a/b", "service"),
            ("/$sys/x", "$sys"),
            ("/$sys", "$sys"),
        ] {
            assert_eq!(error(text), NameError::Reserved { first });
        }
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        // Computed by another implementation of xxh3-64 with seed 0: clients may find shards themselves.
        let hash = |text: &str| ChannelName::parse(text).unwrap().hash64();
        assert_eq!(hash("/stocks/goog"), 0xBEB3_72C3_0BEA_234B);
        assert_eq!(hash("/a"), 0xE292_AB48_A6B0_6805);
        assert_eq!(hash("/chat/日本語"), 0x7275_F188_F6FE_AD3C);
    }
}
