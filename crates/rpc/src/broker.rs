//! `halley.v1.Broker`: decodes, asks the rooms below, encodes. Decides nothing about events.

mod channels;
mod forms;
mod history;
mod publish;
mod publish_stream;
mod subscribe;

use std::time::Duration;

use futures_util::stream::BoxStream;
use halley_env::Env;
use halley_hub::Hub;
use halley_log::{Cluster, Publisher, ShardLog};
use halley_shard::{ChannelName, Interest};
use halley_wire::{Code, Rejection, request};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    GrpcConfig, deadline, limits,
    proto::v1::{self, broker_server},
    status::Refuser,
};

/// The service of one node.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    hub: Hub,
    publisher: Publisher,
    config: Arc<GrpcConfig>,
    env: Env,
    refuser: Refuser,
}

impl Broker {
    pub(crate) fn new(hub: Hub, publisher: Publisher, config: GrpcConfig, env: Env) -> Self {
        let refuser = Refuser::new(Arc::clone(&env.rng));
        Self {
            hub,
            publisher,
            config: Arc::new(config),
            env,
            refuser,
        }
    }

    fn deadline<T>(&self, request: &Request<T>) -> Duration {
        deadline::of(request, self.config.deadline)
    }

    fn log(&self) -> &dyn ShardLog {
        &**self.hub.log()
    }

    fn cluster(&self) -> Result<Cluster, Rejection> {
        self.log().cluster().ok_or_else(|| {
            Rejection::new(Code::NoLeader, "this node has not reached its cluster yet")
        })
    }

    fn answer<T>(&self, answer: Result<T, Rejection>) -> Result<Response<T>, Status> {
        answer
            .map(Response::new)
            .map_err(|rejection| self.refuser.status(&rejection))
    }
}

/// One channel by name; a pattern is none.
fn channel(text: &str) -> Result<ChannelName, Rejection> {
    match request::interest(text)? {
        Interest::Channel(name) => Ok(name),
        Interest::Pattern(pattern) => Err(Rejection::new(
            Code::ChannelInvalid,
            format!("channel {pattern}: a pattern, where one channel is asked for"),
        )),
    }
}

/// The size of a page: 1 to 1,000, 0 is 100.
fn page(what: &str, asked: u32) -> Result<u32, Rejection> {
    match asked {
        0 => Ok(limits::PAGE_DEFAULT),
        1..=limits::PAGE_MAX => Ok(asked),
        _ => Err(Rejection::new(
            Code::ParameterInvalid,
            format!("{what} is {asked}, 1 to {} are allowed", limits::PAGE_MAX),
        )),
    }
}

#[tonic::async_trait]
impl broker_server::Broker for Broker {
    type PublishStreamStream = BoxStream<'static, Result<v1::PublishStreamResponse, Status>>;
    type SubscribeStream = BoxStream<'static, Result<v1::SubscribeResponse, Status>>;

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResult>, Status> {
        let deadline = self.deadline(&request);
        self.answer(publish::one(self, request.into_inner(), deadline).await)
    }

    async fn publish_batch(
        &self,
        request: Request<v1::PublishBatchRequest>,
    ) -> Result<Response<v1::PublishBatchResponse>, Status> {
        let deadline = self.deadline(&request);
        self.answer(publish::batch(self, request.into_inner(), deadline).await)
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        Ok(Response::new(publish_stream::results(
            self.clone(),
            request.into_inner(),
        )))
    }

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.answer(subscribe::deliveries(self, &request.into_inner()).await)
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let deadline = self.deadline(&request);
        self.answer(history::history(self, &request.into_inner(), deadline).await)
    }

    async fn get_channel(
        &self,
        request: Request<v1::GetChannelRequest>,
    ) -> Result<Response<v1::ChannelInfo>, Status> {
        let deadline = self.deadline(&request);
        self.answer(channels::get(self, &request.into_inner(), deadline).await)
    }

    async fn list_channels(
        &self,
        request: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        let deadline = self.deadline(&request);
        self.answer(channels::list(self, &request.into_inner(), deadline).await)
    }

    async fn delete_channel(
        &self,
        request: Request<v1::DeleteChannelRequest>,
    ) -> Result<Response<v1::DeleteChannelResponse>, Status> {
        let deadline = self.deadline(&request);
        self.answer(publish::delete(self, &request.into_inner(), deadline).await)
    }
}
