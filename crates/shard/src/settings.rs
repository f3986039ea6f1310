//! What `apply` reads besides the command: replicated, changed by a command only.

use thiserror::Error;

use crate::{ChannelName, Interest, limits};

/// How much of a channel is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Newest events kept, 0 to [`limits::RETAINED_EVENTS_CEILING`].
    pub events_max: u32,
    /// Bytes kept, at most [`limits::SHARD_BYTES_CEILING`]; the newest event stays even when it is larger
    /// (unless `events_max` is 0).
    pub bytes_max: u64,
    /// Milliseconds after which an event goes, 1 to [`limits::AGE_MS_CEILING`]; `None` keeps it.
    pub age_max_ms: Option<u64>,
}

/// Retention of the channels that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Which channels.
    pub channels: Interest,
    /// How much of each.
    pub retention: Retention,
}

/// Settings of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first matching rule counts, at most [`limits::RETENTION_RULES_MAX`].
    pub rules: Vec<RetentionRule>,
    /// Where no rule matches.
    pub retention: Retention,
    /// Retained bytes of the shard, [`limits::SHARD_BYTES_FLOOR`] to [`limits::SHARD_BYTES_CEILING`]; beyond,
    /// the oldest events of the shard go first.
    pub shard_bytes_max: u64,
    /// Channels of the shard, 1 to [`limits::SHARD_CHANNELS_CEILING`]; beyond, the longest-empty, then those
    /// with the oldest event are erased.
    pub channels_max: u32,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// Too many rules.
    #[error(
        "{count} retention rules, at most {} are allowed",
        limits::RETENTION_RULES_MAX
    )]
    TooManyRules {
        /// How many.
        count: usize,
    },
    /// A number outside of its bounds.
    #[error("{setting} is {value}, allowed are {min} to {max}")]
    OutOfBounds {
        /// Which setting, by the name of its field.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events_max: limits::RETAINED_EVENTS_DEFAULT,
            bytes_max: limits::RETAINED_BYTES_DEFAULT,
            age_max_ms: None,
        }
    }
}

impl Default for Settings {
    /// The defaults of the public contract's Limits.
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            retention: Retention::default(),
            shard_bytes_max: limits::SHARD_BYTES_DEFAULT,
            channels_max: limits::SHARD_CHANNELS_DEFAULT,
        }
    }
}

impl Settings {
    /// Checks every number against its bounds: to be done before settings are proposed to a shard.
    ///
    /// # Errors
    ///
    /// The first setting that is out of bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        let count = self.rules.len();
        if count > limits::RETENTION_RULES_MAX {
            return Err(SettingsError::TooManyRules { count });
        }
        let bytes = (limits::SHARD_BYTES_FLOOR, limits::SHARD_BYTES_CEILING);
        within("shard_bytes_max", self.shard_bytes_max, bytes)?;
        let channels = (1, limits::SHARD_CHANNELS_CEILING.into());
        within("channels_max", self.channels_max.into(), channels)?;
        self.retention.check()?;
        self.rules
            .iter()
            .try_for_each(|rule| rule.retention.check())
    }

    /// Which rule counts for `channel`, as an index of [`Settings::rules`]; `None` where none matches.
    #[must_use]
    pub fn rule_of(&self, channel: &ChannelName) -> Option<usize> {
        self.rules
            .iter()
            .position(|rule| rule.channels.matches(channel))
    }

    /// How much of `channel` is kept.
    #[must_use]
    pub fn retention(&self, channel: &ChannelName) -> Retention {
        self.rule_of(channel)
            .map_or(self.retention, |index| self.rules[index].retention)
    }
}

impl Retention {
    fn check(&self) -> Result<(), SettingsError> {
        let events = (0, limits::RETAINED_EVENTS_CEILING.into());
        within("events_max", self.events_max.into(), events)?;
        within(
            "bytes_max",
            self.bytes_max,
            (0, limits::SHARD_BYTES_CEILING),
        )?;
        match self.age_max_ms {
            Some(age) => within("age_max_ms", age, (1, limits::AGE_MS_CEILING)),
            None => Ok(()),
        }
    }
}

fn within(setting: &'static str, value: u64, (min, max): (u64, u64)) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(SettingsError::OutOfBounds {
            setting,
            value,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChannelPattern;

    fn rule(pattern: &str, events_max: u32) -> RetentionRule {
        let channels = Interest::Pattern(ChannelPattern::parse(pattern).unwrap());
        RetentionRule {
            channels,
            retention: Retention {
                events_max,
                ..Retention::default()
            },
        }
    }

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    #[test]
    fn defaults_are_the_contracts_and_within_bounds() {
        let settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(
            (settings.shard_bytes_max, settings.channels_max),
            (256 << 20, 1_000_000)
        );
        let Retention {
            events_max,
            bytes_max,
            age_max_ms,
        } = settings.retention;
        assert_eq!((events_max, bytes_max, age_max_ms), (1_000, 1 << 20, None));
    }

    #[test]
    fn the_first_matching_rule_counts() {
        let mut settings = Settings::default();
        let named = Interest::Channel(name("/b"));
        settings.rules = vec![rule("/a/*", 1), rule("/a/**", 2), rule("/c/**", 3)];
        settings.rules.push(RetentionRule {
            channels: named,
            retention: Retention::default(),
        });
        assert_eq!(settings.rule_of(&name("/a/x")), Some(0));
        assert_eq!(settings.rule_of(&name("/a/x/y")), Some(1));
        assert_eq!(settings.rule_of(&name("/b")), Some(3));
        assert_eq!(settings.rule_of(&name("/d")), None);
        assert_eq!(settings.retention(&name("/a/x/y")).events_max, 2);
        assert_eq!(settings.retention(&name("/d")), settings.retention);
    }

    #[test]
    fn bounds_name_the_value_and_the_limit() {
        let refused = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|s| s.shard_bytes_max = 7),
            "shard_bytes_max is 7, allowed are 1048576 to 1099511627776"
        );
        assert_eq!(
            refused(|s| s.channels_max = 0),
            "channels_max is 0, allowed are 1 to 16000000"
        );
        assert_eq!(
            refused(|s| s.retention.events_max = 1_000_001),
            "events_max is 1000001, allowed are 0 to 1000000"
        );
        assert_eq!(
            refused(|s| s.retention.age_max_ms = Some(0)),
            "age_max_ms is 0, allowed are 1 to 315360000000"
        );
        assert_eq!(
            refused(|s| s.rules = vec![rule("/**", 1); 65]),
            "65 retention rules, at most 64 are allowed"
        );
    }
}
