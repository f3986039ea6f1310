//! Calls of operators, over an administration that answers as its script says.

use std::sync::Mutex;

use halley_env::BoxFuture;
use halley_log::{AdminError, Cluster, ClusterStatus, Group, Member, Progress, Standing};

use super::*;
use crate::proto::v1::cluster_client::ClusterClient;

/// Remembers what it was told, and refuses once when it is given a reason.
#[derive(Debug, Default)]
struct Scripted {
    status: ClusterStatus,
    told: Mutex<Vec<String>>,
    refusal: Mutex<Option<AdminError>>,
}

impl Scripted {
    fn refusing(error: AdminError) -> Arc<Self> {
        Arc::new(Self {
            refusal: Mutex::new(Some(error)),
            ..Self::default()
        })
    }

    fn hear<T: Send + 'static>(
        &self,
        what: String,
        deadline: Duration,
        answer: T,
    ) -> BoxFuture<'_, Result<T, AdminError>> {
        assert!(deadline > Duration::ZERO, "there is time left");
        self.told.lock().expect("not poisoned").push(what);
        let refusal = self.refusal.lock().expect("not poisoned").take();
        let answer = refusal.map_or(Ok(answer), Err);
        Box::pin(std::future::ready(answer))
    }
}

impl ClusterAdmin for Scripted {
    fn status(&self, deadline: Duration) -> BoxFuture<'_, Result<ClusterStatus, AdminError>> {
        self.hear("status".into(), deadline, self.status.clone())
    }

    fn set(
        &self,
        key: &str,
        value: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        self.hear(format!("{key} = {value}"), deadline, ())
    }

    fn replace(
        &self,
        old: &str,
        new: &str,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(), AdminError>> {
        self.hear(format!("{old} by {new}"), deadline, ())
    }
}

fn client(node: &Node) -> ClusterClient<Channel> {
    let uri = format!("http://{}", node.server.address());
    let channel = Channel::from_shared(uri).expect("an address");
    ClusterClient::new(channel.connect_lazy())
}

fn set(key: &str, value: &str) -> v1::ClusterSetRequest {
    v1::ClusterSetRequest {
        key: key.into(),
        value: value.into(),
    }
}

fn replace(old: &str, new: &str) -> v1::ClusterReplaceRequest {
    v1::ClusterReplaceRequest {
        old_node: old.into(),
        new_node: new.into(),
    }
}

fn three_nodes() -> ClusterStatus {
    let member = |(number, standing): (u64, Standing)| Member {
        name: format!("n{number}"),
        id: number,
        standing,
        incarnation: number + 1,
        peer: format!("127.0.0.1:740{number}"),
        grpc: format!("127.0.0.1:909{number}"),
        http: format!("127.0.0.1:808{number}"),
        heard: [None, Some(true), Some(false)][usize::try_from(number).expect("small")],
    };
    let standings = [Standing::Voter, Standing::Learner, Standing::Retired];
    ClusterStatus {
        cluster: Some(Cluster {
            id: ClusterId::new(37),
            shards: ShardCount::new(2).expect("a shard count"),
        }),
        answered_by: "n1".into(),
        feature_level: 3,
        settings: vec![("retention.events_max".into(), "5".into())],
        members: (0..).zip(standings).map(member).collect(),
        groups: vec![Group {
            name: "meta".into(),
            leader: None,
            term: 4,
            committed: 9,
            progress: vec![Progress {
                name: "n1".into(),
                index: 8,
                lag: 1,
            }],
        }],
        notices: vec!["n2 waits".into()],
    }
}

