//! The settings file: TOML, strict. Every key is a setting of the table, or an error that names its line.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    SettingsError,
    layer::{Layer, Origin, RULE_KEYS, Rule, Value},
    nearest::nearest,
    table::{self, Kind, Setting, TABLE},
};

/// Reads the text of the file at `path`.
///
/// # Errors
/// [`SettingsError`], with the line.
pub(crate) fn read(path: &Path, text: &str) -> Result<Layer, SettingsError> {
    let source = Source { path, text };
    let document = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        path: path.into(),
        line: error.span().map_or(1, |span| source.line(span.start)),
        reason: error.message().into(),
    })?;
    let mut layer = Layer::default();
    source.table("", document.get_ref(), &mut layer)?;
    Ok(layer)
}

#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// The line, counted from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        1 + self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File(self.path.into(), self.line(offset))
    }

    fn table(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        layer: &mut Layer,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let at = name.span().start;
            if let Some(setting) = table::by_key(&key) {
                let read = self.value(setting, value)?;
                layer.set(setting, read, self.origin(at));
            } else if let (DeValue::Table(inner), true) = (value.get_ref(), is_prefix(&key)) {
                self.table(&format!("{key}."), inner, layer)?;
            } else {
                return Err(self.unknown(&key, at, TABLE.iter().map(|setting| setting.key)));
            }
        }
        Ok(())
    }

    fn unknown<'k>(
        &self,
        key: &str,
        at: usize,
        known: impl IntoIterator<Item = &'k str>,
    ) -> SettingsError {
        SettingsError::UnknownKey {
            key: key.into(),
            path: self.path.into(),
            line: self.line(at),
            nearest: nearest(key, known).map(String::from),
        }
    }

    fn value(
        &self,
        setting: &'static Setting,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Value, SettingsError> {
        let wrong = |needed: &str| {
            let origin = self.origin(value.span().start);
            let shown = &self.text[value.span()];
            SettingsError::invalid(setting.key, shown, &origin, format!("{needed} is needed"))
        };
        match (setting.kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) => Ok(Value::Text(text.to_string())),
            (Kind::Text, _) => Err(wrong("a text in quotes")),
            (Kind::Integer, number) => integer(number)
                .map(Value::Integer)
                .ok_or_else(|| wrong("a whole number")),
            (Kind::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
            (Kind::Switch, _) => Err(wrong("`true` or `false`")),
            (Kind::List, DeValue::Array(items)) => {
                let texts = items
                    .iter()
                    .map(|item| item.get_ref().as_str().map(String::from));
                let texts = texts.collect::<Option<_>>();
                texts
                    .map(Value::List)
                    .ok_or_else(|| wrong("a list of texts"))
            }
            (Kind::List, _) => Err(wrong("a list of texts")),
            (Kind::Rules, DeValue::Array(items)) => {
                let rules = items.iter().map(|item| match item.get_ref() {
                    DeValue::Table(table) => self.rule(setting, item.span().start, table),
                    _ => Err(wrong("a list of tables")),
                });
                rules.collect::<Result<_, _>>().map(Value::Rules)
            }
            (Kind::Rules, _) => Err(wrong("a list of tables, `[[retention.rules]]`,")),
        }
    }

    fn rule(
        &self,
        setting: &'static Setting,
        at: usize,
        table: &DeTable<'_>,
    ) -> Result<Rule, SettingsError> {
        let mut rule = Rule::default();
        for (name, value) in table {
            let key = name.get_ref().as_ref();
            let wrong = |needed: &str| {
                let origin = self.origin(value.span().start);
                let key = format!("{}.{key}", setting.key);
                let shown = &self.text[value.span()];
                SettingsError::invalid(&key, shown, &origin, format!("{needed} is needed"))
            };
            if key == "channels" {
                let text = value
                    .get_ref()
                    .as_str()
                    .ok_or_else(|| wrong("a text in quotes"))?;
                rule.channels = text.into();
            } else if let Some(number) = rule.number(key) {
                *number = Some(integer(value.get_ref()).ok_or_else(|| wrong("a whole number"))?);
            } else {
                return Err(self.unknown(key, name.span().start, RULE_KEYS));
            }
        }
        if rule.channels.is_empty() {
            let reason = "a rule needs `channels`, a channel or a pattern".into();
            return Err(SettingsError::invalid(
                setting.key,
                "",
                &self.origin(at),
                reason,
            ));
        }
        Ok(rule)
    }
}

fn is_prefix(key: &str) -> bool {
    TABLE.iter().any(|setting| {
        setting
            .key
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(Path::new("halley.toml"), text)
            .expect_err("is refused")
            .to_string()
    }

    #[test]
    fn every_kind_is_read() {
        let text = "shards = 4\ndemos = true\nupstream = [\"a:1\"]\n[listen]\nhttp = \"0.0.0.0:1\"\n\
                    [[retention.rules]]\nchannels = \"/a/**\"\nevents_max = 1_000\n";
        let layer = read(Path::new("halley.toml"), text).expect("is read");
        assert_eq!(layer.get("shards").0, &Value::Integer(4));
        let origin = Origin::File("halley.toml".into(), 5);
        assert_eq!(
            layer.get("listen.http"),
            (&Value::Text("0.0.0.0:1".into()), &origin)
        );
        let rule = Rule {
            channels: "/a/**".into(),
            events_max: Some(1_000),
            ..Rule::default()
        };
        assert_eq!(layer.get("retention.rules").0, &Value::Rules(vec![rule]));
    }

    #[test]
    fn unknown_keys_name_line_and_neighbour() {
        let text = error("\n[listen]\nhtpp = \"0.0.0.0:8080\"\n");
        assert_eq!(
            text,
            "halley.toml, line 3: there is no setting `listen.htpp`; did you mean `listen.http`?"
        );
        assert!(error("[[retention.rules]]\nchannel = \"/a\"\n").contains("`channels`"));
        assert!(error("[clsuter]\nx = 1\n").contains("line 1"));
    }

    #[test]
    fn wrong_kinds_and_broken_syntax_name_the_line() {
        assert!(error("shards = \"two\"").contains("line 1"));
        assert!(error("\nshards = -2").contains("line 2"));
        assert!(error("demos = 1").contains("`true` or `false`"));
        assert!(error("a = \nb = 2").contains("line 1"));
        assert!(error("[[retention.rules]]\nevents_max = 1").contains("needs `channels`"));
    }
}
