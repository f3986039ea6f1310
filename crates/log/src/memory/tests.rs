//! The memory log, by itself and behind the follow protocol, passes the suite.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use halley_env::{Env, Rng, SystemClock, TokioSpawn};
use halley_shard::{ChannelName, Content, Publication};

use super::*;
use crate::{
    Publisher, RemoteLog, Upstream,
    conformance::{self, Link, SHORT_FEED, Subject, Wanted, Weather},
};

/// A seeded generator (splitmix64).
#[derive(Debug)]
struct Seeded(AtomicU64);

impl Rng for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

fn env(seed: u64) -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        rng: Arc::new(Seeded(AtomicU64::new(seed))),
        spawn: Arc::new(TokioSpawn),
    }
}

fn memory(wanted: Wanted, env: &Env) -> Arc<MemoryLog> {
    let config = MemoryConfig {
        cluster: ClusterId::new(env.rng.next_u64()),
        shards: ShardCount::new(2).expect("two is a number of shards"),
        settings: conformance::settings(),
    };
    match wanted {
        Wanted::Plain => MemoryLog::start(config, env.clone()),
        Wanted::ShortFeed => MemoryLog::keeping(config, env.clone(), SHORT_FEED),
    }
}

/// A memory log behind links, and the links.
fn remote(wanted: Wanted, links: usize, seed: u64) -> (Subject, Vec<Arc<Link>>) {
    let env = env(seed);
    let log = memory(wanted, &env);
    let link = |_| Link::new(Arc::clone(&log) as Arc<dyn ShardLog>, env.clone());
    let links: Vec<_> = (0..links).map(link).collect();
    let upstreams = links
        .iter()
        .map(|link| Arc::new(Arc::clone(link)) as Arc<dyn Upstream>);
    let log = RemoteLog::new(upstreams.collect(), env.clone());
    (Subject { log, env }, links)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn slow() -> Weather {
    Weather {
        delay_min: ms(1),
        delay_max: ms(40),
        ..Weather::default()
    }
}

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    conformance::all(async |wanted| {
        let env = env(1);
        Subject {
            log: memory(wanted, &env),
            env,
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn memory_behind_the_follow_protocol_conforms() {
    conformance::all(async |wanted| remote(wanted, 1, 2).0).await;
}

#[tokio::test(start_paused = true)]
async fn memory_behind_a_slow_link_conforms() {
    conformance::all(async |wanted| {
        let (subject, links) = remote(wanted, 1, 3);
        links[0].set_weather(slow());
        subject
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_over_a_link_that_is_cut_again_and_again() {
    for seed in 10..20 {
        let (subject, links) = remote(Wanted::Plain, 1, seed);
        let env = subject.env.clone();
        let begun_anew = conformance::survives_disturbance(&subject, async {
            for round in 0..10_u8 {
                env.clock.sleep(ms(env.rng.below(200))).await;
                links[0].set_weather(Weather {
                    cut: true,
                    ..slow()
                });
                env.clock.sleep(ms(env.rng.below(300))).await;
                links[0].set_weather(Weather {
                    answers_lost_percent: round * 5,
                    ..slow()
                });
            }
            links[0].set_weather(Weather::default());
        })
        .await;
        assert!(begun_anew > 0, "seed {seed} disturbed nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_while_upstreams_take_turns() {
    for seed in 20..30 {
        let (subject, links) = remote(Wanted::Plain, 2, seed);
        let env = subject.env.clone();
        let begun_anew = conformance::survives_disturbance(&subject, async {
            for round in 0..12 {
                let (down, up) = (&links[round % 2], &links[(round + 1) % 2]);
                up.set_weather(slow());
                down.set_weather(Weather {
                    cut: true,
                    ..slow()
                });
                env.clock.sleep(ms(env.rng.below(400))).await;
            }
            links
                .iter()
                .for_each(|link| link.set_weather(Weather::default()));
        })
        .await;
        assert!(begun_anew > 0, "seed {seed} disturbed nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_by_a_follower_that_falls_behind() {
    for seed in 30..34 {
        let env = env(seed);
        let memory = memory(Wanted::ShortFeed, &env) as Arc<dyn ShardLog>;
        let link = Link::new(Arc::clone(&memory), env.clone());
        link.set_weather(slow());
        let log = RemoteLog::new(vec![Arc::new(link)], env.clone());
        let subject = Subject {
            log,
            env: env.clone(),
        };
        let flooding = Publisher::new(memory, env.clone());
        let begun_anew = conformance::survives_disturbance(&subject, async {
            for _ in 0..10 {
                env.clock.sleep(ms(100 + env.rng.below(100))).await;
                for number in 0..SHORT_FEED * 4 {
                    flooding.publish(vec![noise(number % 8)], ms(1_000)).await;
                }
            }
        })
        .await;
        assert!(begun_anew > 0, "seed {seed}: nobody fell behind");
    }
}

fn noise(number: usize) -> Publication {
    let channel = ChannelName::parse(&format!("/noise/{number}")).expect("a name");
    let content = Content {
        content_type: "text/plain".into(),
        ..Content::default()
    };
    Publication {
        channel,
        content,
        key: None,
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_followers_and_refuses_commands() {
    let env = env(4);
    let log = memory(Wanted::Plain, &env);
    let shard = ShardId::new(0);
    let mut following = log.follow(shard);
    following.next().await.expect("where the head is");
    let (ended, ()) = tokio::join!(following.next(), log.close());
    assert!(matches!(ended, Err(crate::FollowEnd::Lost(_))));
    let tick = codec::encode_command(&Command::Tick);
    assert_eq!(
        log.submit(shard, tick, ms(1)).await,
        Err(LogError::Draining)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_does_not_exist_has_no_leader() {
    let env = env(5);
    let log = memory(Wanted::Plain, &env);
    let shard = ShardId::new(9);
    let no_leader = LogError::NoLeader { shard };
    assert_eq!(log.barrier(shard, ms(1)).await, Err(no_leader.clone()));
    let tick = codec::encode_command(&Command::Tick);
    assert_eq!(log.submit(shard, tick, ms(1)).await, Err(no_leader));
}
