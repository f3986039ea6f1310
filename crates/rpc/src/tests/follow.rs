//! A log on another node: [`RemoteLog`] over [`GrpcUpstream`] and [`PeerServer`].

use std::sync::Mutex;

use halley_log::{
    Cluster, LogError, RemoteLog, Upstream, UpstreamError,
    conformance::{self, Subject, Wanted},
};
use halley_shard::{Revision, ShardId};

use super::*;
use crate::{GrpcUpstream, PeerConfig, PeerServer};

fn shards() -> ShardCount {
    ShardCount::new(2).expect("a shard count")
}

fn cluster() -> Cluster {
    Cluster {
        id: ClusterId::new(7),
        shards: shards(),
    }
}

fn upstream(server: &PeerServer) -> GrpcUpstream {
    GrpcUpstream::new(&server.address().to_string(), None).expect("an address")
}

fn quick() -> PeerConfig {
    PeerConfig {
        grace: Duration::from_millis(20),
        ..PeerConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_behind_grpc_keeps_every_promise() {
    let servers = Mutex::new(Vec::new());
    let make = async |wanted: Wanted| {
        let config = MemoryConfig {
            cluster: ClusterId::new(7),
            shards: shards(),
            settings: conformance::settings(),
        };
        let env = Env::system();
        if wanted == Wanted::ShortFeed {
            // What lies in the transport's windows a follower is not behind with: see the test below.
            let log = MemoryLog::keeping(config, env.clone(), conformance::SHORT_FEED);
            return Subject { log, env };
        }
        let log = MemoryLog::start(config, env.clone());
        let server = PeerServer::start(listener().await, log.clone(), None, quick(), env.clone())
            .expect("no TLS");
        let remote = RemoteLog::new(vec![Arc::new(upstream(&server))], env.clone());
        servers.lock().expect("not poisoned").push((log, server));
        Subject { log: remote, env }
    };
    Box::pin(conformance::all(make)).await;
    let servers = servers.into_inner().expect("not poisoned");
    for (log, server) in servers {
        server.stop().await;
        log.close().await;
    }
}

#[tokio::test]
async fn errors_keep_their_meaning() {
    let log = memory(Settings::default());
    // The node gives up long before the caller does.
    let config = PeerConfig {
        deadline: Duration::from_millis(100),
        ..quick()
    };
    let server = PeerServer::start(listener().await, log.clone(), None, config, Env::system())
        .expect("no TLS");
    let upstream = upstream(&server);
    assert_eq!(
        within("hello", upstream.hello(PATIENCE)).await,
        Ok(cluster())
    );

    let garbage = upstream.submit(cluster(), ShardId::new(0), vec![0xff].into(), PATIENCE);
    let answer = within("an answer", garbage).await;
    assert!(
        matches!(answer, Err(UpstreamError::Log(LogError::Unreadable(_)))),
        "{answer:?}"
    );

    let other = Cluster {
        id: ClusterId::new(8),
        shards: shards(),
    };
    let answer = within(
        "an answer",
        upstream.barrier(other, ShardId::new(0), PATIENCE),
    )
    .await;
    assert_eq!(answer, Err(UpstreamError::OtherCluster));

    let query = halley_log::ReadQuery::Channels {
        after: None,
        pattern: None,
        count: 1,
    }
    .encode();
    let ahead = Revision::new(1_000);
    let answer = upstream.read(cluster(), ShardId::new(0), query, ahead, PATIENCE);
    let answer = within("an answer", answer).await;
    assert!(
        matches!(answer, Err(UpstreamError::Log(LogError::Behind { wanted, .. })) if wanted == ahead),
        "{answer:?}"
    );
    server.stop().await;
    log.close().await;
}

#[tokio::test]
async fn who_is_not_there_was_not_reached() {
    let free = listener().await;
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let upstream = GrpcUpstream::new(&address, None).expect("an address");
    let answer = within("an answer", upstream.hello(PATIENCE)).await;
    assert!(
        matches!(answer, Err(UpstreamError::Unreachable(_))),
        "{answer:?}"
    );
    for _ in 0..2 {
        let answer = upstream.submit(cluster(), ShardId::new(0), vec![1].into(), PATIENCE);
        let answer = within("an answer", answer).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unreachable(_))),
            "{answer:?}"
        );
    }
    let follow = within("an answer", upstream.follow(cluster(), ShardId::new(0))).await;
    assert!(follow.is_err());
    assert!(GrpcUpstream::new("not an address", None).is_err());
}

#[tokio::test]
async fn who_is_silent_may_have_heard() {
    // Accepts, and says nothing.
    let silent = listener().await;
    let address = silent.local_addr().expect("bound").to_string();
    let upstream = GrpcUpstream::new(&address, None).expect("an address");
    let short = Duration::from_millis(200);
    let answer = upstream.submit(cluster(), ShardId::new(0), vec![1].into(), short);
    let answer = within("an answer", answer).await;
    assert!(
        matches!(answer, Err(UpstreamError::NoAnswer(_))),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_listen_is_ended() {
    let config = MemoryConfig {
        cluster: ClusterId::new(7),
        shards: ShardCount::new(1).expect("a shard count"),
        settings: Settings::default(),
    };
    let env = Env::system();
    let log = MemoryLog::keeping(config, env.clone(), 16);
    let server = PeerServer::start(listener().await, log.clone(), None, quick(), env.clone())
        .expect("no TLS");
    let remote = RemoteLog::new(vec![Arc::new(upstream(&server))], env.clone());
    within("the cluster", remote.formed()).await;
    let mut following = remote.follow(ShardId::new(0));
    let channel = halley_shard::ChannelName::parse("/slow").expect("a name");
    following.interest(
        vec![halley_shard::Interest::Channel(channel.clone())],
        Vec::new(),
    );
    within("the window", following.next())
        .await
        .expect("followed");
    // More than the windows of the stream hold: 16 MiB.
    let publisher = Publisher::new(log.clone(), env);
    for _ in 0..256 {
        let data = vec![b'x'; 64 * 1024].into();
        let content = halley_shard::Content {
            content_type: "text/plain".into(),
            data,
            ..Default::default()
        };
        let publication = halley_shard::Publication {
            channel: channel.clone(),
            content,
            key: None,
        };
        let results = within("a publish", publisher.publish(vec![publication], PATIENCE)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    let end = loop {
        if let Err(end) = within("being ended", following.next()).await {
            break end;
        }
    };
    assert_eq!(end, halley_log::FollowEnd::Behind);
    drop(following);
    remote.close().await;
    server.stop().await;
    log.close().await;
}