#[tokio::test]
async fn status_says_all_that_the_node_knows() {
    let admin = Arc::new(Scripted {
        status: three_nodes(),
        ..Scripted::default()
    });
    let node = Node::administered(admin).await;
    let request = v1::ClusterStatusRequest {};
    let answer = within("a status", client(&node).status(request)).await;
    let answer = answer.expect("an answer").into_inner();
    let standing = v1::ClusterStanding::Learner;
    let learner = v1::ClusterMember {
        name: "n1".into(),
        id: "0000000000000001".into(),
        standing: standing.into(),
        incarnation: 2,
        peer: "127.0.0.1:7401".into(),
        grpc: "127.0.0.1:9091".into(),
        http: "127.0.0.1:8081".into(),
        heard: Some(true),
    };
    assert_eq!(answer.members[1], learner);
    let heard: Vec<_> = answer.members.iter().map(|member| member.heard).collect();
    assert_eq!(heard, [None, Some(true), Some(false)]);
    let expected = v1::ClusterStatus {
        // What a cursor of this cluster begins with.
        cluster: "11".into(),
        shards: 2,
        answered_by: "n1".into(),
        feature_level: 3,
        settings: vec![v1::ClusterSetting {
            key: "retention.events_max".into(),
            value: "5".into(),
        }],
        members: answer.members.clone(),
        groups: vec![v1::ClusterGroup {
            name: "meta".into(),
            leader: String::new(),
            term: 4,
            committed: 9,
            progress: vec![v1::ClusterProgress {
                node: "n1".into(),
                index: 8,
                lag: 1,
            }],
        }],
        notices: vec!["n2 waits".into()],
    };
    assert_eq!(answer, expected);
    node.stop().await;
}

#[tokio::test]
async fn commands_are_handed_on_as_they_were_said() {
    let admin = Arc::new(Scripted::default());
    let node = Node::administered(Arc::clone(&admin) as _).await;
    let mut client = client(&node);
    let request = set("retention.rules", "");
    within("a set", client.set(request)).await.expect("done");
    let request = replace("n1", "00000000000000ff");
    let replaced = within("a replacement", client.replace(request)).await;
    replaced.expect("done");
    let told = admin.told.lock().expect("not poisoned").clone();
    assert_eq!(told, ["retention.rules = ", "n1 by 00000000000000ff"]);
    node.stop().await;
}

#[tokio::test]
async fn refusals_have_their_status_and_code() {
    for (error, code, reason) in [
        (
            AdminError::Refused("n2 is behind in shard 1".into()),
            Code::FailedPrecondition,
            "refused",
        ),
        (
            AdminError::Invalid("there is no node n9".into()),
            Code::InvalidArgument,
            "parameter_invalid",
        ),
        (AdminError::NoLeader, Code::Unavailable, "no_leader"),
        (
            AdminError::UnknownOutcome,
            Code::DeadlineExceeded,
            "unknown_outcome",
        ),
    ] {
        let node = Node::administered(Scripted::refusing(error.clone())).await;
        let mut client = client(&node);
        let answer = within("a refusal", client.replace(replace("n1", "n9"))).await;
        let status = answer.expect_err("a refusal");
        assert_eq!(status.message(), error.to_string());
        let retry = status.get_details_retry_info();
        assert_eq!(retry.is_some(), error == AdminError::NoLeader, "{error:?}");
        assert_eq!(refused::<()>(Err(status)), (code, reason.to_owned()));
        node.stop().await;
    }
}

#[tokio::test]
async fn what_names_nothing_is_refused_before_anybody_is_asked() {
    let admin = Arc::new(Scripted::default());
    let node = Node::administered(Arc::clone(&admin) as _).await;
    let mut client = client(&node);
    let invalid = (Code::InvalidArgument, "parameter_invalid".to_owned());
    let answer = within("a refusal", client.set(set("", "1"))).await;
    assert_eq!(refused(answer), invalid);
    for (old, new) in [("", "n2"), ("n1", "")] {
        let answer = within("a refusal", client.replace(replace(old, new))).await;
        assert_eq!(refused(answer), invalid);
    }
    assert!(admin.told.lock().expect("not poisoned").is_empty());
    node.stop().await;
}

#[tokio::test]
async fn a_node_without_a_part_in_the_cluster_says_so() {
    let node = Node::start().await;
    let unsupported = (Code::Unimplemented, "unsupported".to_owned());
    let mut client = client(&node);
    let request = v1::ClusterStatusRequest {};
    let answer = within("a refusal", client.status(request)).await;
    assert_eq!(refused(answer), unsupported);
    let answer = within("a refusal", client.set(set("a", "1"))).await;
    assert_eq!(refused(answer), unsupported);
    let answer = within("a refusal", client.replace(replace("n1", "n2"))).await;
    assert_eq!(refused(answer), unsupported);
    node.stop().await;
}
