//! What a reader or a follower wants of a shard.

use crate::{ChannelName, ChannelPattern};

/// One channel, or all channels that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// This channel.
    Channel(ChannelName),
    /// Every channel that matches, now and later.
    Pattern(ChannelPattern),
}

impl Interest {
    /// Whether `channel` is meant.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        match self {
            Self::Channel(name) => name == channel,
            Self::Pattern(pattern) => pattern.matches(channel),
        }
    }
}

/// What one subscription reads of one shard. Sorted, each named once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    channels: Vec<ChannelName>,
    patterns: Vec<ChannelPattern>,
}

impl Selection {
    /// The selection of `interests`, in any order.
    #[must_use]
    pub fn new(interests: impl IntoIterator<Item = Interest>) -> Self {
        let mut selection = Self::default();
        for interest in interests {
            match interest {
                Interest::Channel(name) => selection.channels.push(name),
                Interest::Pattern(pattern) => selection.patterns.push(pattern),
            }
        }
        selection.channels.sort_unstable();
        selection.channels.dedup();
        selection.patterns.sort_unstable();
        selection.patterns.dedup();
        selection
    }

    /// The channels named.
    #[must_use]
    pub fn channels(&self) -> &[ChannelName] {
        &self.channels
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[ChannelPattern] {
        &self.patterns
    }

    /// All of it, one by one.
    pub fn interests(&self) -> impl Iterator<Item = Interest> {
        let channels = self.channels.iter().cloned().map(Interest::Channel);
        channels.chain(self.patterns.iter().cloned().map(Interest::Pattern))
    }

    /// Whether events of `channel` belong to it.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        self.channels.binary_search(channel).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn pattern(text: &str) -> Interest {
        Interest::Pattern(ChannelPattern::parse(text).unwrap())
    }

    #[test]
    fn a_selection_is_sorted_and_names_everything_once() {
        let named = |text: &str| Interest::Channel(name(text));
        let given = [
            pattern("/x/**"),
            named("/b"),
            named("/a"),
            pattern("/c/*"),
            named("/b"),
        ];
        let selection = Selection::new(given);
        assert_eq!(selection.channels(), [name("/a"), name("/b")]);
        let all: Vec<_> = selection.interests().collect();
        assert_eq!(
            all,
            [named("/a"), named("/b"), pattern("/c/*"), pattern("/x/**")]
        );
        assert_eq!(Selection::new(all), selection);
    }

    #[test]
    fn a_selection_matches_what_one_of_its_interests_matches() {
        let selection = Selection::new([Interest::Channel(name("/a")), pattern("/c/*")]);
        for (text, matches) in [
            ("/a", true),
            ("/c/d", true),
            ("/c", false),
            ("/c/d/e", false),
        ] {
            assert_eq!(selection.matches(&name(text)), matches, "{text}");
        }
        assert!(!Selection::default().matches(&name("/a")));
    }
}
