//! Calls about the cluster, which share their retries with all others.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use tonic::{Code, Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::{
    ClusterStanding,
    proto::v1::{self, cluster_server},
};

/// A node that refuses as often as its script says, and remembers what it was told.
#[derive(Clone, Debug, Default)]
struct Node {
    refusals: Arc<Mutex<VecDeque<&'static str>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Node {
    async fn start(refusals: &[&'static str]) -> (Self, SocketAddr) {
        let node = Self::default();
        node.refusals
            .lock()
            .expect("not poisoned")
            .extend(refusals.iter().copied());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let service = cluster_server::ClusterServer::new(node.clone());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        (node, address)
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("not poisoned").clone()
    }

    fn hear(&self, what: String) -> Result<(), Status> {
        self.told.lock().expect("not poisoned").push(what);
        let refusal = self.refusals.lock().expect("not poisoned").pop_front();
        refusal.map_or(Ok(()), |code| {
            let details = ErrorDetails::with_error_info(code, "halley", HashMap::new());
            let status = Status::with_error_details(Code::Unknown, "by script", details);
            Err(status)
        })
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Node {
    async fn status(
        &self,
        _request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatus>, Status> {
        self.hear("status".to_owned())?;
        let member = |standing: i32| v1::ClusterMember {
            standing,
            ..Default::default()
        };
        Ok(Response::new(v1::ClusterStatus {
            members: (0..5).map(member).collect(),
            groups: vec![v1::ClusterGroup::default()],
            ..Default::default()
        }))
    }

    async fn set(
        &self,
        request: Request<v1::ClusterSetRequest>,
    ) -> Result<Response<v1::ClusterSetResponse>, Status> {
        let asked = request.into_inner();
        self.hear(format!("{} = {}", asked.key, asked.value))?;
        Ok(Response::new(v1::ClusterSetResponse {}))
    }

    async fn replace(
        &self,
        request: Request<v1::ClusterReplaceRequest>,
    ) -> Result<Response<v1::ClusterReplaceResponse>, Status> {
        let asked = request.into_inner();
        self.hear(format!("{} by {}", asked.old_node, asked.new_node))?;
        Ok(Response::new(v1::ClusterReplaceResponse {}))
    }
}

#[tokio::test]
async fn what_a_node_does_not_know_is_none_and_what_we_do_not_know_is_said() {
    let (_node, address) = Node::start(&[]).await;
    let status = within("a status", client(&[address]).cluster_status())
        .await
        .expect("an answer");
    assert_eq!((status.cluster, status.shards), (None, 0));
    assert_eq!(status.groups[0].leader, None);
    assert_eq!(status.members[0].heard, None);
    let standings = status.members.iter().map(|member| member.standing);
    assert_eq!(
        standings.collect::<Vec<_>>(),
        [
            ClusterStanding::Unknown,
            ClusterStanding::Voter,
            ClusterStanding::Learner,
            ClusterStanding::Retired,
            ClusterStanding::Unknown
        ]
    );
}

#[tokio::test]
async fn without_a_leader_it_is_asked_for_again_elsewhere() {
    let (first, one) = Node::start(&["no_leader"]).await;
    let (second, other) = Node::start(&["no_leader"]).await;
    let client = client(&[one, other]);
    within("a set", client.cluster_set("a", "1"))
        .await
        .expect("done");
    assert_eq!(first.told(), ["a = 1", "a = 1"]);
    assert_eq!(second.told(), ["a = 1"]);
}

#[tokio::test]
async fn a_refused_command_is_not_asked_for_twice() {
    let (node, address) = Node::start(&["refused"]).await;
    let client = client(&[address]);
    let refused = within("a refusal", client.cluster_replace("n1", "n4"))
        .await
        .expect_err("refused");
    assert_eq!((refused.code(), refused.detail()), ("refused", "by script"));
    within("a replacement", client.cluster_replace("n1", "n4"))
        .await
        .expect("done");
    assert_eq!(node.told(), ["n1 by n4", "n1 by n4"]);
}
