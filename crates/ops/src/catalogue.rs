//! Every metric of a node: name, unit and what it says. Rooms count by these names; nothing else is shown.
//!
//! Invariant: labels are bounded (transport, reason, code, role…): never a channel, a user or an address.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Buckets of durations, in seconds.
pub(crate) const SECONDS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];
/// Buckets of counts.
pub(crate) const COUNTS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 16_384.0, 131_072.0];

/// Gives every metric its help text.
pub(crate) fn describe() {
    node();
    clients();
    flow();
    cluster();
    store();
    replica();
}

fn node() {
    let g = |name: &'static str, help: &'static str| describe_gauge!(name, help);
    g("halley_build_info", "1; what was built (version)");
    g("halley_node_info", "1; who this node is (node, role)");
    g("halley_ready", "1 while the node should be given work");
    g("halley_draining", "1 while the node goes down");
    describe_gauge!(
        "halley_uptime_seconds",
        Unit::Seconds,
        "Time since the process took up its work"
    );
    describe_counter!(
        "process_cpu_seconds_total",
        Unit::Seconds,
        "User and system CPU time"
    );
    describe_gauge!(
        "process_resident_memory_bytes",
        Unit::Bytes,
        "Resident memory"
    );
    describe_gauge!(
        "process_virtual_memory_bytes",
        Unit::Bytes,
        "Virtual memory"
    );
    describe_gauge!(
        "process_start_time_seconds",
        Unit::Seconds,
        "Start, since the Unix epoch"
    );
    g("process_open_fds", "Open file descriptors");
    g("process_max_fds", "Most file descriptors that may be open");
    g("process_threads", "Threads");
}

fn clients() {
    let c = |name: &'static str, help: &'static str| describe_counter!(name, help);
    let g = |name: &'static str, help: &'static str| describe_gauge!(name, help);
    g(
        "halley_connections",
        "Readers that are there now (transport)",
    );
    c(
        "halley_connections_opened_total",
        "Readers that have come (transport)",
    );
    c(
        "halley_connections_closed_total",
        "Readers that have gone (transport, reason)",
    );
    c(
        "halley_connection_rejected_total",
        "Connections that were not served (reason)",
    );
    c(
        "halley_http_requests_total",
        "HTTP requests answered (route, status)",
    );
    c("halley_http_rejected_total", "HTTP requests refused (code)");
    c(
        "halley_grpc_handled_total",
        "gRPC calls ended (method, code)",
    );
    describe_histogram!(
        "halley_grpc_duration_seconds",
        Unit::Seconds,
        "Time of unary gRPC calls (method)"
    );
    g("halley_subscriptions", "Subscriptions open now");
    g(
        "halley_channels",
        "Channels and patterns that this node follows",
    );
    c("halley_subscribe_total", "Subscriptions asked for (result)");
    c(
        "halley_recover_total",
        "Readers that came back with a cursor (result)",
    );
    c(
        "halley_cursor_ahead_total",
        "Cursors beyond their leader's head: evidence of lost history",
    );
}

fn flow() {
    let c = |name: &'static str, help: &'static str| describe_counter!(name, help);
    c(
        "halley_publish_total",
        "Events published through this node (result)",
    );
    describe_histogram!(
        "halley_publish_duration_seconds",
        Unit::Seconds,
        "Time from a publish to its acknowledgement"
    );
    describe_histogram!(
        "halley_publish_to_deliver_seconds",
        Unit::Seconds,
        "Time from an event's stamp to its handing over to the socket of a reader that waited for it"
    );
    c(
        "halley_deliveries_total",
        "Events handed over to sockets (transport)",
    );
    describe_counter!(
        "halley_delivered_bytes_total",
        Unit::Bytes,
        "Bytes of events handed over to sockets (transport)"
    );
}

fn cluster() {
    describe_gauge!("halley_peer_up", "1 while a peer is reached (peer)");
    describe_counter!(
        "halley_edge_upstream_reconnects_total",
        "Times that following a shard began anew (reason)"
    );
    describe_gauge!(
        "halley_edge_upstream_lag_seconds",
        Unit::Seconds,
        "How long ago the upstream was heard last"
    );
}

fn store() {
    describe_counter!(
        "halley_store_log_bytes_total",
        Unit::Bytes,
        "Bytes written to the log and synced"
    );
    let c = |name: &'static str, help: &'static str| describe_counter!(name, help);
    c(
        "halley_store_log_syncs_total",
        "Syncs of the log: one may carry entries of all groups",
    );
    c(
        "halley_store_snapshots_damaged_total",
        "Snapshots that were damaged and set aside",
    );
}

fn replica() {
    let c = |name: &'static str, help: &'static str| describe_counter!(name, help);
    c(
        "halley_replica_snapshots_written_total",
        "Snapshots that this node wrote of its own state",
    );
    c(
        "halley_replica_snapshots_installed_total",
        "Snapshots of a leader that this node took over",
    );
    c(
        "halley_replica_snapshots_sent_total",
        "Snapshots that this node began to send to a follower",
    );
    c(
        "halley_replica_disks_set_aside_total",
        "Starts that found a damaged disk, put it aside and began as a new node",
    );
    c(
        "halley_replica_old_disk_total",
        "Starts that found an old disk: this node may not vote until an operator wipes it",
    );
    c(
        "halley_replica_clock_refused_total",
        "Proposals refused because this node's clock jumped and a majority disagrees with it",
    );
    describe_gauge!(
        "halley_replica_disk_full",
        "1 while the disk is too full to propose"
    );
}
