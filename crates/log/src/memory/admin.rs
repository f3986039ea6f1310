//! The cluster of a memory log: one node, its own leader in every shard.

use std::{sync::Arc, time::Duration};

use halley_env::BoxFuture;
use halley_shard::{Command, Settings, Time};

use super::MemoryLog;
use crate::{
    AdminError, ClusterAdmin, ClusterStatus, Group, Member, Progress, follow::Feed, settings,
};

impl MemoryLog {
    /// What people may ask and change; `me` is the only member.
    #[must_use]
    pub fn admin(self: &Arc<Self>, me: Member) -> Arc<dyn ClusterAdmin> {
        let log = Arc::clone(self);
        Arc::new(MemoryAdmin { log, me })
    }

    /// The settings of every shard: they are only ever changed together.
    fn settings(&self) -> Settings {
        self.shards[0].with(|feed| feed.shard().settings().clone())
    }

    fn configure(&self, settings: &Settings) -> Result<(), AdminError> {
        let now = Time::new(self.env.clock.wall_ms());
        for source in &self.shards {
            let settings = settings.clone();
            source
                .apply(now, Command::Configure { settings })
                .ok_or_else(|| AdminError::Refused("this node is draining".into()))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryAdmin {
    log: Arc<MemoryLog>,
    me: Member,
}

impl MemoryAdmin {
    fn now(&self) -> ClusterStatus {
        let group = |(number, source): (usize, &Arc<crate::follow::Source>)| {
            let index = source.with(Feed::head).get();
            let name = self.me.name.clone();
            Group {
                name: format!("shard {number}"),
                leader: Some(name.clone()),
                term: 0,
                committed: index,
                progress: vec![Progress {
                    name,
                    index,
                    lag: 0,
                }],
            }
        };
        ClusterStatus {
            cluster: Some(self.log.cluster),
            answered_by: self.me.name.clone(),
            feature_level: 0,
            settings: settings::list(&self.log.settings()),
            members: vec![self.me.clone()],
            groups: self.log.shards.iter().enumerate().map(group).collect(),
            notices: vec!["everything is in the memory of one node and gone with it".into()],
        }
    }
}

impl ClusterAdmin for MemoryAdmin {
    fn status(&self, _deadline: Duration) -> BoxFuture<'_, Result<ClusterStatus, AdminError>> {
        Box::pin(std::future::ready(Ok(self.now())))
    }

    fn set(
        &self,
        key: &str,
        value: &str,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        let set = settings::change(&self.log.settings(), key, value)
            .and_then(|settings| self.log.configure(&settings));
        Box::pin(std::future::ready(set))
    }

    fn replace(
        &self,
        _old: &str,
        _new: &str,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        let why = "this cluster is one node without a disk; nothing can take its place";
        Box::pin(std::future::ready(Err(AdminError::Refused(why.into()))))
    }
}

#[cfg(test)]
mod tests {
    use halley_env::Env;
    use halley_shard::{ClusterId, ShardCount};

    use super::*;
    use crate::{MemoryConfig, Standing};

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_node_leads_itself_and_its_settings_change() {
        let config = MemoryConfig {
            cluster: ClusterId::new(7),
            shards: ShardCount::new(2).expect("a shard count"),
            settings: Settings::default(),
        };
        let log = MemoryLog::start(config, Env::system());
        let me = Member {
            name: "n1".into(),
            id: 0xa,
            standing: Standing::Voter,
            incarnation: 1,
            peer: String::new(),
            grpc: String::new(),
            http: String::new(),
            heard: Some(true),
        };
        assert!(me.is_called("n1") && me.is_called("000000000000000a") && !me.is_called("a"));
        let admin = log.admin(me.clone());
        let key = "retention.events_max";
        admin.set(key, "5", LONG).await.expect("allowed");
        let status = admin.status(LONG).await.expect("an answer");
        assert_eq!((&status.members, status.groups.len()), (&vec![me], 2));
        assert!(status.settings.contains(&(key.into(), "5".into())));
        let refused = admin.set(key, "x", LONG).await.expect_err("no number");
        assert!(matches!(refused, AdminError::Invalid(_)), "{refused:?}");
        let refused = admin.replace("n1", "n2", LONG).await.expect_err("one node");
        assert!(matches!(refused, AdminError::Refused(_)), "{refused:?}");
        log.close().await;
    }
}
