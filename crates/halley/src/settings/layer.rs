//! One source of settings (defaults, file, environment, flags) as values with their origin; laying them over
//! each other.
//!
//! Invariant: a layer holds only settings of the table, each with a value of its kind.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{
    SettingsError,
    table::{Kind, Setting, TABLE},
};

/// Whence a value came; shown in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The table.
    Default,
    /// A line of the file, counted from 1.
    File(PathBuf, usize),
    /// The environment.
    Environment(String),
    /// The command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(flag) => write!(f, "command line, --{flag}"),
        }
    }
}

/// A value of one of the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// `Kind::Text`
    Text(String),
    /// `Kind::Integer`
    Integer(u64),
    /// `Kind::Switch`
    Switch(bool),
    /// `Kind::List`
    List(Vec<String>),
    /// `Kind::Rules`
    Rules(Vec<Rule>),
}

/// A retention rule as written: what is `None` was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Channel or pattern.
    pub(crate) channels: String,
    /// As `retention.events_max`.
    pub(crate) events_max: Option<u64>,
    /// As `retention.bytes_max`.
    pub(crate) bytes_max: Option<u64>,
    /// As `retention.age_max_seconds`.
    pub(crate) age_max_seconds: Option<u64>,
}

impl Rule {
    /// The member called `key`, to be set; `None` when there is none.
    pub(crate) fn number(&mut self, key: &str) -> Option<&mut Option<u64>> {
        match key {
            "events_max" => Some(&mut self.events_max),
            "bytes_max" => Some(&mut self.bytes_max),
            "age_max_seconds" => Some(&mut self.age_max_seconds),
            _ => None,
        }
    }
}

/// Members of a rule, for error messages.
pub(crate) const RULE_KEYS: [&str; 4] = ["channels", "events_max", "bytes_max", "age_max_seconds"];

/// Values by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer(BTreeMap<&'static str, (Value, Origin)>);

impl Layer {
    /// The defaults of the table.
    pub(crate) fn defaults() -> Self {
        let mut layer = Self::default();
        for setting in TABLE {
            layer
                .read(setting, setting.default, Origin::Default)
                .expect("the table's defaults are of their kinds");
        }
        layer
    }

    /// Sets `setting`; a later call wins.
    pub(crate) fn set(&mut self, setting: &'static Setting, value: Value, origin: Origin) {
        self.0.insert(setting.key, (value, origin));
    }

    /// Reads `text`, as it stands in the environment or on the command line.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] when it is not of the setting's kind.
    pub(crate) fn read(
        &mut self,
        setting: &'static Setting,
        text: &str,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let value = parse(setting.kind, text)
            .map_err(|reason| SettingsError::invalid(setting.key, text, &origin, reason))?;
        self.set(setting, value, origin);
        Ok(())
    }

    /// Lays `upper` over this one.
    pub(crate) fn over(&mut self, upper: Self) {
        self.0.extend(upper.0);
    }

    /// The value of `key` and whence it came.
    ///
    /// # Panics
    /// When the key is not in the table or the defaults were not laid below.
    pub(crate) fn get(&self, key: &str) -> (&Value, &Origin) {
        let (value, origin) = self
            .0
            .get(key)
            .expect("a key of the table, over the defaults");
        (value, origin)
    }
}

fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::Text(text.into())),
        Kind::Integer => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| "a whole number is needed".into()),
        Kind::Switch => match text {
            "true" => Ok(Value::Switch(true)),
            "false" => Ok(Value::Switch(false)),
            _ => Err("`true` or `false` is needed".into()),
        },
        Kind::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(Value::List(items.map(String::from).collect()))
        }
        Kind::Rules => text
            .split_whitespace()
            .map(rule)
            .collect::<Result<_, _>>()
            .map(Value::Rules),
    }
}

/// Reads `PATTERN?events_max=N&bytes_max=N&age_max_seconds=N`. Names have no `?`, so this is unambiguous.
fn rule(text: &str) -> Result<Rule, String> {
    let (channels, members) = text.split_once('?').unwrap_or((text, ""));
    let mut rule = Rule {
        channels: channels.into(),
        ..Rule::default()
    };
    for member in members.split('&').filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        let number = rule.number(key).ok_or_else(|| {
            format!(
                "a retention rule has no `{key}`; it has {}",
                RULE_KEYS[1..].join(", ")
            )
        })?;
        let parsed = value
            .parse()
            .map_err(|_| format!("`{key}` is `{value}`, a whole number is needed"))?;
        *number = Some(parsed);
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_one_line() {
        let rules = parse(
            Kind::Rules,
            "/chat/**?events_max=10&age_max_seconds=60 /a?bytes_max=9",
        );
        let expected = vec![
            Rule {
                channels: "/chat/**".into(),
                events_max: Some(10),
                bytes_max: None,
                age_max_seconds: Some(60),
            },
            Rule {
                channels: "/a".into(),
                bytes_max: Some(9),
                ..Rule::default()
            },
        ];
        assert_eq!(rules, Ok(Value::Rules(expected)));
        for wrong in ["/a?events=1", "/a?events_max=many", "/a?events_max"] {
            assert!(parse(Kind::Rules, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_must_be_of_their_kind() {
        assert_eq!(
            parse(Kind::List, "a, b,"),
            Ok(Value::List(vec!["a".into(), "b".into()]))
        );
        assert_eq!(parse(Kind::Integer, "12"), Ok(Value::Integer(12)));
        for (kind, text) in [
            (Kind::Integer, "-1"),
            (Kind::Integer, "1.5"),
            (Kind::Switch, "yes"),
        ] {
            assert!(parse(kind, text).is_err(), "{kind:?} {text}");
        }
    }
}
