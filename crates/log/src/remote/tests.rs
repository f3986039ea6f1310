//! Upstreams that come late, go, and come back as another cluster.

use halley_shard::{ClusterId, Command, Settings, ShardCount};

use super::*;
use crate::{MemoryConfig, MemoryLog, conformance};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn memory(id: u64) -> Arc<dyn ShardLog> {
    let config = MemoryConfig {
        cluster: ClusterId::new(id),
        shards: ShardCount::new(2).unwrap(),
        settings: Settings::default(),
    };
    MemoryLog::start(config, Env::system())
}

fn linked(ids: &[u64]) -> (Arc<RemoteLog>, Vec<Arc<conformance::Link>>) {
    let link = |id: &u64| conformance::Link::new(memory(*id), Env::system());
    let links: Vec<_> = ids.iter().map(link).collect();
    let upstreams = links
        .iter()
        .map(|link| Arc::new(Arc::clone(link)) as Arc<dyn Upstream>);
    (RemoteLog::new(upstreams.collect(), Env::system()), links)
}

const SHARD: ShardId = ShardId::new(0);

fn tick() -> Bytes {
    codec::encode_command(&Command::Tick)
}

#[tokio::test(start_paused = true)]
async fn an_edge_without_upstream_is_not_formed_and_has_no_leader() {
    let (log, links) = linked(&[1]);
    links[0].replace(None);
    assert_eq!(log.cluster(), None);
    let no_leader = LogError::NoLeader { shard: SHARD };
    assert_eq!(
        log.submit(SHARD, tick(), ms(500)).await,
        Err(no_leader.clone())
    );
    assert_eq!(log.barrier(SHARD, ms(500)).await, Err(no_leader));
    assert!(!log.is_connected());
    links[0].replace(Some(memory(1)));
    assert_eq!(log.formed().await.id, ClusterId::new(1));
    assert_eq!(log.submit(SHARD, tick(), ms(500)).await, Ok(Reply::Done));
    assert!(log.is_connected());
}

#[tokio::test(start_paused = true)]
async fn another_upstream_takes_over() {
    let (log, links) = linked(&[1, 1]);
    log.formed().await;
    links[0].replace(None);
    assert_eq!(log.submit(SHARD, tick(), ms(5_000)).await, Ok(Reply::Done));
    assert_eq!(log.barrier(SHARD, ms(5_000)).await, Ok(Revision::ZERO));
}

#[tokio::test(start_paused = true)]
async fn one_upstream_of_another_cluster_is_passed_over() {
    let (log, links) = linked(&[1, 1]);
    log.formed().await;
    links[0].replace(Some(memory(2)));
    assert_eq!(log.submit(SHARD, tick(), ms(5_000)).await, Ok(Reply::Done));
    tokio::time::sleep(ms(60_000)).await;
    assert_eq!(
        log.cluster().map(|cluster| cluster.id),
        Some(ClusterId::new(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_replaced_history_is_followed_and_ends_what_followed_the_old_one() {
    let (log, links) = linked(&[1]);
    log.formed().await;
    let mut following = log.follow(SHARD);
    following.next().await.expect("where the head is");
    links[0].replace(Some(memory(2)));
    while let Ok(_batch) = following.next().await {}
    let mut stale = log.follow(SHARD);
    while log.cluster().map(|cluster| cluster.id) != Some(ClusterId::new(2)) {
        tokio::time::sleep(ms(50)).await;
    }
    assert!(
        matches!(stale.next().await, Err(FollowEnd::Lost(_))),
        "it was of the old history"
    );
    log.follow(SHARD)
        .next()
        .await
        .expect("the new one is followed");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_an_unknown_outcome() {
    let (log, links) = linked(&[1]);
    log.formed().await;
    let weather = conformance::Weather {
        answers_lost_percent: 100,
        ..Default::default()
    };
    links[0].set_weather(weather);
    assert_eq!(
        log.submit(SHARD, tick(), ms(800)).await,
        Err(LogError::UnknownOutcome)
    );
}

#[tokio::test(start_paused = true)]
async fn closing_ends_followers() {
    let (log, _links) = linked(&[1]);
    log.formed().await;
    let mut following = log.follow(SHARD);
    following.next().await.expect("where the head is");
    let (ended, ()) = tokio::join!(following.next(), log.close());
    assert!(matches!(ended, Err(FollowEnd::Lost(_))));
}
