//! The network between replicas: delay, loss, cuts in one or both directions and broken connections, drawn from the
//! seed.
//!
//! Invariant: a stream's messages arrive in order and without a hole, or it ends; what a node that has gone was about
//! to say is never heard.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use halley_env::{BoxFuture, Rng as _};
use halley_replica::{Answering, Lane, PeerError, Peers, Stream};
use tokio::{sync::Notify, time::Instant};

use crate::seeded::SeededRng;

/// A connection over which nothing has passed for this long is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Messages of one stream under way at once.
const UNDER_WAY_MAX: usize = 64;

/// The network. One for all replicas of a run.
#[derive(Debug)]
pub(crate) struct Net {
    state: Mutex<State>,
    changed: Notify,
    rng: SeededRng,
    delay_ms: u64,
    /// Messages lost, in a thousand.
    loss: u64,
}

#[derive(Debug, Default)]
struct State {
    plugged: BTreeMap<usize, Plug>,
    plugs: u64,
    /// Directed ways that are not as all others: from, to.
    ways: BTreeMap<(usize, usize), Way>,
    /// Times that the connections between two nodes broke.
    breaks: BTreeMap<(usize, usize), u64>,
    calm: bool,
}

#[derive(Debug)]
struct Plug {
    number: u64,
    answering: Arc<dyn Answering>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    cut: Option<Instant>,
    slow_ms: u64,
}

/// Both ends of a connection and how often it broke: another one when any of it has changed.
type Line = (Option<u64>, Option<u64>, u64);

impl State {
    fn line(&self, a: usize, b: usize) -> Line {
        let (a, b) = (a.min(b), a.max(b));
        let number = |end| self.plugged.get(&end).map(|plug| plug.number);
        let breaks = self.breaks.get(&(a, b));
        (number(a), number(b), breaks.copied().unwrap_or(0))
    }

    fn cut(&self, from: usize, to: usize) -> Option<Instant> {
        self.ways.get(&(from, to)).and_then(|way| way.cut)
    }
}

impl Net {
    /// A network with one-way delays of up to `delay_ms`, losing `loss` messages in a thousand.
    pub(crate) fn new(rng: SeededRng, delay_ms: u64, loss: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Notify::new(),
            rng,
            delay_ms,
            loss,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    /// `node` answers from now on.
    pub(crate) fn plug(&self, node: usize, answering: Arc<dyn Answering>) {
        self.change(|state| {
            state.plugs += 1;
            let number = state.plugs;
            state.plugged.insert(node, Plug { number, answering });
        });
    }

    /// `node` has gone.
    pub(crate) fn unplug(&self, node: usize) {
        self.change(|state| {
            state.plugged.remove(&node);
        });
    }

    /// Nothing passes from `from` to `to` any more.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.change(|state| {
            let way = state.ways.entry((from, to)).or_default();
            way.cut = way.cut.or_else(|| Some(Instant::now()));
        });
    }

    /// Whatever passes from `from` to `to` takes up to `slow_ms` longer.
    pub(crate) fn slow(&self, from: usize, to: usize, slow_ms: u64) {
        self.change(|state| state.ways.entry((from, to)).or_default().slow_ms = slow_ms);
    }

    /// `from` reaches `to` again as it should.
    pub(crate) fn heal(&self, from: usize, to: usize) {
        self.change(|state| {
            state.ways.remove(&(from, to));
        });
    }

    /// All connections between two nodes break once.
    pub(crate) fn break_between(&self, a: usize, b: usize) {
        self.change(|state| *state.breaks.entry((a.min(b), a.max(b))).or_default() += 1);
    }

    /// Nothing is lost or cut any more.
    pub(crate) fn calm(&self) {
        self.change(|state| {
            state.calm = true;
            state.ways.clear();
        });
    }

    fn delay(&self, from: usize, to: usize) -> Duration {
        let slow = self
            .state()
            .ways
            .get(&(from, to))
            .map_or(0, |way| way.slow_ms);
        self.rng.millis(0, self.delay_ms + slow)
    }

    fn loses(&self) -> bool {
        self.rng.below(1_000) < self.loss && !self.state().calm
    }

    /// One message of a question or an answer: whether it arrives.
    async fn passes(&self, from: usize, to: usize) -> bool {
        let delay = self.delay(from, to);
        tokio::time::sleep(delay).await;
        self.state().cut(from, to).is_none() && !self.loses()
    }

    /// Completes once what held on `line` does not any more.
    async fn broken(&self, a: usize, b: usize, line: Line) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let cut = {
                let state = self.state();
                if state.line(a, b) != line {
                    return;
                }
                state.cut(a, b).into_iter().chain(state.cut(b, a)).min()
            };
            match cut {
                Some(since) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(since + KEEP_ALIVE) => return,
                },
                None => changed.await,
            }
        }
    }

    /// A message of a stream: it arrives late, and not while the way is cut.
    async fn carried(
        self: Arc<Self>,
        from: usize,
        to: usize,
        arrival: Instant,
        message: Bytes,
    ) -> Result<Bytes, PeerError> {
        tokio::time::sleep_until(arrival).await;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().cut(from, to).is_none() {
                return Ok(message);
            }
            changed.await;
        }
    }

    /// `stream` from `from` to `to`, until their connection breaks.
    fn carry(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        line: Line,
        stream: BoxStream<'static, Bytes>,
    ) -> Stream {
        let (net, watching) = (Arc::clone(self), Arc::clone(self));
        let carried = stream.map(move |message| {
            if net.loses() {
                net.break_between(from, to);
            }
            let arrival = Instant::now() + net.delay(from, to);
            Arc::clone(&net).carried(from, to, arrival, message)
        });
        let broken = async move { watching.broken(from, to, line).await };
        carried
            .buffered(UNDER_WAY_MAX)
            .take_until(Box::pin(broken))
            .boxed()
    }
}

