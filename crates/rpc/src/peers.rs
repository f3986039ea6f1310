//! The transport to other replicas: [`Peers`] over one HTTP/2 connection an address, and a second for snapshots.
//!
//! Invariant: `Unreachable` is said only of what was never sent; a caller may do that again anywhere.

mod link;

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    stream::{self, BoxStream, StreamExt},
};
use halley_env::BoxFuture;
use halley_replica::{Lane, PeerError, Peers, Stream};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tonic::{Request, Streaming, codegen::http::Uri};

use link::{Link, Requests, Use};

use crate::{
    TlsClient, TlsError,
    dial::{Dial, host},
    limits,
    proto::peer::{Message, raft_client::RaftClient},
    tls::Trust,
};

/// The way out to other replicas over gRPC. Connections are made when first asked for, kept while they are used, and
/// all end when this is dropped.
pub struct GrpcPeers {
    trust: Option<Trust>,
    links: Mutex<BTreeMap<(String, Purpose), Arc<Link>>>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    /// Questions, log entries, commands.
    Urgent,
    /// Snapshots, which would stand in the way of the others.
    Bulk,
}

impl GrpcPeers {
    /// Peers reached through TLS if it is given, in plain text otherwise. To be used within a tokio runtime.
    ///
    /// # Errors
    /// [`TlsError`] when `tls` is bad.
    pub fn new(tls: Option<&TlsClient>) -> Result<Self, TlsError> {
        Ok(Self {
            trust: tls.map(TlsClient::trust).transpose()?,
            links: Mutex::new(BTreeMap::new()),
        })
    }

    /// The connection to `to` that there is, or a new one.
    fn link(&self, to: &str, purpose: Purpose) -> Result<Arc<Link>, PeerError> {
        let key = (to.to_owned(), purpose);
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&key).filter(|link| !link.is_down()) {
            return Ok(Arc::clone(link));
        }
        let refused = |reason: String| PeerError::Unreachable(format!("{to:?}: {reason}"));
        let uri = Uri::try_from(format!("http://{to}")).map_err(|e| refused(e.to_string()))?;
        if uri.port().is_none() {
            return Err(refused("host:port is needed".to_owned()));
        }
        if let Some(trust) = &self.trust {
            let name = trust.name_of(host(to));
            name.map_err(|error| refused(error.to_string()))?;
        }
        // Also those to other addresses that are no longer used.
        links.retain(|_, link| !link.is_down());
        let dial = Dial::new(to, self.trust.clone(), limits::RAFT_CONNECT_WITHIN);
        let within = match purpose {
            Purpose::Urgent => limits::RAFT_KEEP_ALIVE_WITHIN,
            Purpose::Bulk => limits::SNAPSHOT_KEEP_ALIVE_WITHIN,
        };
        let link = Arc::new(Link::start(dial, uri, within));
        links.insert(key, Arc::clone(&link));
        Ok(link)
    }
}

impl fmt::Debug for GrpcPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcPeers")
            .field("tls", &self.trust.is_some())
            .finish_non_exhaustive()
    }
}

fn client(requests: Requests) -> RaftClient<Requests> {
    let origin = requests.origin();
    RaftClient::with_origin(requests, origin)
        .max_decoding_message_size(limits::RAFT_FRAME_BYTES_MAX)
        .max_encoding_message_size(limits::RAFT_FRAME_BYTES_MAX)
}

async fn ask(link: Arc<Link>, question: Bytes, deadline: Duration) -> Result<Bytes, PeerError> {
    if question.len() > limits::RAFT_MESSAGE_BYTES_MAX {
        return Err(PeerError::Unreachable(format!(
            "a question of {} bytes, at most {} are sent",
            question.len(),
            limits::RAFT_MESSAGE_BYTES_MAX
        )));
    }
    let late = || format!("none within {} ms", deadline.as_millis());
    let ends = Instant::now() + deadline;
    let (requests, _used) = match timeout_at(ends, link.up()).await {
        Ok(up) => up?,
        Err(_) => return Err(PeerError::Unreachable(format!("connection: {}", late()))),
    };
    let mut request = Request::new(Message { message: question });
    request.set_timeout(deadline);
    match timeout_at(ends, client(requests.clone()).ask(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner().message),
        Ok(Err(status)) => Err(requests.explain(&status).await),
        Err(_) => Err(PeerError::NoAnswer(late())),
    }
}

/// What is sent, until the other direction is dropped.
struct Ups {
    messages: BoxStream<'static, Bytes>,
    dropped: oneshot::Receiver<()>,
}

impl futures_util::Stream for Ups {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.dropped.poll_unpin(context).is_ready() {
            return Poll::Ready(None);
        }
        let next = self.messages.poll_next_unpin(context);
        next.map(|message| message.map(|message| Message { message }))
    }
}

async fn open(
    link: Arc<Link>,
    lane: Lane,
    up: BoxStream<'static, Bytes>,
) -> Result<Stream, PeerError> {
    let (requests, used) = link.up().await?;
    let mut client = client(requests.clone());
    // HTTP/2 keeps a stream as long as one direction is held; this ends the one up with the one down.
    let (held, dropped) = oneshot::channel();
    let up = Ups {
        messages: up,
        dropped,
    };
    let opened = match lane {
        Lane::Append => client.append(up).await,
        Lane::Submit => client.submit(up).await,
        Lane::Snapshot => client.snapshot(up).await,
    };
    let messages = match opened {
        Ok(opened) => opened.into_inner(),
        Err(status) => return Err(requests.explain(&status).await),
    };
    let downs = Downs {
        messages,
        requests,
        _held: held,
        _used: used,
    };
    Ok(stream::unfold(Some(downs), next_down).boxed())
}

/// One direction down; dropping it ends the one up.
struct Downs {
    messages: Streaming<Message>,
    requests: Requests,
    _held: oneshot::Sender<()>,
    _used: Use,
}

/// The next message, or why there is none and nothing after it.
async fn next_down(downs: Option<Downs>) -> Option<(Result<Bytes, PeerError>, Option<Downs>)> {
    let mut downs = downs?;
    match downs.messages.message().await {
        Ok(Some(down)) => Some((Ok(down.message), Some(downs))),
        Ok(None) => None,
        Err(status) => Some((Err(downs.requests.explain(&status).await), None)),
    }
}

impl Peers for GrpcPeers {
    fn ask(
        &self,
        to: &str,
        question: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        let link = self.link(to, Purpose::Urgent);
        Box::pin(async move { ask(link?, question, deadline).await })
    }

    fn open(
        &self,
        to: &str,
        lane: Lane,
        up: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'_, Result<Stream, PeerError>> {
        let purpose = match lane {
            Lane::Append | Lane::Submit => Purpose::Urgent,
            Lane::Snapshot => Purpose::Bulk,
        };
        let link = self.link(to, purpose);
        Box::pin(async move { open(link?, lane, up).await })
    }
}
