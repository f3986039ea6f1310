//! Metrics of the node as a whole, set when they are asked for.

use std::time::Duration;

use halley_log::{NodeStatus, Role};
use metrics::gauge;

/// Sets them.
pub(crate) fn set(status: &NodeStatus, uptime: Duration) {
    gauge!("halley_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let labels = [
        ("node", status.node.clone()),
        ("role", role(status.role).to_owned()),
    ];
    gauge!("halley_node_info", &labels).set(1.0);
    gauge!("halley_ready").set(f64::from(u8::from(status.ready())));
    gauge!("halley_draining").set(f64::from(u8::from(status.draining)));
    gauge!("halley_uptime_seconds").set(uptime.as_secs_f64());
}

/// A role in one word.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Replica => "replica",
        Role::Edge => "edge",
    }
}
