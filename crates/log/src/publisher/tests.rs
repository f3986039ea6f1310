//! Retries, stamps and results of the publisher, over a scripted log and a real one.

use std::{collections::VecDeque, sync::Mutex};

use halley_env::BoxFuture;
use halley_shard::{ClusterId, Content, Offset, Revision, Settings, ShardCount, Time};

use super::*;
use crate::{Following, MemoryConfig, MemoryLog, ReadAnswer, ReadQuery};

/// Answers submissions from a script and remembers their bytes; silent at its end.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Reply, LogError>>>,
    commands: Mutex<Vec<Bytes>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Reply, LogError>>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self {
            answers,
            commands: Mutex::default(),
        })
    }

    fn stamps(&self) -> Vec<Stamp> {
        let commands = self.commands.lock().unwrap();
        let stamp = |bytes: &Bytes| match codec::decode_command(bytes).unwrap() {
            Command::Publish { stamp, .. } | Command::Delete { stamp, .. } => stamp,
            other => panic!("{other:?} has no stamp"),
        };
        commands.iter().map(stamp).collect()
    }
}

const CLUSTER: Cluster = Cluster {
    id: ClusterId::new(7),
    shards: ShardCount::new(1).expect("one is a number of shards"),
};

impl ShardLog for Script {
    fn cluster(&self) -> Option<Cluster> {
        Some(CLUSTER)
    }

    fn formed(&self) -> BoxFuture<'_, Cluster> {
        Box::pin(std::future::ready(CLUSTER))
    }

    fn submit(
        &self,
        _: ShardId,
        command: Bytes,
        _: Duration,
    ) -> BoxFuture<'_, Result<Reply, LogError>> {
        self.commands.lock().unwrap().push(command);
        match self.answers.lock().unwrap().pop_front() {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn follow(&self, _: ShardId) -> Box<dyn Following> {
        unreachable!("nobody follows a script")
    }

    fn read(
        &self,
        _: ShardId,
        _: ReadQuery,
        _: Revision,
        _: Duration,
    ) -> BoxFuture<'_, Result<ReadAnswer, LogError>> {
        unreachable!("nobody reads a script")
    }

    fn barrier(&self, _: ShardId, _: Duration) -> BoxFuture<'_, Result<Revision, LogError>> {
        unreachable!("nobody asks a script")
    }
}

const DEADLINE: Duration = Duration::from_secs(3);
const NO_LEADER: LogError = LogError::NoLeader {
    shard: ShardId::new(0),
};

fn place(offset: u64) -> Published {
    let (offset, revision) = (Offset::new(offset), Revision::new(offset + 10));
    Published {
        offset,
        revision,
        time: Time::new(1),
        duplicate: false,
    }
}

fn stored(offset: u64) -> Result<Reply, LogError> {
    Ok(Reply::Published(vec![Ok(place(offset))]))
}

fn publication(channel: &str, text: &str) -> Publication {
    let data = Bytes::copy_from_slice(text.as_bytes());
    let content = Content {
        content_type: "text/plain".into(),
        data,
        ..Content::default()
    };
    Publication {
        channel: ChannelName::parse(channel).unwrap(),
        content,
        key: None,
    }
}

fn one() -> Vec<Publication> {
    vec![publication("/a", "x")]
}

fn over(script: &Arc<Script>) -> Publisher {
    Publisher::new(Arc::clone(script) as Arc<dyn ShardLog>, Env::system())
}