/// One replica's way into the network.
#[derive(Debug)]
pub(crate) struct Cable {
    net: Arc<Net>,
    own: usize,
}

impl Cable {
    /// The way of node `own`.
    pub(crate) fn new(net: &Arc<Net>, own: usize) -> Arc<Self> {
        let net = Arc::clone(net);
        Arc::new(Self { net, own })
    }

    /// Who answers at `to`, and over which line.
    fn find(&self, to: usize) -> Result<(Arc<dyn Answering>, Line), PeerError> {
        let state = self.net.state();
        let there = state.plugged.get(&to);
        let there = there.ok_or_else(|| PeerError::Unreachable(address(to)))?;
        Ok((Arc::clone(&there.answering), state.line(self.own, to)))
    }
}

/// The address of a node, by its number from 0.
pub(crate) fn address(node: usize) -> String {
    format!("n{}:7400", node + 1)
}

fn number(address: &str) -> Result<usize, PeerError> {
    let number = address
        .strip_prefix('n')
        .and_then(|rest| rest.strip_suffix(":7400"));
    let number = number.and_then(|number| number.parse::<usize>().ok());
    let number = number.and_then(|number| number.checked_sub(1));
    number.ok_or_else(|| PeerError::Unreachable(format!("{address} is no address")))
}

impl Peers for Cable {
    fn ask(
        &self,
        to: &str,
        question: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        let to = number(to);
        Box::pin(async move {
            let to = to?;
            let asking = async {
                let arrives = self.net.passes(self.own, to).await;
                let (there, line) = self.find(to)?;
                if !arrives {
                    return std::future::pending().await;
                }
                let answering = async {
                    let answer = there.ask(question).await;
                    if self.net.passes(to, self.own).await {
                        return Ok(answer);
                    }
                    std::future::pending().await
                };
                tokio::select! {
                    biased;
                    () = self.net.broken(self.own, to, line) => {
                        Err(PeerError::NoAnswer("the connection broke".to_owned()))
                    }
                    answer = answering => answer,
                }
            };
            tokio::time::timeout(deadline, asking)
                .await
                .unwrap_or_else(|_| Err(PeerError::NoAnswer("silence".to_owned())))
        })
    }

    fn open(
        &self,
        to: &str,
        lane: Lane,
        up: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'_, Result<Stream, PeerError>> {
        let to = number(to);
        Box::pin(async move {
            let to = to?;
            if !self.net.passes(self.own, to).await {
                tokio::time::sleep(KEEP_ALIVE).await;
                return Err(PeerError::Unreachable("silence".to_owned()));
            }
            let (there, line) = self.find(to)?;
            let up = self.net.carry(self.own, to, line, up);
            let down = there.open(lane, up);
            Ok(self.net.carry(to, self.own, line, down))
        })
    }
}
