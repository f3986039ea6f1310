//! The service that other replicas call: bytes in, bytes out, read by whoever answers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use halley_replica::{Answering, Lane, PeerError};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    peer_status,
    proto::peer::{Message, raft_server},
};

type Messages = BoxStream<'static, Result<Message, Status>>;

/// The service over one replica.
#[derive(Clone, Debug)]
pub(crate) struct Raft {
    answering: Arc<dyn Answering>,
}

impl Raft {
    pub(crate) fn new(answering: Arc<dyn Answering>) -> Self {
        Self { answering }
    }

    /// tonic drops what is returned when the other side hangs up, and with it the work behind it.
    fn open(&self, lane: Lane, request: Request<Streaming<Message>>) -> Response<Messages> {
        let ups = stream::unfold(Some(request.into_inner()), next_up);
        let downs = self.answering.open(lane, ups.boxed());
        Response::new(downs.map(|message| Ok(Message { message })).boxed())
    }
}

/// The next message, or why there is none and nothing after it.
async fn next_up(
    ups: Option<Streaming<Message>>,
) -> Option<(Result<Bytes, PeerError>, Option<Streaming<Message>>)> {
    let mut ups = ups?;
    match ups.message().await {
        Ok(Some(up)) => Some((Ok(up.message), Some(ups))),
        Ok(None) => None,
        Err(status) => Some((Err(peer_status::to_peer_error(&status)), None)),
    }
}

#[tonic::async_trait]
impl raft_server::Raft for Raft {
    type AppendStream = Messages;
    type SubmitStream = Messages;
    type SnapshotStream = Messages;

    async fn ask(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let message = self.answering.ask(request.into_inner().message).await;
        Ok(Response::new(Message { message }))
    }

    async fn append(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Messages>, Status> {
        Ok(self.open(Lane::Append, request))
    }

    async fn submit(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Messages>, Status> {
        Ok(self.open(Lane::Submit, request))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Messages>, Status> {
        Ok(self.open(Lane::Snapshot, request))
    }
}
