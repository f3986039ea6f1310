//! Replicated settings as people name and write them: the keys of the configuration file, the values as on the
//! command line. What `halley cluster set` takes and `halley cluster status` shows.
//!
//! Invariant: what [`list`] writes, [`change`] reads back to the same settings.

use std::fmt::Write as _;

use halley_shard::{ChannelName, ChannelPattern, Interest, Retention, RetentionRule, Settings};

use crate::AdminError;

const EVENTS_MAX: &str = "retention.events_max";
const BYTES_MAX: &str = "retention.bytes_max";
const AGE_MAX_SECONDS: &str = "retention.age_max_seconds";
const RULES: &str = "retention.rules";
const SHARD_BYTES_MAX: &str = "retention.shard_bytes_max";
const SHARD_CHANNELS_MAX: &str = "retention.shard_channels_max";

/// Every key, in the order of the configuration's reference.
pub const KEYS: [&str; 6] = [
    EVENTS_MAX,
    BYTES_MAX,
    AGE_MAX_SECONDS,
    RULES,
    SHARD_BYTES_MAX,
    SHARD_CHANNELS_MAX,
];

const MS_PER_SECOND: u64 = 1_000;

/// All settings, in the order of [`KEYS`]. A rule is written with all its members, also those that it had taken from
/// the defaults.
#[must_use]
pub fn list(settings: &Settings) -> Vec<(String, String)> {
    let retention = &settings.retention;
    let rules: Vec<String> = settings.rules.iter().map(rule_text).collect();
    let values = [
        retention.events_max.to_string(),
        retention.bytes_max.to_string(),
        seconds(retention.age_max_ms).to_string(),
        rules.join(" "),
        settings.shard_bytes_max.to_string(),
        settings.channels_max.to_string(),
    ];
    KEYS.map(String::from).into_iter().zip(values).collect()
}

/// `settings` with `value` for `key`. What a rule leaves out is taken from the defaults as they are now.
///
/// # Errors
/// [`AdminError::Invalid`], which names the key, the value and what is allowed.
pub fn change(settings: &Settings, key: &str, value: &str) -> Result<Settings, AdminError> {
    let invalid = |reason: String| AdminError::Invalid(format!("{key} = `{value}`: {reason}"));
    let mut changed = settings.clone();
    match key {
        EVENTS_MAX => changed.retention.events_max = small(value).map_err(invalid)?,
        BYTES_MAX => changed.retention.bytes_max = number(value).map_err(invalid)?,
        AGE_MAX_SECONDS => changed.retention.age_max_ms = age(value).map_err(invalid)?,
        RULES => changed.rules = rules(value, settings.retention).map_err(invalid)?,
        SHARD_BYTES_MAX => changed.shard_bytes_max = number(value).map_err(invalid)?,
        SHARD_CHANNELS_MAX => changed.channels_max = small(value).map_err(invalid)?,
        _ => {
            let keys = KEYS.join(", ");
            let reason = format!("there is no replicated setting `{key}`; there are {keys}");
            return Err(AdminError::Invalid(reason));
        }
    }
    match changed.check() {
        Ok(()) => Ok(changed),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "a whole number, zero or more, is needed".to_owned())
}

/// A number whose bound lies far below `u32::MAX`.
fn small(text: &str) -> Result<u32, String> {
    number(text)?
        .try_into()
        .map_err(|_| "the number is too large".to_owned())
}

/// Seconds; 0 keeps events whatever their age.
fn age(text: &str) -> Result<Option<u64>, String> {
    let seconds = number(text)?;
    let most = halley_shard::limits::AGE_MS_CEILING / MS_PER_SECOND;
    if seconds > most {
        return Err(format!("0 to {most} seconds are allowed"));
    }
    Ok((seconds > 0).then(|| seconds * MS_PER_SECOND))
}

/// An age that is not of whole seconds is rounded up: it must not turn into 0, which means something else.
fn seconds(age_ms: Option<u64>) -> u64 {
    age_ms.map_or(0, |age| age.div_ceil(MS_PER_SECOND))
}

/// `PATTERN?events_max=N&bytes_max=N&age_max_seconds=N`, separated by white space.
fn rules(text: &str, base: Retention) -> Result<Vec<RetentionRule>, String> {
    text.split_whitespace()
        .map(|text| rule(text, base))
        .collect()
}

