//! Bytes for clients: framings, cursor text, request and answer forms of the public contract.
//!
//! Pure: nothing here knows a socket or where events come from.

pub mod answer;
pub mod cursor;
pub mod framing;
pub mod json;
pub mod limits;
pub mod publish;
pub mod request;

mod code;
mod media;

pub use code::{Code, Rejection};
