//! Bounds of a client.

use std::time::Duration;

use crate::ClientTls;

/// How long a client tries, and how hard.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long one call may take, all its attempts together. 30 s.
    pub deadline: Duration,
    /// How long one attempt may take before another endpoint is tried. 5 s.
    pub attempt: Duration,
    /// How long connecting may take. 2 s.
    pub connect: Duration,
    /// First bound of the jittered back-off between attempts; doubles with each. 50 ms.
    pub backoff_first: Duration,
    /// Last bound of it. 2 s.
    pub backoff_last: Duration,
    /// A subscription that hears nothing for this long, not even progress, goes elsewhere. 45 s.
    pub silence: Duration,
    /// Publishes of one [`crate::PublishStream`] on their way, 1 to 1,024; then sending waits. 512.
    pub in_flight: usize,
    /// TLS; plain text without it. None.
    pub tls: Option<ClientTls>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
            connect: Duration::from_secs(2),
            backoff_first: Duration::from_millis(50),
            backoff_last: Duration::from_secs(2),
            silence: Duration::from_secs(45),
            in_flight: 512,
            tls: None,
        }
    }
}
