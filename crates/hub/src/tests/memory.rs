//! The same path over the real in-memory log and the real publisher.

use bytes::Bytes;
use halley_env::Env;
use halley_log::{MemoryConfig, MemoryLog, Publisher};
use halley_shard::{ChannelName, ClusterId, Content, Publication, Retention, Settings, ShardCount};

use super::*;

const DEADLINE: Duration = Duration::from_secs(5);

fn publication(name: &str) -> Publication {
    let content = Content {
        content_type: "application/json".into(),
        data: Bytes::from_static(b"1"),
        ..Content::default()
    };
    Publication {
        channel: ChannelName::parse(name).unwrap(),
        content,
        key: None,
    }
}

#[tokio::test(start_paused = true)]
async fn publish_read_trim_delete_and_read_your_writes() {
    let env: Env = env();
    let retention = Retention {
        events_max: 3,
        ..Settings::default().retention
    };
    let config = MemoryConfig {
        cluster: ClusterId::new(9),
        shards: ShardCount::new(2).unwrap(),
        settings: Settings {
            retention,
            ..Settings::default()
        },
    };
    let log = MemoryLog::start(config, env.clone());
    let hub = Hub::start(Arc::clone(&log) as _, env.clone(), HubConfig::default());
    let publisher = Publisher::new(Arc::clone(&log) as _, env);
    let interests = [channel("/a"), pattern("/p/*")];
    let mut live = subscribe(&hub, &interests, Since::Latest).await;
    let mut slow = subscribe(&hub, &interests, Since::Latest).await;

    let batch = (0..5)
        .map(|_| publication("/a"))
        .chain([publication("/p/x")])
        .collect();
    let results = publisher.publish(batch, DEADLINE).await;
    let (_, behind_third) = results[2].clone().unwrap();
    let mut writes = subscribe(&hub, &[channel("/a")], Since::Cursor(behind_third)).await;
    assert_eq!(words(&read(&mut writes, 2).await), ["/a:4", "/a:5"]);
    let mut given = words(&read(&mut slow, 5).await);
    given.sort();
    assert_eq!(given, ["/a:3", "/a:4", "/a:5", "/a>3 Trimmed", "/p/x:1"]);
    let mut given = words(&read(&mut live, 5).await);
    given.sort();
    assert_eq!(given, ["/a:3", "/a:4", "/a:5", "/a>3 Trimmed", "/p/x:1"]);

    let own = live.cursor();
    let gone = publisher
        .delete(ChannelName::parse("/a").unwrap(), DEADLINE)
        .await
        .unwrap();
    assert!(gone.existed);
    publisher.publish(vec![publication("/a")], DEADLINE).await[0]
        .clone()
        .unwrap();
    let mut back = subscribe(&hub, &interests, Since::Cursor(own)).await;
    assert_eq!(words(&read(&mut back, 2).await), ["/a>6 Recreated", "/a:6"]);
    assert_eq!(words(&read(&mut live, 2).await), ["/a>6 Recreated", "/a:6"]);
    hub.close().await;
    log.close().await;
}
