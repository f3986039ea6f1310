//! Many publishes in order, each once, over however many connections it takes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use halley_env::Task;
use tokio::sync::{mpsc, oneshot};

use crate::{ClientError, Publish, Published, retry::Shared};

mod link;
mod sender;

/// Publishes that have been handed over and wait for room in the window.
const WAITING_MAX: usize = 64;

/// A publish on its way from the caller to the stream's task.
struct Order {
    publish: Publish,
    receipt: oneshot::Sender<Result<Published, ClientError>>,
}

/// A numbered stream of publishes (contract.md, Once, *Sequence*): in the order of sending per channel, never twice.
///
/// When its connection breaks, or the broker cannot store for the moment, everything unanswered is sent again, in
/// order, on a new stream. Dropping it abandons what is unanswered; [`PublishStream::finish`] waits for it.
#[derive(Debug)]
pub struct PublishStream {
    orders: mpsc::Sender<Order>,
    task: Task,
}

impl PublishStream {
    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let spawn = Arc::clone(&shared.env.spawn);
        let task = spawn.spawn(
            "publish stream",
            Box::pin(sender::Sender::new(shared, waiting).run()),
        );
        Self { orders, task }
    }

    /// Hands an event over; waits while too many are on their way. Its receipt completes with the acknowledgement, and
    /// may be dropped. `producer` of the event is left out: the stream has its own.
    ///
    /// # Errors
    /// [`ClientError::NoAnswer`] when the stream's task is gone, with its runtime.
    pub async fn send(&self, publish: Publish) -> Result<Receipt, ClientError> {
        let (receipt, answer) = oneshot::channel();
        let order = Order { publish, receipt };
        self.orders.send(order).await.map_err(|_| gone())?;
        Ok(Receipt(answer))
    }

    /// Waits until everything has been answered.
    pub async fn finish(self) {
        let Self { orders, task } = self;
        drop(orders);
        task.join().await;
    }
}

/// The acknowledgement of one event, or why there is none.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Published, ClientError>>);

impl Future for Receipt {
    type Output = Result<Published, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(answer.unwrap_or_else(|_| Err(gone())))
    }
}

fn gone() -> ClientError {
    ClientError::no_answer("the stream was dropped")
}
