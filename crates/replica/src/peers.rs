//! The transport between replicas: questions and streams of bytes.
//!
//! Who carries them knows nothing of what they mean (`rpc` over gRPC, a simulation in memory). Invariant of
//! a stream: messages arrive in order and without a hole, or it ends.

use std::{fmt::Debug, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use halley_env::BoxFuture;
use thiserror::Error;

/// One direction of a two-way stream.
pub type Stream = BoxStream<'static, Result<Bytes, PeerError>>;

/// What a stream is for; the transport may keep bulk away from what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Log entries of one group, and what became of them.
    Append,
    /// Commands for a leader, and their replies.
    Submit,
    /// A snapshot; on a connection of its own.
    Snapshot,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// It was never sent.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It may have been sent, and the answer is missing.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// The way out to other replicas, by address (`host:port`). Connects when first asked, and again when a connection
/// is gone.
pub trait Peers: Debug + Send + Sync + 'static {
    /// One question, one answer, within `deadline`.
    ///
    /// # Errors
    /// [`PeerError`]
    fn ask(
        &self,
        to: &str,
        question: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>>;

    /// Opens a two-way stream; what `up` yields is sent, until it ends or the returned stream is dropped. A stream
    /// that falls silent ends within the transport's keep-alive.
    ///
    /// # Errors
    /// [`PeerError`]
    fn open(
        &self,
        to: &str,
        lane: Lane,
        up: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'_, Result<Stream, PeerError>>;
}

/// The way in: what a replica answers to others.
pub trait Answering: Debug + Send + Sync + 'static {
    /// Answers a question. Bytes that are none of ours are answered too, with a refusal.
    fn ask(&self, question: Bytes) -> BoxFuture<'_, Bytes>;

    /// Takes a stream; what is returned is sent back, until it ends. Dropping it ends the work behind it.
    fn open(&self, lane: Lane, up: Stream) -> BoxStream<'static, Bytes>;
}
