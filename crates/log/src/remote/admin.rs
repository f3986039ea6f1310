//! What an edge knows of its cluster, and whom to ask for the rest.

use std::{sync::Arc, time::Duration};

use halley_env::BoxFuture;

use super::RemoteLog;
use crate::{AdminError, ClusterAdmin, ClusterStatus, ShardLog as _};

impl RemoteLog {
    /// What people may ask of the edge called `name`, which follows the nodes at `upstreams`. It knows which cluster it
    /// serves and no more; what would change the cluster is refused.
    #[must_use]
    pub fn admin(self: &Arc<Self>, name: String, upstreams: &[String]) -> Arc<dyn ClusterAdmin> {
        let ask = format!(
            "{name} is an edge and keeps no cluster; ask a replica (it follows those whose peer listeners are at {})",
            upstreams.join(", ")
        );
        let log = Arc::clone(self);
        Arc::new(EdgeAdmin { log, name, ask })
    }
}

#[derive(Debug)]
struct EdgeAdmin {
    log: Arc<RemoteLog>,
    name: String,
    /// Whom to ask instead.
    ask: String,
}

impl EdgeAdmin {
    fn refused(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        let refused = Err(AdminError::Refused(self.ask.clone()));
        Box::pin(std::future::ready(refused))
    }
}

impl ClusterAdmin for EdgeAdmin {
    fn status(&self, _deadline: Duration) -> BoxFuture<'_, Result<ClusterStatus, AdminError>> {
        let mut notices = vec![self.ask.clone()];
        if !self.log.is_connected() {
            notices.push("none of these replicas answers at the moment".into());
        }
        let status = ClusterStatus {
            cluster: self.log.cluster(),
            answered_by: self.name.clone(),
            notices,
            ..ClusterStatus::default()
        };
        Box::pin(std::future::ready(Ok(status)))
    }

    fn set(
        &self,
        _key: &str,
        _value: &str,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        self.refused()
    }

    fn replace(
        &self,
        _old: &str,
        _new: &str,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        self.refused()
    }
}
