//! The service that other nodes call: a shard's log, as bytes.

mod submissions;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use halley_log::{Cluster, Following, ReadQuery, ShardLog, follow};
use halley_shard::{Revision, ShardId};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    deadline, peer_status,
    proto::peer::{self, peer_server},
};

/// The service over one node's log.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    log: Arc<dyn ShardLog>,
    deadline: Duration,
}

impl Peer {
    pub(crate) fn new(log: Arc<dyn ShardLog>, deadline: Duration) -> Self {
        Self { log, deadline }
    }

    fn cluster(&self) -> Result<Cluster, Status> {
        self.log.cluster().ok_or_else(peer_status::not_formed)
    }

    /// The shard asked for, if the asker is of this cluster.
    fn shard(&self, target: Option<peer::Target>) -> Result<ShardId, Status> {
        let target = target.ok_or_else(|| Status::invalid_argument("no target is named"))?;
        let cluster = self.cluster()?;
        if target.cluster != cluster.id.get() {
            return Err(peer_status::other_cluster());
        }
        let shard = u16::try_from(target.shard)
            .ok()
            .filter(|shard| *shard < cluster.shards.get());
        let shard = shard.ok_or_else(|| {
            Status::invalid_argument(format!(
                "shard {} of {}",
                target.shard,
                cluster.shards.get()
            ))
        })?;
        Ok(ShardId::new(shard))
    }

    fn deadline<T>(&self, request: &Request<T>) -> Duration {
        deadline::of(request, self.deadline)
    }
}

#[tonic::async_trait]
impl peer_server::Peer for Peer {
    type SubmitStream = BoxStream<'static, Result<peer::SubmitResponse, Status>>;
    type FollowStream = BoxStream<'static, Result<peer::FollowDown, Status>>;

    async fn hello(
        &self,
        _request: Request<peer::HelloRequest>,
    ) -> Result<Response<peer::HelloResponse>, Status> {
        let cluster = self.cluster()?;
        Ok(Response::new(peer::HelloResponse {
            cluster: cluster.id.get(),
            shards: u32::from(cluster.shards.get()),
        }))
    }

    async fn submit(
        &self,
        request: Request<Streaming<peer::SubmitRequest>>,
    ) -> Result<Response<Self::SubmitStream>, Status> {
        Ok(Response::new(submissions::answers(
            self.clone(),
            request.into_inner(),
        )))
    }

    async fn read(
        &self,
        request: Request<peer::ReadRequest>,
    ) -> Result<Response<peer::ReadResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let shard = self.shard(request.target)?;
        let query = ReadQuery::decode(&request.query)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let at_least = Revision::new(request.at_least);
        let answer = self.log.read(shard, query, at_least, deadline).await;
        let answer = answer.map_err(|error| peer_status::of_log(&error))?;
        Ok(Response::new(peer::ReadResponse {
            answer: answer.encode(),
        }))
    }

    async fn barrier(
        &self,
        request: Request<peer::BarrierRequest>,
    ) -> Result<Response<peer::BarrierResponse>, Status> {
        let deadline = self.deadline(&request);
        let shard = self.shard(request.into_inner().target)?;
        let revision = self.log.barrier(shard, deadline).await;
        let revision = revision.map_err(|error| peer_status::of_log(&error))?;
        Ok(Response::new(peer::BarrierResponse {
            revision: revision.get(),
        }))
    }

    async fn follow(
        &self,
        request: Request<Streaming<peer::FollowUp>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut ups = request.into_inner();
        let first = ups.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("no shard is named"))?;
        let shard = self.shard(first.target)?;
        let mut following = self.log.follow(shard);
        take_interest(&mut *following, &first.message)?;
        let state = Some((following, ups));
        let downs = stream::unfold(state, |state| async move {
            let (mut following, mut ups) = state?;
            match next_down(&mut *following, &mut ups).await {
                Some(Ok(down)) => Some((Ok(down), Some((following, ups)))),
                Some(Err(status)) => Some((Err(status), None)),
                None => None,
            }
        });
        Ok(Response::new(downs.boxed()))
    }
}

/// The next message down, taking what comes up meanwhile; `None` once the follower has hung up.
async fn next_down(
    following: &mut dyn Following,
    ups: &mut Streaming<peer::FollowUp>,
) -> Option<Result<peer::FollowDown, Status>> {
    loop {
        let up = tokio::select! {
            biased;
            up = ups.message() => up,
            downs = following.next() => {
                return Some(match downs {
                    Ok(downs) => Ok(peer::FollowDown { message: follow::encode_down(&downs) }),
                    Err(end) => Err(peer_status::of_follow_end(&end)),
                });
            }
        };
        let taken = match up {
            Ok(Some(up)) => take_interest(following, &up.message),
            Ok(None) => return None,
            Err(status) => Err(status),
        };
        if let Err(status) = taken {
            return Some(Err(status));
        }
    }
}

fn take_interest(following: &mut dyn Following, message: &Bytes) -> Result<(), Status> {
    if message.is_empty() {
        return Ok(());
    }
    let (add, remove) = follow::decode_interest(message)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    following.interest(add, remove);
    Ok(())
}
