//! The tasks that keep this node's copies moving: one that knows the cluster, one for each of its shards.
//!
//! Invariant: a copy only ever takes messages of its own cluster; when the log's cluster has become another
//! one, its readers are ended and everything begins anew.

use std::{sync::Arc, time::Duration};

use halley_env::BoxFuture;
use halley_log::{FollowEnd, Following};
use tracing::{debug, info, warn};

use crate::{
    cluster_copy::{ClusterCopy, Ending},
    copy::ShardCopy,
    hub::Shared,
    limits::{BACKOFF_MAX, BACKOFF_MIN},
};

/// Follows the log for as long as the hub lives.
pub(crate) async fn supervise(shared: Arc<Shared>) {
    while !shared.closing() {
        let Some(cluster) = shared.until_closing(shared.log().formed()).await else {
            return;
        };
        let copy = Arc::new(ClusterCopy::new(cluster, shared.env(), shared.config()));
        if !shared.install(&copy) {
            return;
        }
        info!(
            cluster = cluster.id.get(),
            shards = cluster.shards.get(),
            "following"
        );
        let tasks: Vec<_> = copy
            .shards()
            .iter()
            .map(|shard| {
                let follower = Follower {
                    shared: Arc::clone(&shared),
                    cluster: Arc::clone(&copy),
                    copy: Arc::clone(shard),
                };
                shared
                    .env()
                    .spawn
                    .spawn("hub-follow", Box::pin(follower.run()))
            })
            .collect();
        let _ = shared.until_closing(Box::pin(copy.replaced())).await;
        copy.end(Ending::Replaced);
        for task in tasks {
            task.stop().await;
        }
    }
}

/// Keeps one shard's copy moving.
struct Follower {
    shared: Arc<Shared>,
    cluster: Arc<ClusterCopy>,
    copy: Arc<ShardCopy>,
}

/// Why a following is over.
enum Over {
    /// It is to begin anew.
    Ended(FollowEnd),
    /// The log has become another cluster's.
    OtherCluster,
}

impl Follower {
    async fn run(self) {
        let shard = self.copy.shard();
        let mut backoff = BACKOFF_MIN;
        loop {
            let mut following = self.shared.log().follow(shard);
            let mut moved = false;
            match self.follow(following.as_mut(), &mut moved).await {
                Over::Ended(FollowEnd::Behind) => warn!(%shard, "fell behind the upstream"),
                Over::Ended(FollowEnd::Lost(why)) => debug!(%shard, why, "lost the upstream"),
                Over::OtherCluster => {
                    warn!(%shard, "the log has become another cluster's");
                    self.cluster.replace();
                    return;
                }
            }
            drop(following);
            self.copy.begin_anew();
            backoff = if moved {
                BACKOFF_MIN
            } else {
                (backoff * 2).min(BACKOFF_MAX)
            };
            self.rest(backoff).await;
        }
    }

    /// Half of `backoff` for certain, the other half by lot, so that not all come back at once.
    async fn rest(&self, backoff: Duration) {
        let half = backoff / 2;
        let bound = u64::try_from(half.as_micros()).expect("a back-off is short");
        let jitter = Duration::from_micros(self.shared.env().rng.below(bound + 1));
        self.shared.env().clock.sleep(half + jitter).await;
    }

    async fn follow(&self, following: &mut dyn Following, moved: &mut bool) -> Over {
        loop {
            let (turnover, due) = self.copy.turn_over();
            if turnover.overgrown {
                let why = "too many interests wait for an answer".to_owned();
                return Over::Ended(FollowEnd::Lost(why));
            }
            if !turnover.remove.is_empty() {
                following.interest(Vec::new(), turnover.remove);
            }
            if !turnover.add.is_empty() {
                following.interest(turnover.add, Vec::new());
            }
            tokio::select! {
                biased;
                batch = following.next() => {
                    // The log changes its cluster before it lets anything of the new one through.
                    if self.shared.log().cluster().is_some_and(|now| now != self.cluster.cluster()) {
                        return Over::OtherCluster;
                    }
                    match batch {
                        Ok(batch) => self.copy.receive(batch),
                        Err(end) => return Over::Ended(end),
                    }
                    *moved = true;
                }
                () = self.copy.work() => {}
                () = self.due(due) => {}
            }
        }
    }

    fn due(&self, due: Option<Duration>) -> BoxFuture<'static, ()> {
        match due {
            Some(due) => self.shared.env().clock.sleep(due),
            None => Box::pin(std::future::pending()),
        }
    }
}
