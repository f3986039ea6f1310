//! The listener around the services: health, reflection, strangers, the end.

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;

fn channel(node: &Node) -> Channel {
    let uri = format!("http://{}", node.server.address());
    Channel::from_shared(uri)
        .expect("an address")
        .connect_lazy()
}

async fn health(node: &Node, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let answer = within("health", HealthClient::new(channel(node)).check(request)).await;
    answer.expect("an answer").into_inner().status()
}

#[tokio::test]
async fn health_follows_the_drain() {
    let node = Node::start().await;
    // The listener accepts before its services are told of; the first call waits for both.
    for service in ["", "halley.v1.Broker", "halley.v1.Cluster"] {
        assert_eq!(
            health(&node, service).await,
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    node.server.drain().await;
    for service in ["", "halley.v1.Broker", "halley.v1.Cluster"] {
        assert_eq!(
            health(&node, service).await,
            ServingStatus::NotServing,
            "{service:?}"
        );
    }
    publish(&mut node.client.clone(), "/a", "1").await;
    node.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_public_services() {
    let node = Node::start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel(&node));
    let asked = futures_util::stream::iter([request]);
    let answers = client
        .server_reflection_info(asked)
        .await
        .expect("an answer");
    let answer = within("an answer", answers.into_inner().message())
        .await
        .expect("a message");
    let Some(MessageResponse::ListServicesResponse(list)) =
        answer.and_then(|answer| answer.message_response)
    else {
        panic!("no list");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for public in ["halley.v1.Broker", "halley.v1.Cluster"] {
        assert!(names.contains(&public), "{names:?}");
    }
    assert!(!names.contains(&"halley.peer.v1.Peer"), "{names:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_stopped_listener_cuts_what_does_not_end() {
    let config = GrpcConfig {
        grace: Duration::from_millis(50),
        ..GrpcConfig::default()
    };
    let node = Node::with(config, Settings::default()).await;
    let mut client = node.client.clone();
    let request = v1::SubscribeRequest {
        channels: vec!["/a".into()],
        since: String::new(),
    };
    let mut deliveries = client
        .subscribe(request)
        .await
        .expect("opened")
        .into_inner();
    let opening = within("the opening", deliveries.message())
        .await
        .expect("a message");
    assert!(opening.is_some());
    let Node {
        log, hub, server, ..
    } = node;
    // The hub was not drained: nobody has told the subscription to end.
    within("the end", server.stop()).await;
    let ended = within("the cut", deliveries.message()).await;
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    within("the hub", hub.close()).await;
    log.close().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_ends_the_call() {
    let node = Node::start().await;
    let mut client = node.client.clone();
    let mut request = tonic::Request::new(json("/a", "1"));
    request
        .metadata_mut()
        .insert("grpc-timeout", "30S".parse().expect("a value"));
    within("a publish", client.publish(request))
        .await
        .expect("stored");
    node.stop().await;
}
