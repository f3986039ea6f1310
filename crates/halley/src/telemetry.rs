//! Log lines of a node, on standard error.

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    exit::Failure,
    settings::{LogFormat, Settings},
};

/// Starts logging. What is logged is each room's business; no room logs payloads or tokens.
///
/// # Errors
/// [`Failure::Usage`] when `log.level` is no filter.
pub(crate) fn start(settings: &Settings) -> Result<(), Failure> {
    // Raft's own complaints about peers that are away come many times a second, and this program says them once.
    let level = if settings.log_level.contains("openraft") {
        settings.log_level.clone()
    } else {
        format!(
            "{},openraft=error,openraft::core::heartbeat=off",
            settings.log_level
        )
    };
    let filter = EnvFilter::try_new(&level).map_err(|error| {
        Failure::Usage(format!(
            "`log.level` is `{}`: {error}; levels are error, warn, info, debug and trace",
            settings.log_level
        ))
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
