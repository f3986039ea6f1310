//! The command line, as it is typed. What the words mean is each command's own business.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Flags;

/// A message broker whose clients are browsers.
#[derive(Debug, Parser)]
#[command(name = "halley", version, about, after_help = EXIT_CODES)]
#[command(
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Form of what is printed
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 refused by the server, 2 usage, 3 unreachable, 70 internal.";

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a whole cluster on this machine, with demos; nothing to configure
    Dev(Dev),
    /// Runs one node
    Serve(Box<Serve>),
    /// Publishes one event
    Publish(Publish),
    /// Prints events as they come
    Subscribe(Subscribe),
    /// Prints the retained events of a channel
    History(History),
    /// Lists channels
    Channels(Channels),
    /// Shows the cluster, and changes what people decide about it
    Cluster(Cluster),
    /// Asks a node whether it lives, is ready, or passes an event through
    Check(Check),
    /// Does nothing for some seconds (for hooks in images without a shell)
    Sleep(Sleep),
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Replicas to run, 1 to 7
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub(crate) nodes: u16,
    /// Edges to run
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) edges: u16,
    /// Directory for what nodes store, found again by the next run; without it everything is gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Node i listens on N+10i to N+10i+3 (http, grpc, peer, ops) instead of 8080+i, 9090+i, 7400+i, 9100+i
    #[arg(long, value_name = "N")]
    pub(crate) base_port: Option<u16>,
    /// Milliseconds until a node that ended is started again
    #[arg(
        long,
        hide = true,
        default_value_t = 5_000,
        value_name = "MILLISECONDS"
    )]
    pub(crate) restart_after_ms: u64,
    /// Runs without the publisher of stock quotes
    #[arg(long, hide = true)]
    pub(crate) no_stocks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Settings file (TOML)
    #[arg(long, env = "HALLEY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Ends when standard input, a pipe, is closed
    #[arg(long, hide = true)]
    pub(crate) exit_with_parent: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Which node the command talks to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// gRPC address of a node; several are tried in turn
    #[arg(
        long,
        env = "HALLEY_SERVER",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9090",
        value_delimiter = ','
    )]
    pub(crate) server: Vec<String>,
    #[command(flatten)]
    pub(crate) tls: ServerTls,
}

/// How the command and the node know each other, where its grpc listener has TLS. All files are PEM.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServerTls {
    /// PEM file of the authorities that sign the node's certificate; plain text without it
    #[arg(
        long = "tls-authority",
        env = "HALLEY_CLIENT_TLS_AUTHORITY",
        value_name = "FILE"
    )]
    pub(crate) authority: Option<PathBuf>,
    /// PEM file of the certificate to show, where the node asks for one
    #[arg(
        long = "tls-certificate",
        env = "HALLEY_CLIENT_TLS_CERTIFICATE",
        value_name = "FILE"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long = "tls-key", env = "HALLEY_CLIENT_TLS_KEY", value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Name that the node's certificate carries, where it is not the host of the address
    #[arg(
        long = "tls-server-name",
        env = "HALLEY_CLIENT_TLS_SERVER_NAME",
        value_name = "NAME"
    )]
    pub(crate) server_name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Channel, such as /stocks/goog
    pub(crate) channel: String,
    /// Payload; read from standard input when absent or `-`
    #[arg(allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// Media type of the payload
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "application/json",
        conflicts_with = "text"
    )]
    pub(crate) content_type: String,
    /// The payload is plain text, not JSON
    #[arg(long)]
    pub(crate) text: bool,
    /// Type of the event, at most 64 bytes
    #[arg(long = "type", value_name = "TYPE", default_value = "")]
    pub(crate) event_type: String,
    /// Your own id of the event, at most 64 bytes
    #[arg(long, default_value = "")]
    pub(crate) id: String,
    /// Header of the event, may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// Idempotency key: the same key again within ten minutes publishes nothing
    #[arg(long, default_value = "")]
    pub(crate) key: String,
    /// Scope of the key
    #[arg(long, default_value = "", requires = "key")]
    pub(crate) producer: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// Channels and patterns, such as /stocks/goog or '/chat/**'
    #[arg(required = true, value_name = "CHANNEL")]
    pub(crate) channels: Vec<String>,
    /// latest, earliest, last:N, or a cursor
    #[arg(long, default_value = "latest")]
    pub(crate) since: String,
    /// Ends after this many events
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Channel
    pub(crate) channel: String,
    /// latest, earliest, last:N, or a cursor
    #[arg(long, default_value = "earliest")]
    pub(crate) since: String,
    /// Most events, 1 to 1000
    #[arg(
        long,
        default_value_t = 100,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) limit: u32,
    /// `linearizable` asks the leader first
    #[arg(long, default_value = "local")]
    pub(crate) consistency: Consistency,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// How new an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Consistency {
    /// What the node asked has
    Local,
    /// Everything acknowledged before the question
    Linearizable,
}

#[derive(Debug, Args)]
pub(crate) struct Channels {
    /// Only channels that match
    #[arg(default_value = "")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Prints members, groups and settings, and why something waits
    Status(Server),
    /// Changes a replicated setting
    Set(ClusterSet),
    /// Puts a node in the place of a member whose disk is gone
    Replace(ClusterReplace),
    /// Sets aside what a formation cut short has left on the disk of a stopped node
    Form(ClusterForm),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterSet {
    /// Setting, as in the settings file: retention.events_max
    pub(crate) key: String,
    /// Value, as on the command line of `serve`
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterReplace {
    /// The member whose disk is gone: its name, or its id where two nodes have the name
    pub(crate) old: String,
    /// The node that takes its place: its name or id
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterForm {
    /// Renames the node's directory, so that its next start is that of a new node; deletes nothing
    #[arg(long, required = true)]
    pub(crate) reset: bool,
    /// Data directory of the node
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Also when the node's log holds something: events may be lost to the cluster
    #[arg(long)]
    pub(crate) even_with_data: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// The process answers
    Live(Ops),
    /// The node wants work
    Ready(Ops),
    /// An event published comes back
    RoundTrip(RoundTrip),
}

#[derive(Debug, Args)]
pub(crate) struct Ops {
    /// ops address of the node
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9100")]
    pub(crate) ops: String,
    /// Longest wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RoundTrip {
    /// Channel to publish to
    #[arg(long, default_value = "/halley/check")]
    pub(crate) channel: String,
    /// Longest wait for the event
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Sleep {
    /// How long, fractions allowed
    #[arg(value_parser = seconds)]
    pub(crate) seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds from 0 to 86400 are needed".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
