//! The client against a broker that misbehaves on purpose.

mod broker;
mod calls;
mod cluster;
mod publishing;
mod reading;
mod tls;

use std::{net::SocketAddr, time::Duration};

use halley_env::Env;

use crate::{Client, ClientConfig};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client with short pauses.
fn client(endpoints: &[SocketAddr]) -> Client {
    let config = ClientConfig {
        attempt: Duration::from_secs(2),
        backoff_first: Duration::from_millis(1),
        backoff_last: Duration::from_millis(10),
        in_flight: 16,
        ..ClientConfig::default()
    };
    let endpoints = endpoints.iter().map(SocketAddr::to_string);
    Client::with_config(endpoints, config, Env::system()).expect("addresses")
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    free.local_addr().expect("bound")
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
