//! Commands of another node, handed to the log in the order in which they come.

use std::{pin::Pin, time::Duration};

use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use halley_shard::codec;
use tonic::{Status, Streaming};

use super::Peer;
use crate::{
    limits, peer_status,
    proto::peer::{self, submit_response::Outcome},
};

struct Submitting {
    peer: Peer,
    /// `None` once the other node has said all.
    requests: Option<Streaming<peer::SubmitRequest>>,
    on_their_way: FuturesUnordered<Pin<Box<dyn Future<Output = peer::SubmitResponse> + Send>>>,
}

/// The answers, each as soon as it is there.
pub(super) fn answers(
    peer: Peer,
    requests: Streaming<peer::SubmitRequest>,
) -> BoxStream<'static, Result<peer::SubmitResponse, Status>> {
    let state = Submitting {
        peer,
        requests: Some(requests),
        on_their_way: FuturesUnordered::new(),
    };
    stream::unfold(state, |mut state| async move {
        let answer = state.next().await?;
        Some((answer, state))
    })
    .boxed()
}

impl Submitting {
    async fn next(&mut self) -> Option<Result<peer::SubmitResponse, Status>> {
        loop {
            if self.requests.is_none() && self.on_their_way.is_empty() {
                return None;
            }
            let room = self.on_their_way.len() < limits::SUBMISSIONS_MAX;
            let requests = self.requests.as_mut().filter(|_| room);
            tokio::select! {
                biased;
                // Also what hands a new command to the log: before the next one is read.
                Some(answer) = self.on_their_way.next() => return Some(Ok(answer)),
                request = receive(requests) => match request {
                    Ok(Some(request)) => self.take(request),
                    Ok(None) => self.requests = None,
                    Err(status) => return Some(Err(status)),
                },
            }
        }
    }

    fn take(&self, request: peer::SubmitRequest) {
        let peer = self.peer.clone();
        self.on_their_way.push(Box::pin(async move {
            let id = request.id;
            peer::SubmitResponse {
                id,
                outcome: Some(outcome(&peer, request).await),
            }
        }));
    }
}

async fn outcome(peer: &Peer, request: peer::SubmitRequest) -> Outcome {
    let shard = match peer.shard(request.target) {
        Ok(shard) => shard,
        Err(status) => {
            let reason = peer_status::reason(&status).unwrap_or(status.message());
            return Outcome::Refused(reason.to_owned());
        }
    };
    let within = Duration::from_millis(request.within_ms).min(peer.deadline);
    match peer.log.submit(shard, request.command, within).await {
        Ok(reply) => Outcome::Reply(codec::encode_reply(&reply)),
        Err(error) => Outcome::Error(error.encode()),
    }
}

/// The next request, if any is to be read.
async fn receive(
    requests: Option<&mut Streaming<peer::SubmitRequest>>,
) -> Result<Option<peer::SubmitRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}
