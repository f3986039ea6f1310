//! The task behind a stream of publishes: what is unanswered, in order, and the link it is sent over.
//!
//! Invariant: what is unanswered stays in the order of its numbers, and every link begins with all of it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use halley_wire::Code;
use tokio::sync::{mpsc, oneshot};

use super::{Order, link::Link};
use crate::{ClientError, Published, message, proto::v1, retry::Shared};

/// How long an idle link is kept waiting when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// A numbered publish without an answer.
struct Unanswered {
    request: v1::PublishRequest,
    own_key: bool,
    since: Duration,
    receipt: oneshot::Sender<Result<Published, ClientError>>,
    was_sent: bool,
}

/// The stream's state.
pub(super) struct Sender {
    shared: Arc<Shared>,
    /// `None` once the owner has handed over all.
    orders: Option<mpsc::Receiver<Order>>,
    producer: String,
    sequence: u64,
    unanswered: VecDeque<Unanswered>,
    link: Option<Link>,
    failures: u32,
}

enum Woken {
    Order(Option<Order>),
    Answer(Result<v1::PublishStreamResponse, ClientError>),
    Late,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, orders: mpsc::Receiver<Order>) -> Self {
        let producer = shared.random_hex(2);
        Self {
            shared,
            orders: Some(orders),
            producer,
            sequence: 0,
            unanswered: VecDeque::new(),
            link: None,
            failures: 0,
        }
    }

    /// Runs until everything is handed over and answered.
    pub(super) async fn run(mut self) {
        while self.orders.is_some() || !self.unanswered.is_empty() {
            if self.link.is_none() && !self.unanswered.is_empty() {
                self.open().await;
                continue;
            }
            match self.wait().await {
                Woken::Order(Some(order)) => self.take(order),
                Woken::Order(None) => self.orders = None,
                Woken::Answer(Ok(answer)) => self.answered(answer).await,
                Woken::Answer(Err(error)) => self.lost(error).await,
                Woken::Late => self.expire(&ClientError::no_answer("none before the deadline")),
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let room = self.unanswered.len() < self.shared.config.in_flight;
        let late = self.time_left();
        let orders = self.orders.as_mut().filter(|_| room);
        tokio::select! {
            answer = next(self.link.as_mut()) => Woken::Answer(answer),
            order = receive(orders) => Woken::Order(order),
            () = self.shared.env.clock.sleep(late) => Woken::Late,
        }
    }

    /// Until the oldest unanswered publish is late.
    fn time_left(&self) -> Duration {
        let now = self.shared.env.clock.monotonic();
        self.unanswered.front().map_or(IDLE, |oldest| {
            (oldest.since + self.shared.config.deadline).saturating_sub(now)
        })
    }

    fn take(&mut self, order: Order) {
        self.sequence += 1;
        let own_key = order.publish.key.is_some();
        let mut request = order.publish.into_request();
        request.sequence = self.sequence;
        let was_sent = self.link.is_some();
        if let Some(link) = &mut self.link {
            link.send(request.clone());
        }
        self.unanswered.push_back(Unanswered {
            request,
            own_key,
            since: self.shared.env.clock.monotonic(),
            receipt: order.receipt,
            was_sent,
        });
    }

    /// Opens a link and sends everything unanswered, or waits a while.
    async fn open(&mut self) {
        let (endpoint, client) = self.shared.endpoints.current();
        let within = self.shared.config.attempt;
        let opened = tokio::select! {
            opened = Link::open(endpoint, client, &self.producer) => opened,
            () = self.shared.env.clock.sleep(within) => {
                Err(ClientError::no_answer(format!("none within {} ms", within.as_millis())))
            }
        };
        match opened {
            Ok(mut link) => {
                for unanswered in &mut self.unanswered {
                    unanswered.was_sent = true;
                    link.send(unanswered.request.clone());
                }
                self.link = Some(link);
            }
            Err(error) => {
                if error.is_of_this_endpoint() {
                    self.shared.endpoints.move_on(endpoint);
                }
                self.lost(error).await;
            }
        }
    }

    async fn answered(&mut self, answer: v1::PublishStreamResponse) {
        let Some(first) = self.unanswered.front() else {
            return;
        };
        if answer.sequence < first.request.sequence {
            // Given up as late before.
            return;
        }
        if answer.sequence > first.request.sequence {
            self.lost(ClientError::no_answer("an answer out of order"))
                .await;
            return;
        }
        let outcome = message::outcome(answer.outcome, first.own_key);
        if let Err(error) = &outcome
            && (message::is_passing(&outcome) || error.code() == Code::OutOfSequence.as_str())
        {
            self.lost(error.clone()).await;
            return;
        }
        self.failures = 0;
        self.answer_first(outcome);
    }

    fn answer_first(&mut self, outcome: Result<Published, ClientError>) {
        if let Some(first) = self.unanswered.pop_front() {
            // Whoever dropped the receipt does not want to know.
            let _unwanted = first.receipt.send(outcome);
        }
    }

    /// Gives the link up; what is unanswered is sent again over the next one. An error that will not pass is the
    /// oldest one's answer, so that the rest goes on.
    async fn lost(&mut self, error: ClientError) {
        if let Some(link) = self.link.take()
            && error.is_of_this_endpoint()
        {
            self.shared.endpoints.move_on(link.endpoint);
        }
        let out_of_sequence = error.code() == Code::OutOfSequence.as_str();
        if !error.is_retryable() && !out_of_sequence {
            self.answer_first(Err(error));
            return;
        }
        self.expire(&error);
        if self.unanswered.is_empty() {
            return;
        }
        let pause = self
            .shared
            .backoff(self.failures)
            .max(error.retry().unwrap_or_default());
        self.failures += 1;
        self.shared
            .env
            .clock
            .sleep(pause.min(self.time_left()))
            .await;
    }

    /// Answers what is late. The link that left it unanswered is given up.
    fn expire(&mut self, why: &ClientError) {
        let now = self.shared.env.clock.monotonic();
        let deadline = self.shared.config.deadline;
        while self
            .unanswered
            .front()
            .is_some_and(|first| now >= first.since + deadline)
        {
            let was_sent = self.unanswered.front().is_some_and(|first| first.was_sent);
            let error = match why {
                ClientError::Unreachable { detail } if was_sent => ClientError::NoAnswer {
                    detail: detail.clone(),
                },
                other => other.clone(),
            };
            self.answer_first(Err(error));
            self.link = None;
        }
    }
}

async fn next(link: Option<&mut Link>) -> Result<v1::PublishStreamResponse, ClientError> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

async fn receive(orders: Option<&mut mpsc::Receiver<Order>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}
