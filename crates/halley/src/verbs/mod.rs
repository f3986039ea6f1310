//! The commands that talk to a running node, by the public gRPC API or the ops listener, or mend a stopped one.

pub(crate) mod channels;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod history;
pub(crate) mod publish;
pub(crate) mod subscribe;

mod form;
mod tls;

use std::time::Duration;

use halley_client::{Client, ClientConfig, ClientError};
use halley_env::Env;

use crate::{cli::Server, exit::Failure};

/// How long a command tries before it says that nobody answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of the nodes named on the command line, through TLS where files of it are named too.
fn connect(server: &Server, patience: Duration) -> Result<Client, Failure> {
    let config = ClientConfig {
        deadline: patience,
        tls: tls::read(&server.tls)?,
        ..ClientConfig::default()
    };
    Client::with_config(server.server.clone(), config, Env::system())
        .map_err(|error| failed(server, error))
}

/// A client's error as the end of a command.
fn failed(server: &Server, error: ClientError) -> Failure {
    match error {
        ClientError::Refused { code, detail, .. } => Failure::Refused { code, detail },
        ClientError::Unreachable { detail } => Failure::Unreachable(format!(
            "{} cannot be reached: {detail}. Is a node running there? --server or HALLEY_SERVER names \
             another gRPC address{}",
            server.server.join(", "),
            match server.tls.authority {
                Some(_) => "",
                None => ", --tls-authority whom to believe where the listener has TLS",
            }
        )),
        ClientError::NoAnswer { detail } => Failure::Unreachable(format!(
            "{} did not answer, and may have done what it was asked: {detail}",
            server.server.join(", ")
        )),
        ClientError::Endpoint { .. } => {
            let tls = tls::named(&server.tls);
            Failure::Usage(format!("--server{tls}: {error}"))
        }
    }
}
