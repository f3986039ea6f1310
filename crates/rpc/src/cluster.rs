//! `halley.v1.Cluster`: an operator's questions and commands. Decodes, asks the seam, encodes; decides nothing.

use std::{sync::Arc, time::Duration};

use halley_env::Env;
use halley_log::{AdminError, ClusterAdmin, ClusterStatus, Group, Member, Progress, Standing};
use halley_shard::Cursor;
use halley_wire::{Code, Rejection, cursor};
use tonic::{Request, Response, Status};

use crate::{
    deadline,
    proto::v1::{self, cluster_server},
    status::{self, Refuser},
};

/// The service of one node.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    admin: Option<Arc<dyn ClusterAdmin>>,
    /// The most that a call may take.
    longest: Duration,
    refuser: Refuser,
}

impl Cluster {
    /// The service over `admin`; without one it refuses every call.
    pub(crate) fn new(admin: Option<Arc<dyn ClusterAdmin>>, longest: Duration, env: &Env) -> Self {
        let refuser = Refuser::new(Arc::clone(&env.rng));
        Self {
            admin,
            longest,
            refuser,
        }
    }

    fn admin(&self) -> Result<&dyn ClusterAdmin, Status> {
        self.admin.as_deref().ok_or_else(|| {
            let detail = "this node has no part in running a cluster; ask a replica";
            self.refuser
                .status(&Rejection::new(Code::Unsupported, detail))
        })
    }

    fn answer<T, A>(
        &self,
        answer: Result<T, AdminError>,
        form: impl FnOnce(T) -> A,
    ) -> Result<Response<A>, Status> {
        match answer {
            Ok(answer) => Ok(Response::new(form(answer))),
            Err(error) => Err(self.refuser.status(&status::of_admin(&error))),
        }
    }

    /// A text that must not be empty.
    fn given<'a>(&self, what: &str, text: &'a str) -> Result<&'a str, Status> {
        if text.is_empty() {
            let detail = format!("{what} is missing");
            let missing = Rejection::new(Code::ParameterInvalid, detail);
            return Err(self.refuser.status(&missing));
        }
        Ok(text)
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Cluster {
    async fn status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatus>, Status> {
        let deadline = deadline::of(&request, self.longest);
        let status = self.admin()?.status(deadline).await;
        self.answer(status, |status| of_status(&status))
    }

    async fn set(
        &self,
        request: Request<v1::ClusterSetRequest>,
    ) -> Result<Response<v1::ClusterSetResponse>, Status> {
        let deadline = deadline::of(&request, self.longest);
        let admin = self.admin()?;
        let v1::ClusterSetRequest { key, value } = request.into_inner();
        // An empty value is one: that of a list without items.
        let key = self.given("key", &key)?;
        let set = admin.set(key, &value, deadline).await;
        self.answer(set, |()| v1::ClusterSetResponse {})
    }

    async fn replace(
        &self,
        request: Request<v1::ClusterReplaceRequest>,
    ) -> Result<Response<v1::ClusterReplaceResponse>, Status> {
        let deadline = deadline::of(&request, self.longest);
        let admin = self.admin()?;
        let asked = request.into_inner();
        let old = self.given("old_node", &asked.old_node)?;
        let new = self.given("new_node", &asked.new_node)?;
        let replaced = admin.replace(old, new, deadline).await;
        self.answer(replaced, |()| v1::ClusterReplaceResponse {})
    }
}

fn of_status(status: &ClusterStatus) -> v1::ClusterStatus {
    let id = |cluster: halley_log::Cluster| cursor::format(&Cursor::new(cluster.id, Vec::new()));
    let setting = |(key, value): &(String, String)| v1::ClusterSetting {
        key: key.clone(),
        value: value.clone(),
    };
    v1::ClusterStatus {
        cluster: status.cluster.map(id).unwrap_or_default(),
        shards: status
            .cluster
            .map_or(0, |cluster| cluster.shards.get().into()),
        answered_by: status.answered_by.clone(),
        feature_level: status.feature_level,
        settings: status.settings.iter().map(setting).collect(),
        members: status.members.iter().map(of_member).collect(),
        groups: status.groups.iter().map(of_group).collect(),
        notices: status.notices.clone(),
    }
}

fn of_member(member: &Member) -> v1::ClusterMember {
    let standing = match member.standing {
        Standing::Voter => v1::ClusterStanding::Voter,
        Standing::Learner => v1::ClusterStanding::Learner,
        Standing::Retired => v1::ClusterStanding::Retired,
    };
    v1::ClusterMember {
        name: member.name.clone(),
        id: member.id_text(),
        standing: standing.into(),
        incarnation: member.incarnation,
        peer: member.peer.clone(),
        grpc: member.grpc.clone(),
        http: member.http.clone(),
        heard: member.heard,
    }
}

fn of_group(group: &Group) -> v1::ClusterGroup {
    let progress = |progress: &Progress| v1::ClusterProgress {
        node: progress.name.clone(),
        index: progress.index,
        lag: progress.lag,
    };
    v1::ClusterGroup {
        name: group.name.clone(),
        leader: group.leader.clone().unwrap_or_default(),
        term: group.term,
        committed: group.committed,
        progress: group.progress.iter().map(progress).collect(),
    }
}
