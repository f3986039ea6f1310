//! `halley cluster …`: what operators ask of a cluster and tell it.

mod reset;
mod status;

use serde_json::json;

use super::{PATIENCE, connect, failed};
use crate::{
    cli::{self, ClusterCommand, Output},
    exit::Failure,
    output,
};

/// Does what is asked, and says what was done.
///
/// # Errors
/// [`Failure`]
pub(crate) async fn run(given: cli::Cluster, form: Output) -> Result<(), Failure> {
    match given.command {
        ClusterCommand::Status(server) => status(&server, form).await,
        ClusterCommand::Set(given) => set(&given, form).await,
        ClusterCommand::Replace(given) => replace(&given, form).await,
        ClusterCommand::Form(given) => reset(&given, form),
    }
}

async fn status(server: &cli::Server, form: Output) -> Result<(), Failure> {
    let client = connect(server, PATIENCE)?;
    let status = client
        .cluster_status()
        .await
        .map_err(|error| failed(server, error))?;
    let text = match form {
        Output::Text => status::text(&status),
        Output::Json => status::json(&status),
    };
    output::line(&text)?;
    Ok(())
}

async fn set(given: &cli::ClusterSet, form: Output) -> Result<(), Failure> {
    let cli::ClusterSet { key, value, server } = given;
    let client = connect(server, PATIENCE)?;
    client
        .cluster_set(key, value)
        .await
        .map_err(|error| failed(server, error))?;
    let line = match form {
        Output::Text => format!("{key} is {value} from now on"),
        Output::Json => json!({"key": key, "value": value}).to_string(),
    };
    output::line(&line)?;
    Ok(())
}

async fn replace(given: &cli::ClusterReplace, form: Output) -> Result<(), Failure> {
    let cli::ClusterReplace { old, new, server } = given;
    let client = connect(server, PATIENCE)?;
    client
        .cluster_replace(old, new)
        .await
        .map_err(|error| failed(server, error))?;
    let line = match form {
        Output::Text => format!(
            "{new} takes the place of {old}, group by group; `halley cluster status` shows how far it is"
        ),
        Output::Json => json!({"old": old, "new": new}).to_string(),
    };
    output::line(&line)?;
    Ok(())
}

fn reset(given: &cli::ClusterForm, form: Output) -> Result<(), Failure> {
    let aside = reset::reset(&given.data, given.even_with_data)?;
    let aside = aside.display();
    let line = match form {
        Output::Text => {
            format!(
                "what was there is now in {aside}; at its next start the node begins as a new one"
            )
        }
        Output::Json => json!({"moved_to": aside.to_string()}).to_string(),
    };
    output::line(&line)?;
    Ok(())
}
