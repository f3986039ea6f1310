//! The browser's side: request dialects, carriers, endpoints, demos.
//!
//! A request passes `connection` (time limits, sockets), `front` (limits of its head, admission, CORS), its
//! `endpoint`, and, where it reads, a `carrier`: an answer given once, or a streamed body. Invariant: nothing
//! here queues events; a reader is a cursor held by its carrier, and a slow one is asked for less.

mod answer;
mod bare;
mod batch;
mod body;
mod carrier;
mod config;
mod connection;
mod cors;
mod demo;
mod drain;
mod endpoint;
mod frame;
mod front;
mod head;
mod limits;
mod meters;
mod plain;
mod pulse;
mod reject;
mod route;
mod server;
mod socket;

pub use config::{HttpConfig, OtherNode};
pub use server::HttpServer;
