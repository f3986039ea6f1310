//! One stream to one endpoint.

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::{ClientError, endpoints::Broker, proto::v1};

/// An open stream; dropping it ends the call.
pub(super) struct Link {
    pub(super) endpoint: usize,
    /// Bounded by the window of whoever sends.
    up: mpsc::UnboundedSender<v1::PublishRequest>,
    down: Streaming<v1::PublishStreamResponse>,
    /// Told by the first request.
    producer: Option<String>,
}

impl Link {
    pub(super) async fn open(
        endpoint: usize,
        mut client: Broker,
        producer: &str,
    ) -> Result<Self, ClientError> {
        let (up, requests) = mpsc::unbounded_channel();
        let opened = client
            .publish_stream(UnboundedReceiverStream::new(requests))
            .await;
        let down = opened
            .map_err(|status| ClientError::of_status(&status))?
            .into_inner();
        Ok(Self {
            endpoint,
            up,
            down,
            producer: Some(producer.to_owned()),
        })
    }

    pub(super) fn send(&mut self, mut request: v1::PublishRequest) {
        request.producer = self.producer.take().unwrap_or_default();
        // A stream that has ended says so in `next`.
        let _ended = self.up.send(request);
    }

    /// The next answer. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<v1::PublishStreamResponse, ClientError> {
        match self.down.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(ClientError::no_answer("the stream ended")),
            Err(status) => Err(ClientError::of_status(&status)),
        }
    }
}
