//! [`GrpcPeers`] against a [`PeerServer`] whose replica says back what it hears.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use halley_env::BoxFuture;
use halley_replica::{Answering, Lane, PeerError, Peers, Stream};
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::{GrpcPeers, PeerConfig, PeerServer, TlsClient, TlsServer};

/// Says back every message, after the lane it came on.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// Streams whose work has not ended.
    running: Arc<AtomicUsize>,
}

/// Counts one stream for as long as its work lives.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

const SILENCE: &[u8] = b"say nothing";

impl Answering for Echo {
    fn ask(&self, question: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move {
            if question == SILENCE {
                std::future::pending::<()>().await;
            }
            question
        })
    }

    fn open(&self, lane: Lane, up: Stream) -> BoxStream<'static, Bytes> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(&self.running));
        let first = Bytes::from(format!("{lane:?}"));
        let heard = up.filter_map(move |up| {
            let _counted = &running;
            std::future::ready(up.ok())
        });
        stream::iter([first]).chain(heard).boxed()
    }
}

/// A replica's peer listener.
pub(crate) struct Replica {
    log: Arc<MemoryLog>,
    server: PeerServer,
    running: Arc<AtomicUsize>,
}

impl Replica {
    async fn start() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(tls: Option<TlsServer>) -> Self {
        let log = memory(Settings::default());
        let echo = Echo::default();
        let running = Arc::clone(&echo.running);
        let config = PeerConfig {
            grace: Duration::from_millis(20),
            tls,
            ..PeerConfig::default()
        };
        let server = PeerServer::start(
            listener().await,
            log.clone(),
            Some(Arc::new(echo)),
            config,
            Env::system(),
        );
        Self {
            log,
            server: server.expect("good TLS or none"),
            running,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }

    pub(crate) async fn stop(self) {
        within("the listener", self.server.stop()).await;
        self.log.close().await;
    }
}

pub(crate) fn peers(tls: Option<&TlsClient>) -> GrpcPeers {
    GrpcPeers::new(tls).expect("good TLS or none")
}

/// A stream with a handle for what goes up.
async fn opened(
    peers: &GrpcPeers,
    to: &str,
    lane: Lane,
) -> Result<(mpsc::UnboundedSender<Bytes>, Stream), PeerError> {
    let (ups, waiting) = mpsc::unbounded_channel();
    let up = UnboundedReceiverStream::new(waiting).boxed();
    let down = within("opening", peers.open(to, lane, up)).await?;
    Ok((ups, down))
}

async fn next(down: &mut Stream) -> Option<Result<Bytes, PeerError>> {
    within("a message", down.next()).await
}

fn unreachable<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> String {
    match answer {
        Err(PeerError::Unreachable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn no_answer<T: std::fmt::Debug>(answer: Result<T, PeerError>) -> String {
    match answer {
        Err(PeerError::NoAnswer(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A way to a replica that counts connections, and can be made to swallow everything.
struct Way {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    swallow: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Way {
    async fn to(address: String) -> Self {
        let listener = listener().await;
        let (swallow, swallows) = watch::channel(false);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let at = listener.local_addr().expect("bound");
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (address, mut swallows) = (address.clone(), swallows.clone());
                all.spawn(async move {
                    let mut far = TcpStream::connect(address).await.expect("there");
                    let swallowing = async { swallows.wait_for(|swallow| *swallow).await.is_ok() };
                    let swallowed = tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => false,
                        swallowed = swallowing => swallowed,
                    };
                    if swallowed {
                        // Both ends stay open, and nothing passes any more.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self {
            address: at,
            connections,
            swallow,
            _task: task,
        }
    }
}

#[tokio::test]
async fn questions_are_answered() {
    let replica = Replica::start().await;
    let peers = peers(None);
    for size in [0, 1, 100_000, 16 * 1024 * 1024] {
        let question = Bytes::from(vec![7; size]);
        let answer = within(
            "an answer",
            peers.ask(&replica.address(), question.clone(), PATIENCE),
        )
        .await;
        assert_eq!(answer.expect("answered").len(), size);
    }
    let beyond = Bytes::from(vec![7; 16 * 1024 * 1024 + 1]);
    unreachable(peers.ask(&replica.address(), beyond, PATIENCE).await);
    replica.stop().await;
}

#[tokio::test]
async fn a_question_without_an_answer_ends_at_its_deadline() {
    let replica = Replica::start().await;
    let peers = peers(None);
    let silent = Bytes::from_static(SILENCE);
    let asked = peers.ask(&replica.address(), silent, Duration::from_millis(50));
    no_answer(within("the deadline", asked).await);
    let asked = peers.ask(&replica.address(), Bytes::from_static(b"a"), PATIENCE);
    within("an answer", asked).await.expect("still there");
    replica.stop().await;
}

#[tokio::test]
async fn every_lane_goes_both_ways() {
    let replica = Replica::start().await;
    let peers = peers(None);
    for lane in [Lane::Append, Lane::Submit, Lane::Snapshot] {
        let (ups, mut down) = opened(&peers, &replica.address(), lane)
            .await
            .expect("opened");
        let hello = next(&mut down).await.expect("a message").expect("no error");
        assert_eq!(hello, format!("{lane:?}"));
        for size in [1, 16 * 1024 * 1024, 0] {
            ups.send(Bytes::from(vec![7; size])).expect("open");
            let heard = next(&mut down).await.expect("a message").expect("no error");
            assert_eq!(heard.len(), size);
        }
        // The end of one direction is the end of what answers it.
        drop(ups);
        assert_eq!(next(&mut down).await, None);
    }
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_keep_their_order_beside_each_other() {
    let replica = Replica::start().await;
    let peers = Arc::new(peers(None));
    let mut streams = JoinSet::new();
    for lane in [Lane::Append, Lane::Append, Lane::Submit, Lane::Snapshot] {
        let (peers, address) = (Arc::clone(&peers), replica.address());
        streams.spawn(async move {
            let (ups, mut down) = opened(&peers, &address, lane).await.expect("opened");
            next(&mut down).await.expect("a message").expect("hello");
            let message = |n: u32| {
                let mut bytes = vec![7; usize::try_from(n * 37 % 30_000).expect("small")];
                bytes.extend(n.to_be_bytes());
                Bytes::from(bytes)
            };
            for n in 0..2_000 {
                ups.send(message(n)).expect("open");
            }
            for n in 0..2_000 {
                let heard = next(&mut down).await.expect("a message").expect("no error");
                assert_eq!(heard, message(n));
            }
        });
    }
    while let Some(ended) = within("the streams", streams.join_next()).await {
        ended.expect("in order");
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_dropped_stream_ends_the_work_behind_it() {
    let replica = Replica::start().await;
    let peers = peers(None);
    let (ups, mut down) = opened(&peers, &replica.address(), Lane::Append)
        .await
        .expect("opened");
    next(&mut down).await.expect("a message").expect("no error");
    assert_eq!(replica.running.load(Ordering::SeqCst), 1);
    drop(down);
    within("the end up", ups.closed()).await;
    until("the end there", || {
        replica.running.load(Ordering::SeqCst) == 0
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_replica_that_goes_away_ends_its_streams() {
    let replica = Replica::start().await;
    let address = replica.address();
    let peers = peers(None);
    let (_ups, mut down) = opened(&peers, &address, Lane::Append)
        .await
        .expect("opened");
    next(&mut down).await.expect("a message").expect("no error");
    replica.stop().await;
    let end = next(&mut down).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert_eq!(next(&mut down).await, None);

    // And whoever is not there is not reached, however often it is asked.
    for _ in 0..3 {
        let asked = peers.ask(&address, Bytes::from_static(b"a"), PATIENCE);
        unreachable(within("an answer", asked).await);
        let reopened = opened(&peers, &address, Lane::Submit).await;
        unreachable(reopened.map(|_| ()));
    }
}

#[tokio::test]
async fn a_replica_that_comes_back_is_reached_again() {
    let replica = Replica::start().await;
    let address = replica.server.address();
    let peers = peers(None);
    let ask = || peers.ask(&address.to_string(), Bytes::from_static(b"a"), PATIENCE);
    within("an answer", ask()).await.expect("there");
    let log = Arc::clone(&replica.log);
    within("the listener", replica.server.stop()).await;
    let mut listener = TcpListener::bind(address).await;
    while listener.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        listener = TcpListener::bind(address).await;
    }
    let server = PeerServer::start(
        listener.expect("bound"),
        log.clone(),
        Some(Arc::new(Echo::default())),
        PeerConfig::default(),
        Env::system(),
    )
    .expect("no TLS");
    within("an answer", async {
        while ask().await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    server.stop().await;
    log.close().await;
}

#[tokio::test]
async fn silence_ends_a_stream_within_the_keep_alive() {
    let replica = Replica::start().await;
    let way = Way::to(replica.address()).await;
    let peers = peers(None);
    let address = way.address.to_string();
    let mut downs = Vec::new();
    for lane in [Lane::Append, Lane::Snapshot] {
        let (ups, mut down) = opened(&peers, &address, lane).await.expect("opened");
        next(&mut down).await.expect("a message").expect("no error");
        downs.push((ups, down));
    }
    way.swallow.send_replace(true);
    for (ups, down) in &mut downs {
        // Whether something is on its way or not.
        ups.send(Bytes::from_static(b"a")).expect("open");
        let told = no_answer(next(down).await.expect("an error"));
        assert!(told.contains("keep-alive"), "{told}");
    }
    replica.stop().await;
}

#[tokio::test]
async fn snapshots_have_their_own_connection_and_all_else_one() {
    let replica = Replica::start().await;
    let way = Way::to(replica.address()).await;
    let peers = peers(None);
    let address = way.address.to_string();
    let mut open = Vec::new();
    for lane in [Lane::Append, Lane::Submit, Lane::Append] {
        open.push(opened(&peers, &address, lane).await.expect("opened"));
        let asked = peers.ask(&address, Bytes::from_static(b"a"), PATIENCE);
        within("an answer", asked).await.expect("there");
    }
    assert_eq!(way.connections.load(Ordering::SeqCst), 1);
    for _ in 0..2 {
        open.push(
            opened(&peers, &address, Lane::Snapshot)
                .await
                .expect("opened"),
        );
    }
    assert_eq!(way.connections.load(Ordering::SeqCst), 2);
    replica.stop().await;
}

#[tokio::test]
async fn a_node_that_is_no_replica_has_read_nothing() {
    let log = memory(Settings::default());
    let config = PeerConfig {
        grace: Duration::from_millis(20),
        ..PeerConfig::default()
    };
    let server = PeerServer::start(listener().await, log.clone(), None, config, Env::system())
        .expect("no TLS");
    let peers = peers(None);
    let address = server.address().to_string();
    let asked = peers.ask(&address, Bytes::from_static(b"a"), PATIENCE);
    unreachable(within("an answer", asked).await);
    unreachable(opened(&peers, &address, Lane::Append).await.map(|_| ()));
    server.stop().await;
    log.close().await;
}

#[tokio::test]
async fn what_is_no_address_is_not_reached() {
    let peers = peers(None);
    for address in ["", "nowhere", "no host:1", "http://127.0.0.1:1"] {
        let asked = peers.ask(address, Bytes::from_static(b"a"), PATIENCE);
        unreachable(within("an answer", asked).await);
    }
}

#[tokio::test]
async fn many_questions_share_one_attempt() {
    let free = listener().await;
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let peers = Arc::new(peers(None));
    let mut asked = JoinSet::new();
    for _ in 0..64 {
        let (peers, address) = (Arc::clone(&peers), address.clone());
        asked.spawn(async move {
            let answer = peers.ask(&address, Bytes::from_static(b"a"), PATIENCE);
            unreachable(answer.await)
        });
    }
    let reasons = Mutex::new(BTreeSet::new());
    while let Some(reason) = within("an answer", asked.join_next()).await {
        let reason = reason.expect("an answer");
        reasons.lock().expect("not poisoned").insert(reason);
    }
    let reasons = reasons.into_inner().expect("not poisoned");
    assert_eq!(reasons.len(), 1, "{reasons:?}");
}
