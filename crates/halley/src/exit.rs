//! How the program ends: the exit codes of the public contract, and what is said on standard error.

use std::process::ExitCode;

use serde_json::json;
use thiserror::Error;

use crate::cli::Output;

/// Why a command did not do what it was asked. The variant is the exit code.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The server refused. Exit code 1.
    #[error("{detail} [{code}]")]
    Refused {
        /// Code of the public contract.
        code: String,
        /// What was wrong, and what would be right.
        detail: String,
    },
    /// The command cannot be meant like this. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers. Exit code 3.
    #[error("{0}")]
    Unreachable(String),
    /// It is not the user's mistake; starting again may help. Exit code 70 (EX_SOFTWARE).
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Internal(_) => INTERNAL,
        }
    }

    /// Says it on standard error, in the form asked for.
    pub(crate) fn report(&self, output: Output) -> ExitCode {
        let line = match output {
            Output::Text => format!("halley: {self}"),
            Output::Json => {
                let (code, detail) = match self {
                    Self::Refused { code, detail } => (code.as_str(), detail.as_str()),
                    Self::Usage(detail) => ("usage", detail.as_str()),
                    Self::Unreachable(detail) => ("unreachable", detail.as_str()),
                    Self::Internal(detail) => ("internal", detail.as_str()),
                };
                json!({"error": {"code": code, "detail": detail}}).to_string()
            }
        };
        crate::output::error_line(&line);
        ExitCode::from(self.code())
    }
}

/// Exit code of an error inside: a supervisor starts the program again.
pub(crate) const INTERNAL: u8 = 70;

/// From now on a panic of any task ends the process, after `last`: a node with a dead part must not look alive.
pub(crate) fn on_panic(last: impl Fn() + Send + Sync + 'static) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        // A damaged catalogue is made anew.
        if halley_store::Catalogue::catches_panics() {
            return;
        }
        last();
        std::process::exit(i32::from(INTERNAL));
    }));
}
