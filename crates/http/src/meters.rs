//! What this room counts. Handles are made once: an update is one atomic operation.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Everything counted per transport, and the way of events to it.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    /// Long polls.
    pub(crate) poll: Transport,
    /// Event streams.
    pub(crate) sse: Transport,
    /// Seconds from an event's stamp to its handing over to a socket; of readers that were waiting for it.
    pub(crate) publish_to_deliver: Histogram,
}

/// One transport.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    name: &'static str,
    connections: Gauge,
    opened: Counter,
    deliveries: Counter,
    delivered_bytes: Counter,
}

/// A reader that is there; dropping it counts its end.
#[derive(Debug)]
pub(crate) struct Held {
    transport: &'static str,
    connections: Gauge,
    reason: &'static str,
}

impl Meters {
    /// Registers with the recorder that is installed by now.
    pub(crate) fn new() -> Self {
        Self {
            poll: Transport::new("poll"),
            sse: Transport::new("sse"),
            publish_to_deliver: histogram!("halley_publish_to_deliver_seconds"),
        }
    }

    /// Counts an event's way to a reader that was waiting for it. Clocks of two machines: never below zero.
    pub(crate) fn note_trip(&self, now_ms: u64, stamped_ms: u64) {
        let seconds = now_ms.saturating_sub(stamped_ms) as f64 / 1_000.0;
        self.publish_to_deliver.record(seconds);
    }
}

impl Transport {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            connections: gauge!("halley_connections", "transport" => name),
            opened: counter!("halley_connections_opened_total", "transport" => name),
            deliveries: counter!("halley_deliveries_total", "transport" => name),
            delivered_bytes: counter!("halley_delivered_bytes_total", "transport" => name),
        }
    }

    /// A reader has come.
    pub(crate) fn open(&self) -> Held {
        self.opened.increment(1);
        self.connections.increment(1.0);
        Held {
            transport: self.name,
            connections: self.connections.clone(),
            reason: "client",
        }
    }

    /// Events and their bytes have been handed over.
    pub(crate) fn note_delivered(&self, events: usize, bytes: usize) {
        self.deliveries.increment(events as u64);
        self.delivered_bytes.increment(bytes as u64);
    }
}

impl Held {
    /// Why it will end, unless the client goes first.
    pub(crate) fn because(&mut self, reason: &'static str) {
        self.reason = reason;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connections.decrement(1.0);
        let labels = [("transport", self.transport), ("reason", self.reason)];
        counter!("halley_connections_closed_total", &labels).increment(1);
    }
}

/// A connection was not served.
pub(crate) fn note_connection_rejected(reason: &'static str) {
    counter!("halley_connection_rejected_total", "reason" => reason).increment(1);
}

/// A request was answered.
pub(crate) fn note_request(route: &'static str, status: u16) {
    counter!("halley_http_requests_total", "route" => route, "status" => status.to_string())
        .increment(1);
}

/// A request was refused.
pub(crate) fn note_reject(code: &'static str) {
    counter!("halley_http_rejected_total", "code" => code).increment(1);
}
