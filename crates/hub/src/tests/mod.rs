//! A hub over a log by script, under paused time.

mod ending;
mod hopping;
mod memory;
mod placing;
mod reading;
mod script;
mod waiting;

use std::{sync::Arc, time::Duration};

use halley_shard::{Budget, Cursor, Gap, GapReason, Interest, Retained, Revision, ShardId, Since};

use crate::{Delivery, Hub, HubConfig, SubscribeError, SubscribeRequest, Subscription};
use script::{Link, ScriptLog, Source, channel, env, pattern};

const ALL: Budget = Budget {
    items: 10_000,
    bytes: 1 << 30,
    scanned: 1 << 20,
};
const PATIENCE: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_secs(30);

fn hub(link: &Arc<Link>) -> Hub {
    let config = HubConfig {
        patience: PATIENCE,
        linger: LINGER,
    };
    Hub::start(Arc::new(ScriptLog(Arc::clone(link))), env(), config)
}

fn request(interests: &[Interest], since: Since) -> SubscribeRequest {
    let interests = interests.to_vec();
    SubscribeRequest {
        interests,
        since,
        tell_foreign: false,
        unreadable: false,
    }
}

async fn subscribe(hub: &Hub, interests: &[Interest], since: Since) -> Subscription {
    hub.subscribe(request(interests, since)).await.unwrap()
}

async fn refused(hub: &Hub, interests: &[Interest], since: Since) -> SubscribeError {
    hub.subscribe(request(interests, since)).await.unwrap_err()
}

/// What was given, in few words: `/a:1` an event, `/a>3 Trimmed` a gap.
fn words(given: &[Delivery]) -> Vec<String> {
    let word = |delivery: &Delivery| match delivery {
        Delivery::Event { event, .. } => {
            format!("{}:{}", event.event().channel(), event.event().offset())
        }
        Delivery::Gap {
            gap:
                Gap {
                    subject,
                    next,
                    reason,
                    ..
                },
            ..
        } => {
            let subject = match subject {
                Interest::Channel(name) => name.as_str().to_owned(),
                Interest::Pattern(pattern) => pattern.as_str().to_owned(),
            };
            let next = next.map_or(String::new(), |next| next.to_string());
            format!("{subject}>{next} {reason:?}")
        }
    };
    given.iter().map(word).collect()
}

fn cursor_of(delivery: &Delivery) -> &Cursor {
    match delivery {
        Delivery::Event { cursor, .. } | Delivery::Gap { cursor, .. } => cursor,
    }
}

/// Reads until `count` items have come.
async fn read(subscription: &mut Subscription, count: usize) -> Vec<Delivery> {
    let mut given = Vec::new();
    while given.len() < count {
        given.extend(subscription.next(ALL).await.unwrap());
    }
    given
}

/// Lets every task that can go on do so; time does not pass.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Nothing is there, and nothing comes for as long as a reader would wait.
async fn nothing_comes(subscription: &mut Subscription) {
    settle().await;
    let given = tokio::time::timeout(Duration::from_secs(60), subscription.next(ALL)).await;
    assert!(given.is_err(), "{given:?}");
}
