//! A shard followed over an upstream.
//!
//! Invariant: belongs to one cluster; ends, once and for good, with its stream or its cluster.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use halley_env::BoxFuture;
use halley_shard::{Interest, ShardId};

use super::{UpstreamFollow, link::Link};
use crate::{
    Cluster, FollowEnd, Following,
    follow::{Down, decode_down, encode_interest},
    limits,
};

/// The lower end's side of one follow stream, opened when it is first read.
#[derive(Debug)]
pub(super) struct RemoteFollowing {
    link: Arc<Link>,
    shard: ShardId,
    /// The cluster that is followed; the one known first when none was at the beginning.
    cluster: Option<Cluster>,
    /// What was said before the stream was open.
    queued: Vec<Bytes>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    upstream: usize,
    stream: Box<dyn UpstreamFollow>,
}

impl RemoteFollowing {
    pub(super) fn new(link: Arc<Link>, shard: ShardId) -> Self {
        let cluster = link.cluster();
        Self {
            link,
            shard,
            cluster,
            queued: Vec::new(),
            open: None,
        }
    }

    async fn next_batch(&mut self) -> Result<Vec<Down>, FollowEnd> {
        let link = Arc::clone(&self.link);
        loop {
            let mut changed = pin!(link.changed());
            changed.as_mut().enable();
            self.check()?;
            if let Some(open) = &mut self.open {
                let bytes = tokio::select! {
                    biased;
                    () = changed => continue,
                    bytes = open.stream.next() => bytes,
                };
                let (upstream, batch) = (open.upstream, bytes.and_then(|bytes| decode(&bytes)));
                return batch.inspect_err(|end| self.note(upstream, end));
            }
            let (Some(upstream), Some(cluster)) = (link.up(), link.cluster()) else {
                changed.await;
                continue;
            };
            let result = tokio::select! {
                biased;
                () = changed => continue,
                result = link.upstream(upstream).follow(cluster, self.shard) => result,
                () = link.env().clock.sleep(limits::OPEN_FOLLOW_MAX) => {
                    Err(FollowEnd::Lost("silence".into()))
                }
            };
            let mut stream = result.inspect_err(|end| self.note(upstream, end))?;
            self.queued
                .drain(..)
                .for_each(|message| stream.send(message));
            self.cluster = Some(cluster);
            self.open = Some(Open { upstream, stream });
        }
    }

    fn check(&self) -> Result<(), FollowEnd> {
        if self.link.closed() {
            return Err(FollowEnd::Lost("the log was closed".into()));
        }
        match (self.cluster, self.link.cluster()) {
            (Some(followed), Some(now)) if followed != now => Err(FollowEnd::Lost(
                "the upstream's history was replaced".into(),
            )),
            _ => Ok(()),
        }
    }

    fn note(&self, upstream: usize, end: &FollowEnd) {
        match end {
            FollowEnd::Behind => {}
            FollowEnd::Lost(why) => self.link.doubt(upstream, why),
        }
    }
}

impl Following for RemoteFollowing {
    fn interest(&mut self, add: Vec<Interest>, remove: Vec<Interest>) {
        let message = encode_interest(&add, &remove);
        match &mut self.open {
            Some(open) => open.stream.send(message),
            None => self.queued.push(message),
        }
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Down>, FollowEnd>> {
        Box::pin(self.next_batch())
    }
}

fn decode(bytes: &Bytes) -> Result<Vec<Down>, FollowEnd> {
    decode_down(bytes).map_err(|error| FollowEnd::Lost(error.to_string()))
}
