//! A network in memory between replicas: whoever is plugged in is reached, unless a cable is cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use halley_env::BoxFuture;
use halley_replica::{Answering, Lane, PeerError, Peers, Stream};
use tokio::sync::Notify;

/// The network. One for all replicas of a test.
#[derive(Debug, Default)]
pub(crate) struct Net {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    plugged: BTreeMap<String, Arc<dyn Answering>>,
    /// From, to.
    cut: BTreeSet<(String, String)>,
    delay: Duration,
}

impl Net {
    pub(crate) fn new(delay: Duration) -> Arc<Self> {
        let net = Self::default();
        net.state().delay = delay;
        Arc::new(net)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a state")
    }

    pub(crate) fn plug(&self, address: &str, answering: Arc<dyn Answering>) {
        self.state().plugged.insert(address.into(), answering);
    }

    pub(crate) fn unplug(&self, address: &str) {
        self.state().plugged.remove(address);
        self.changed.notify_waiters();
    }

    /// Nothing passes from `from` to `to` any more.
    pub(crate) fn cut(&self, from: &str, to: &str) {
        self.state().cut.insert((from.into(), to.into()));
        self.changed.notify_waiters();
    }

    pub(crate) fn heal(&self) {
        self.state().cut.clear();
    }

    fn passes(&self, from: &str, to: &str) -> bool {
        !self.state().cut.contains(&(from.into(), to.into()))
    }

    /// The two ends of a message's way, after its delay; `None` when it does not arrive.
    async fn reach(&self, from: &str, to: &str) -> Option<Arc<dyn Answering>> {
        let delay = self.state().delay;
        tokio::time::sleep(delay).await;
        let passes = self.passes(from, to);
        self.state().plugged.get(to).cloned().filter(|_| passes)
    }

    /// Completes when nothing passes from `a` to `b` or back, or `b` is gone.
    async fn broken(&self, a: &str, b: &str) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let there = self.state().plugged.contains_key(b);
            if !there || !self.passes(a, b) || !self.passes(b, a) {
                return;
            }
            changed.await;
        }
    }
}

/// One replica's way into the network.
#[derive(Debug)]
pub(crate) struct Cable {
    pub(crate) net: Arc<Net>,
    pub(crate) own: String,
}

impl Peers for Cable {
    fn ask(
        &self,
        to: &str,
        question: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        let to = to.to_owned();
        Box::pin(async move {
            let asking = async {
                let there = self.net.reach(&self.own, &to).await;
                let there = there.ok_or_else(|| PeerError::Unreachable(to.clone()))?;
                let answer = there.ask(question).await;
                self.net.reach(&to, &to).await;
                if self.net.passes(&to, &self.own) {
                    return Ok(answer);
                }
                std::future::pending().await
            };
            tokio::time::timeout(deadline, asking)
                .await
                .unwrap_or_else(|_| Err(PeerError::NoAnswer("silence".into())))
        })
    }

    fn open(
        &self,
        to: &str,
        lane: Lane,
        up: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'_, Result<Stream, PeerError>> {
        let to = to.to_owned();
        Box::pin(async move {
            let there = self.net.reach(&self.own, &to).await;
            let there = there.ok_or_else(|| PeerError::Unreachable(to.clone()))?;
            let delay = self.net.state().delay;
            let late = move |message: Bytes| async move {
                tokio::time::sleep(delay).await;
                Ok(message)
            };
            let (net, own) = (Arc::clone(&self.net), self.own.clone());
            let up = up.then(late).boxed();
            let up = breaking(up, Arc::clone(&net), own.clone(), to.clone());
            let down = there.open(lane, up).then(late).boxed();
            Ok(breaking(down, net, own, to))
        })
    }
}

/// `stream` until the way between `a` and `b` breaks.
fn breaking(stream: Stream, net: Arc<Net>, a: String, b: String) -> Stream {
    let broken = async move { net.broken(&a, &b).await };
    stream.take_until(Box::pin(broken)).boxed()
}
