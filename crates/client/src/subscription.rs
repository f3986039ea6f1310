//! A subscription that outlives its connection: the cursor is all it needs to go on elsewhere.

use std::{fmt, sync::Arc, time::Duration};

use tonic::{Request, Streaming};

use crate::{
    ClientError, Delivery, Event, Gap, Since,
    proto::v1::{self, subscribe_response::Delivery as Message},
    retry::Shared,
};

/// How long opening a stream may take: a node that is behind the cursor waits 10 s before it says so.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// Every event of its channels once and in order, or an explicit gap; reconnects by itself.
pub struct Subscription {
    shared: Arc<Shared>,
    channels: Vec<String>,
    since: Since,
    stream: Option<Link>,
    /// The broker has named a cursor: from now on it is worth waiting for any endpoint, however long.
    is_opened: bool,
    failures: u32,
    /// When the first of them was.
    failing_since: Option<Duration>,
    ended: Option<ClientError>,
}

/// One stream, and the number of its endpoint.
struct Link {
    endpoint: usize,
    messages: Streaming<v1::SubscribeResponse>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channels", &self.channels)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(crate) fn new(shared: Arc<Shared>, channels: Vec<String>, since: Since) -> Self {
        Self {
            shared,
            channels,
            since,
            stream: None,
            is_opened: false,
            failures: 0,
            failing_since: None,
            ended: None,
        }
    }

    /// The place behind everything given so far, to go on from in another process; `None` before it has opened,
    /// unless it began with one.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        match &self.since {
            Since::Cursor(cursor) => Some(cursor),
            Since::Latest | Since::Earliest | Since::Last(_) => None,
        }
    }

    /// Waits until the subscription is open: what is published from then on will be given. Returns the opening
    /// cursor. Cancel-safe.
    ///
    /// # Errors
    /// As [`Subscription::next`].
    pub async fn opened(&mut self) -> Result<&str, ClientError> {
        while self.stream.is_none() {
            self.fail_if_ended()?;
            self.open().await?;
        }
        Ok(self.cursor().unwrap_or_default())
    }

    /// The next event or gap; waits for it, through reconnections, without bound once it has been open. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`], for good: refused, or nobody reached within the deadline before it was open.
    pub async fn next(&mut self) -> Result<Delivery, ClientError> {
        loop {
            self.fail_if_ended()?;
            let Some(link) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let message = tokio::select! {
                message = link.messages.message() => message,
                () = self.shared.env.clock.sleep(self.shared.config.silence) => Ok(None),
            };
            match message {
                Ok(Some(message)) => {
                    if let Some(delivery) = self.take(message).await {
                        return Ok(delivery);
                    }
                }
                Ok(None) => {
                    self.lost(ClientError::no_answer("the stream ended"))
                        .await?
                }
                Err(status) => self.lost(ClientError::of_status(&status)).await?,
            }
        }
    }

    fn fail_if_ended(&self) -> Result<(), ClientError> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    async fn take(&mut self, message: v1::SubscribeResponse) -> Option<Delivery> {
        let (cursor, delivery) = match message.delivery? {
            Message::Event(event) => (
                event.cursor.clone(),
                Some(Delivery::Event(Event::of(event))),
            ),
            Message::Gap(gap) => (gap.cursor.clone(), Some(Delivery::Gap(Gap::of(gap)))),
            Message::Progress(progress) => (progress.cursor, None),
            Message::End(end) => {
                self.hang_up();
                self.since = Since::Cursor(end.cursor);
                // Bounded: a broker cannot send its readers to sleep.
                let pause = Duration::from_millis(end.retry_ms).min(Duration::from_secs(30));
                self.shared.env.clock.sleep(pause).await;
                return None;
            }
        };
        self.since = Since::Cursor(cursor);
        delivery
    }

    /// Tries once to open a stream, or waits a while.
    async fn open(&mut self) -> Result<(), ClientError> {
        let (endpoint, client) = self.shared.endpoints.current();
        let opening = open(client, self.channels.clone(), self.since.to_string());
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.shared.env.clock.sleep(OPEN_WITHIN) => {
                Err(ClientError::no_answer("no stream was opened in time"))
            }
        };
        match opened {
            Ok((cursor, messages)) => {
                self.since = Since::Cursor(cursor);
                self.stream = Some(Link { endpoint, messages });
                self.is_opened = true;
                self.failures = 0;
                self.failing_since = None;
                Ok(())
            }
            Err(error) => {
                if error.is_of_this_endpoint() {
                    self.shared.endpoints.move_on(endpoint);
                }
                self.lost(error).await
            }
        }
    }

    /// Leaves this endpoint.
    fn hang_up(&mut self) {
        if let Some(link) = self.stream.take() {
            self.shared.endpoints.move_on(link.endpoint);
        }
    }

    /// Waits before the next attempt, or ends for good.
    async fn lost(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.hang_up();
        let now = self.shared.env.clock.monotonic();
        let since = *self.failing_since.get_or_insert(now);
        let late = !self.is_opened && now.saturating_sub(since) >= self.shared.config.deadline;
        if late || !error.is_retryable() {
            self.ended = Some(error.clone());
            return Err(error);
        }
        let pause = self
            .shared
            .backoff(self.failures)
            .max(error.retry().unwrap_or_default());
        self.failures += 1;
        tracing::debug!(%error, pause_ms = pause.as_millis(), "subscription lost its stream");
        self.shared.env.clock.sleep(pause).await;
        Ok(())
    }
}

/// A stream and its opening cursor.
async fn open(
    mut client: crate::endpoints::Broker,
    channels: Vec<String>,
    since: String,
) -> Result<(String, Streaming<v1::SubscribeResponse>), ClientError> {
    let request = Request::new(v1::SubscribeRequest { channels, since });
    let of_status = |status| ClientError::of_status(&status);
    let mut messages = client
        .subscribe(request)
        .await
        .map_err(of_status)?
        .into_inner();
    let first = messages.message().await.map_err(of_status)?;
    match first.and_then(|first| first.delivery) {
        Some(Message::Progress(progress)) => Ok((progress.cursor, messages)),
        _ => Err(ClientError::no_answer(
            "the stream did not open with a cursor",
        )),
    }
}