#[tokio::test(start_paused = true)]
async fn retries_send_the_same_bytes() {
    let script = Script::new([Err(NO_LEADER), Err(LogError::UnknownOutcome), stored(1)]);
    let results = over(&script).publish(one(), DEADLINE).await;
    let cursor = Cursor::single(CLUSTER.id, ShardId::new(0), place(1).revision);
    assert_eq!(results, [Ok((place(1), cursor))]);
    let commands = script.commands.lock().unwrap();
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().all(|command| *command == commands[0]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_changes_the_producer() {
    let script = Script::new([
        stored(1),
        Err(LogError::UnknownOutcome),
        stored(2),
        stored(3),
    ]);
    let publisher = over(&script);
    publisher.publish(one(), DEADLINE).await;
    let given_up = publisher.publish(one(), Duration::ZERO).await;
    assert_eq!(given_up, [Err(LogError::UnknownOutcome.into())]);
    publisher.publish(one(), DEADLINE).await;
    publisher.publish(one(), DEADLINE).await;
    let stamps = script.stamps();
    assert_eq!(stamps[0].producer, stamps[1].producer);
    assert_ne!(stamps[1].producer, stamps[2].producer);
    assert_eq!(stamps[2].producer, stamps[3].producer);
    assert_eq!(
        stamps
            .iter()
            .map(|stamp| stamp.sequence)
            .collect::<Vec<_>>(),
        [1, 2, 1, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_publish_changes_the_producer() {
    let script = Script::new([]);
    let publisher = over(&script);
    {
        let dropped = publisher.publish(one(), DEADLINE);
        let in_time = tokio::time::timeout(Duration::from_millis(1), dropped).await;
        assert!(in_time.is_err());
    }
    script.answers.lock().unwrap().push_back(stored(1));
    publisher.publish(one(), DEADLINE).await;
    let stamps = script.stamps();
    assert_ne!(stamps[0].producer, stamps[1].producer);
}

#[tokio::test(start_paused = true)]
async fn a_full_log_is_said_at_once() {
    let full = LogError::Overloaded {
        what: "the log",
        value: 2,
        limit: 1,
    };
    let script = Script::new([Err(full.clone()), stored(1)]);
    assert_eq!(
        over(&script).publish(one(), DEADLINE).await,
        [Err(full.into())]
    );
}

#[tokio::test(start_paused = true)]
async fn no_leader_until_the_deadline_is_no_leader() {
    let script = Script::new(vec![Err(NO_LEADER); 10_000]);
    assert_eq!(
        over(&script).publish(one(), DEADLINE).await,
        [Err(NO_LEADER.into())]
    );
    assert!(script.commands.lock().unwrap().len() > 3);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_stays_unknown_whatever_comes_after() {
    let mut answers = vec![Err(LogError::UnknownOutcome)];
    answers.extend(vec![Err(NO_LEADER); 10_000]);
    let script = Script::new(answers);
    let results = over(&script).publish(one(), DEADLINE).await;
    assert_eq!(results, [Err(LogError::UnknownOutcome.into())]);
}

#[tokio::test(start_paused = true)]
async fn a_number_of_its_own_that_is_forgotten_is_an_unknown_outcome() {
    let stale = Refusal::StaleKey {
        sequence: 1,
        oldest: 9,
    };
    let script = Script::new([Ok(Reply::Refused(stale))]);
    let results = over(&script).publish(one(), DEADLINE).await;
    assert_eq!(results, [Err(LogError::UnknownOutcome.into())]);
}

#[tokio::test(start_paused = true)]
async fn a_streams_number_is_the_clients() {
    let refusal = Refusal::OutOfSequence {
        sequence: 5,
        previous: 4,
    };
    let script = Script::new([Ok(Reply::Refused(refusal.clone())), stored(1)]);
    let publisher = over(&script);
    let stream = Stream {
        producer: ProducerId([3; 16]),
        sequence: 5,
        previous: Some(4),
    };
    let refused = publisher
        .publish_numbered(stream, publication("/a", "x"), DEADLINE)
        .await;
    assert_eq!(refused, Err(refusal.into()));
    publisher
        .publish_numbered(stream, publication("/a", "x"), DEADLINE)
        .await
        .expect("stored");
    let stamps = script.stamps();
    for stamp in &stamps {
        assert_eq!((stamp.producer, stamp.sequence), (stream.producer, 5));
        assert_eq!(stamp.previous, Some(4));
    }
    assert_ne!(
        stamps[0].origin, stamps[1].origin,
        "each sending by the client is another one"
    );
}

#[tokio::test(start_paused = true)]
async fn results_of_many_shards_come_in_the_order_asked_for() {
    let config = MemoryConfig {
        cluster: ClusterId::new(1),
        shards: ShardCount::new(4).unwrap(),
        settings: Settings::default(),
    };
    let log = MemoryLog::start(config, Env::system());
    let shards = log.cluster().expect("known at once").shards;
    let publisher = Publisher::new(log, Env::system());
    let batch: Vec<_> = (0..40)
        .map(|n| publication(&format!("/c/{}", n % 10), "x"))
        .collect();
    let results = publisher.publish(batch.clone(), DEADLINE).await;
    assert_eq!(results.len(), 40);
    for (index, (publication, result)) in batch.iter().zip(results).enumerate() {
        let (published, cursor) = result.expect("stored");
        assert_eq!(published.offset.get(), 1 + index as u64 / 10);
        let shard = shards.shard_of(publication.channel.hash64());
        assert_eq!(cursor.get(shard), Some(published.revision));
    }
    assert!(publisher.publish(Vec::new(), DEADLINE).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn deleting_says_whether_there_was_something() {
    let config = MemoryConfig {
        cluster: ClusterId::new(1),
        shards: ShardCount::new(2).unwrap(),
        settings: Settings::default(),
    };
    let publisher = Publisher::new(MemoryLog::start(config, Env::system()), Env::system());
    publisher.publish(one(), DEADLINE).await;
    let channel = ChannelName::parse("/a").unwrap();
    assert!(
        publisher
            .delete(channel.clone(), DEADLINE)
            .await
            .expect("deleted")
            .existed
    );
    assert!(
        !publisher
            .delete(channel, DEADLINE)
            .await
            .expect("answered")
            .existed
    );
}
