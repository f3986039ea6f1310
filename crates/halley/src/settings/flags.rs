//! Settings from the command line: one flag per setting of the table.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{
    SettingsError,
    layer::{Layer, Origin},
    table::{Kind, TABLE},
};

/// What was given, as text by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// The flags as a layer.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`]
    pub(crate) fn layer(&self) -> Result<Layer, SettingsError> {
        let mut layer = Layer::default();
        for setting in TABLE {
            if let Some((_, text)) = self.0.iter().find(|(key, _)| *key == setting.key) {
                layer.read(setting, text, Origin::Flag(setting.flag))?;
            }
        }
        Ok(layer)
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        TABLE.iter().fold(command, |command, setting| {
            let mut arg = Arg::new(setting.key)
                .long(setting.flag)
                .value_name(setting.value)
                .help(setting.doc)
                .help_heading("Settings")
                .action(ArgAction::Set);
            if setting.kind == Kind::Switch {
                arg = arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = TABLE.iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.key)?;
            Some((setting.key, text.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
