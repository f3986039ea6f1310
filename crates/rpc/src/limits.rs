//! Bounds of the gRPC listeners, with their units.

use std::time::Duration;

use halley_shard::limits as shard_limits;

/// Bytes of one request of the public services.
pub(crate) const REQUEST_BYTES_MAX: usize = halley_wire::limits::BODY_BYTES_MAX;
/// Bytes that are still decoded, so that a request slightly too large gets an answer that names its size.
pub(crate) const DECODED_BYTES_MAX: usize = REQUEST_BYTES_MAX + 256 * 1024;
/// Bytes of one message between nodes: a whole window may be one.
pub(crate) const PEER_MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of one message between replicas.
pub(crate) const RAFT_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The same with its protobuf around it.
pub(crate) const RAFT_FRAME_BYTES_MAX: usize = RAFT_MESSAGE_BYTES_MAX + 64;
/// Events of one page, when the request does not say.
pub(crate) const PAGE_DEFAULT: u32 = 100;
/// Events, or channels, of one page.
pub(crate) const PAGE_MAX: u32 = 1_000;
/// Publishes of one stream that are on their way; then no more are read.
pub(crate) const STREAM_IN_FLIGHT_MAX: usize = shard_limits::CLIENT_RESULTS_MAX;
/// Payload bytes of one stream that are on their way; then no more are read.
pub(crate) const STREAM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Commands of one node that are on their way in the log of another; then no more are read from it.
pub(crate) const SUBMISSIONS_MAX: usize = 16_384;
/// Items that a subscription takes at once.
pub(crate) const TAKE_ITEMS: usize = 256;
/// Bytes of events that a subscription takes at once.
pub(crate) const TAKE_BYTES: usize = 256 * 1024;
/// Events that a subscription looks at at once, those of other channels included.
pub(crate) const TAKE_SCANNED: usize = 4_096;
/// Events that one history answer looks at.
pub(crate) const HISTORY_SCANNED: usize = 1_000_000;
/// Streams of one connection.
pub(crate) const STREAMS_MAX: u32 = 4_096;
/// HTTP/2 window of one stream on the public listener, in bytes.
pub(crate) const WINDOW_BYTES: u32 = 1024 * 1024;
/// HTTP/2 window of one connection on the public listener, in bytes.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// HTTP/2 window of one stream between nodes, in bytes.
pub(crate) const PEER_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// HTTP/2 window of one connection between nodes, in bytes.
pub(crate) const PEER_CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// How often a silent connection is asked for a sign of life.
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
/// How often a silent connection between nodes is.
pub(crate) const PEER_KEEP_ALIVE_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to give one.
pub(crate) const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take between nodes.
pub(crate) const PEER_KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(3);
/// How often a silent connection between replicas is asked for a sign of life: elections do not wait for it, yet an
/// append stream to a host that is gone ends within this and [`RAFT_KEEP_ALIVE_WITHIN`], and its owner reconnects.
pub(crate) const RAFT_KEEP_ALIVE_EVERY: Duration = Duration::from_secs(1);
/// How long it may take between replicas; longer than a noisy host pauses a process.
pub(crate) const RAFT_KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(2);
/// How long it may take where snapshots are sent: a slow line carries megabytes before the question.
pub(crate) const SNAPSHOT_KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(8);
/// How long connecting to another replica may take.
pub(crate) const RAFT_CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection between replicas may take to say why it has ended, once its streams have.
pub(crate) const RAFT_ENDED_WITHIN: Duration = Duration::from_millis(100);
/// A connection between replicas that was not used for this long is closed.
pub(crate) const RAFT_UNUSED_MAX: Duration = Duration::from_secs(300);
/// How long a TLS handshake may take for whoever begins it.
pub(crate) const TLS_CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take at a listener.
pub(crate) const TLS_ACCEPT_WITHIN: Duration = Duration::from_secs(10);
/// TLS handshakes under way at one listener; then no more connections are accepted.
pub(crate) const TLS_ACCEPTS_MAX: usize = 1_024;
/// How long connecting to another node may take.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long connections may take to end once they have been cut.
pub(crate) const CUT_WITHIN: Duration = Duration::from_secs(2);
/// Pause after accepting failed, for want of file descriptors for instance.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(REQUEST_BYTES_MAX < DECODED_BYTES_MAX);
const _: () = assert!(PAGE_MAX as usize == shard_limits::ANSWER_EVENTS_MAX);
