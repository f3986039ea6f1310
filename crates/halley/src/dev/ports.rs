//! Whether the ports of a plan are free, asked before anything is started.

use std::{io, net::TcpListener};

use super::plan::Planned;

/// Checks every listener of every node.
///
/// # Errors
/// A sentence that names the first taken port, what wants it, and what to do.
pub(super) fn check(planned: &[Planned]) -> Result<(), String> {
    for node in planned {
        for (listener, address) in node.listeners() {
            if let Err(error) = TcpListener::bind(address) {
                let what = match error.kind() {
                    io::ErrorKind::AddrInUse => "is taken".into(),
                    _ => format!("cannot be opened ({error})"),
                };
                return Err(format!(
                    "port {} on {} {what}; node {} wants it for its {listener} listener. End what uses it, \
                     or choose other ports with --base-port",
                    address.port(),
                    address.ip(),
                    node.name,
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{cli, dev::plan::plan};

    #[test]
    fn a_taken_port_is_named_with_what_wants_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let dev = cli::Dev {
            nodes: 1,
            edges: 0,
            data: None,
            base_port: Some(port.min(65_000)),
            restart_after_ms: 0,
            no_stocks: true,
        };
        let mut planned = plan(&dev, Path::new("/r")).expect("fits");
        planned[0].http = taken.local_addr().expect("bound");
        let error = check(&planned).expect_err("is taken");
        assert!(error.contains(&format!("port {port}")), "{error}");
        assert!(
            error.contains("node n1") && error.contains("http listener"),
            "{error}"
        );
    }
}