fn rule(text: &str, base: Retention) -> Result<RetentionRule, String> {
    let (channels, members) = text.split_once('?').unwrap_or((text, ""));
    let mut retention = base;
    for member in members.split('&').filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        let wrong = |reason: String| format!("`{key}` of {channels} is `{value}`: {reason}");
        match key {
            "events_max" => retention.events_max = small(value).map_err(wrong)?,
            "bytes_max" => retention.bytes_max = number(value).map_err(wrong)?,
            "age_max_seconds" => retention.age_max_ms = age(value).map_err(wrong)?,
            _ => {
                let members = "events_max, bytes_max, age_max_seconds";
                return Err(format!("a rule has no `{key}`; it has {members}"));
            }
        }
    }
    Ok(RetentionRule {
        channels: interest(channels)?,
        retention,
    })
}

fn interest(text: &str) -> Result<Interest, String> {
    if text.contains('*') {
        let pattern = ChannelPattern::parse(text).map(Interest::Pattern);
        return pattern.map_err(|error| format!("pattern {text}: {error}"));
    }
    let name = ChannelName::parse(text).map(Interest::Channel);
    name.map_err(|error| format!("channel {text}: {error}"))
}

fn rule_text(rule: &RetentionRule) -> String {
    let mut text = match &rule.channels {
        Interest::Channel(name) => name.as_str().to_owned(),
        Interest::Pattern(pattern) => pattern.as_str().to_owned(),
    };
    let Retention {
        events_max,
        bytes_max,
        age_max_ms,
    } = rule.retention;
    let age = seconds(age_max_ms);
    write!(
        text,
        "?events_max={events_max}&bytes_max={bytes_max}&age_max_seconds={age}"
    )
    .expect("a String takes all text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(key: &str, value: &str) -> Settings {
        change(&Settings::default(), key, value).expect("allowed")
    }

    #[test]
    fn what_is_listed_reads_back() {
        let mut settings = changed(RULES, "/chat/**?events_max=10 /a?age_max_seconds=60 /b");
        for (key, value) in [(EVENTS_MAX, "5"), (AGE_MAX_SECONDS, "7"), (BYTES_MAX, "9")] {
            settings = change(&settings, key, value).expect("allowed");
        }
        let mut back = Settings::default();
        for (key, value) in list(&settings) {
            back = change(&back, &key, &value).expect("was listed");
        }
        assert_eq!(back, settings);
        let keys: Vec<_> = list(&settings).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, KEYS);
    }

    #[test]
    fn a_rule_takes_what_it_leaves_out_from_the_defaults() {
        let settings = changed(RULES, "/chat/**?events_max=10");
        assert_eq!(
            list(&settings)[3].1,
            "/chat/**?events_max=10&bytes_max=1048576&age_max_seconds=0"
        );
        assert_eq!(changed(RULES, "").rules, []);
    }

    #[test]
    fn zero_seconds_keep_events_whatever_their_age() {
        assert_eq!(changed(AGE_MAX_SECONDS, "0").retention.age_max_ms, None);
        assert_eq!(
            changed(AGE_MAX_SECONDS, "2").retention.age_max_ms,
            Some(2_000)
        );
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (key, value, said) in [
            ("retention.events", "5", "retention.events_max"),
            ("shards", "3", "no replicated setting `shards`"),
            (EVENTS_MAX, "many", "a whole number"),
            (EVENTS_MAX, "1000001", "1000000"),
            (EVENTS_MAX, "5000000000", "too large"),
            (SHARD_BYTES_MAX, "1", "allowed are"),
            (SHARD_CHANNELS_MAX, "0", "allowed are"),
            (AGE_MAX_SECONDS, "99999999999", "seconds are allowed"),
            (RULES, "/a?events=1", "a rule has no `events`"),
            (RULES, "/a?events_max", "a whole number"),
            (RULES, "/a/*/b", "pattern /a/*/b"),
            (RULES, "a", "channel a"),
        ] {
            let error = change(&Settings::default(), key, value).expect_err(key);
            let AdminError::Invalid(text) = error else {
                panic!("{error:?}");
            };
            assert!(text.contains(said), "{key} = {value}: {text}");
        }
    }
}
