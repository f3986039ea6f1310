//! Calls that have one answer.

use std::sync::Arc;

use halley_env::Env;

use crate::{
    ChannelInfo, ChannelPage, ClientConfig, ClientError, ClusterStatus, Consistency, Deleted,
    Event, Gap, HistoryPage, Publish, PublishStream, Published, Since, Subscription, batch,
    endpoints::{Broker, Cluster, Endpoints},
    proto::v1,
    retry::Shared,
};

/// A client of one cluster, through any of its nodes. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// A client of the nodes at `endpoints` (`host:port` or `http://host:port`), with the default bounds. Connects when
    /// first used; must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] for an address that is none, and when there is none.
    pub fn connect<E: Into<String>>(
        endpoints: impl IntoIterator<Item = E>,
        env: Env,
    ) -> Result<Self, ClientError> {
        Self::with_config(endpoints, ClientConfig::default(), env)
    }

    /// The same with bounds of the caller's, and through TLS where [`ClientConfig::tls`] has it: endpoints then are
    /// `host:port` or `https://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] as [`Client::connect`], also when what is given of TLS is bad, and which part.
    pub fn with_config<E: Into<String>>(
        endpoints: impl IntoIterator<Item = E>,
        config: ClientConfig,
        env: Env,
    ) -> Result<Self, ClientError> {
        let names = endpoints.into_iter().map(Into::into).collect();
        let endpoints = Endpoints::new(names, &config)?;
        Ok(Self {
            shared: Arc::new(Shared {
                endpoints,
                config,
                env,
            }),
        })
    }

    /// Publishes one event; it is acknowledged when this returns. Retried until the deadline: under the event's key, or
    /// one drawn for it, so never stored twice by this call. Each key is remembered by the cluster for ten minutes;
    /// for more than some hundred events a second use [`Client::publish_stream`].
    ///
    /// # Errors
    /// [`ClientError`]; after `NoAnswer` or the code `unknown_outcome` the event may have been stored.
    pub async fn publish(&self, event: Publish) -> Result<Published, ClientError> {
        let (request, own_key) = self.keyed(event);
        let call = |mut client: Broker, request| async move { client.publish(request).await };
        Ok(Published::of(
            self.shared.call(request, call).await?,
            own_key,
        ))
    }

    /// Publishes up to 512 events, 1 MiB together, each with its own result in order. Events of one channel keep their
    /// order; after the first that cannot be stored its channel's later ones are `aborted`. Retried as
    /// [`Client::publish`], event by event.
    ///
    /// # Errors
    /// [`ClientError`] when the batch as a whole was refused or never answered.
    pub async fn publish_batch(
        &self,
        events: Vec<Publish>,
    ) -> Result<Vec<Result<Published, ClientError>>, ClientError> {
        let requests = events.into_iter().map(|event| self.keyed(event)).collect();
        batch::publish(&self.shared, requests).await
    }

    /// A stream for many publishes in order; see [`PublishStream`].
    #[must_use]
    pub fn publish_stream(&self) -> PublishStream {
        PublishStream::start(Arc::clone(&self.shared))
    }

    /// Reads `channels` and patterns from `since` on; connects when first asked for something.
    #[must_use]
    pub fn subscribe<C: Into<String>>(
        &self,
        channels: impl IntoIterator<Item = C>,
        since: Since,
    ) -> Subscription {
        let channels = channels.into_iter().map(Into::into).collect();
        Subscription::new(Arc::clone(&self.shared), channels, since)
    }

    /// What is retained of `channel` from `since` on: at most `limit` events (1 to 1,000), 1 MiB together.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn history(
        &self,
        channel: &str,
        since: Since,
        limit: u32,
        consistency: Consistency,
    ) -> Result<HistoryPage, ClientError> {
        let consistency = match consistency {
            Consistency::Local => v1::Consistency::Local,
            Consistency::Linearizable => v1::Consistency::Linearizable,
        };
        let request = v1::HistoryRequest {
            channel: channel.to_owned(),
            since: since.to_string(),
            limit,
            consistency: consistency.into(),
        };
        let call = |mut client: Broker, request| async move { client.history(request).await };
        let answer = self.shared.call(request, call).await?;
        Ok(HistoryPage {
            cursor: answer.cursor,
            events: answer.events.into_iter().map(Event::of).collect(),
            gaps: answer.gaps.into_iter().map(Gap::of).collect(),
        })
    }

    /// One channel in figures.
    ///
    /// # Errors
    /// [`ClientError`]; the code `not_found` for an unknown channel.
    pub async fn channel(&self, channel: &str) -> Result<ChannelInfo, ClientError> {
        let request = v1::GetChannelRequest {
            channel: channel.to_owned(),
        };
        let call = |mut client: Broker, request| async move { client.get_channel(request).await };
        Ok(ChannelInfo::of(self.shared.call(request, call).await?))
    }

    /// Channels by name, only those that match `pattern` if it is given: at most `count` (1 to 1,000) from `page` on.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn channels(
        &self,
        pattern: Option<&str>,
        page: Option<&str>,
        count: u32,
    ) -> Result<ChannelPage, ClientError> {
        let request = v1::ListChannelsRequest {
            pattern: pattern.unwrap_or_default().to_owned(),
            page_size: count,
            page_token: page.unwrap_or_default().to_owned(),
        };
        let call = |mut client: Broker, request| async move { client.list_channels(request).await };
        let answer = self.shared.call(request, call).await?;
        let next_page = answer.next_page_token;
        Ok(ChannelPage {
            channels: answer.channels.into_iter().map(ChannelInfo::of).collect(),
            next_page: (!next_page.is_empty()).then_some(next_page),
        })
    }

    /// Drops a channel's events; its offsets never restart.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn delete_channel(&self, channel: &str) -> Result<Deleted, ClientError> {
        let request = v1::DeleteChannelRequest {
            channel: channel.to_owned(),
        };
        let call =
            |mut client: Broker, request| async move { client.delete_channel(request).await };
        let answer = self.shared.call(request, call).await?;
        Ok(Deleted {
            existed: answer.existed,
            cursor: answer.cursor,
        })
    }

    /// The cluster as the endpoint in use sees it now.
    ///
    /// # Errors
    /// [`ClientError`]; the code `unsupported` of a node that has no part in running a cluster.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, ClientError> {
        let request = v1::ClusterStatusRequest {};
        let call = |mut client: Cluster, request| async move { client.status(request).await };
        Ok(ClusterStatus::of(
            self.shared.call_cluster(request, call).await?,
        ))
    }

    /// Changes a replicated setting: `key` as in the configuration file, `value` as on the command line. Retried until
    /// the deadline; a retry may overwrite what somebody else has set meanwhile.
    ///
    /// # Errors
    /// [`ClientError`]; the code `parameter_invalid` for what is no such setting or out of bounds. After `NoAnswer` or
    /// the code `unknown_outcome` it may have been done.
    pub async fn cluster_set(&self, key: &str, value: &str) -> Result<(), ClientError> {
        let request = v1::ClusterSetRequest {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let call = |mut client: Cluster, request| async move { client.set(request).await };
        let v1::ClusterSetResponse {} = self.shared.call_cluster(request, call).await?;
        Ok(())
    }

    /// Puts the node `new` in the place of the member `old`, both by name or id: for a member whose disk is gone.
    /// Retried until the deadline.
    ///
    /// # Errors
    /// [`ClientError`]; the code `refused`, with the reason, while it cannot be done. After `NoAnswer` or the code
    /// `unknown_outcome` it may have been done: [`Client::cluster_status`] shows it.
    pub async fn cluster_replace(&self, old: &str, new: &str) -> Result<(), ClientError> {
        let request = v1::ClusterReplaceRequest {
            old_node: old.to_owned(),
            new_node: new.to_owned(),
        };
        let call = |mut client: Cluster, request| async move { client.replace(request).await };
        let v1::ClusterReplaceResponse {} = self.shared.call_cluster(request, call).await?;
        Ok(())
    }

    /// The request, with a key in any case, and whether it is the caller's own.
    fn keyed(&self, event: Publish) -> (v1::PublishRequest, bool) {
        let own_key = event.key.is_some();
        let mut request = event.into_request();
        if !own_key {
            request.idempotency_key = self.shared.random_hex(2);
        }
        (request, own_key)
    }
}
