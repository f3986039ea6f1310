//! Publishers: as fast as they are answered, or at a pace.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use halley_client::{Client, ClientConfig, Publish, PublishStream};
use halley_env::Env;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::support::Dev;

/// Bytes of an event.
const BYTES: usize = 256;
/// Publishers that share a connection.
const TOGETHER: usize = 16;
/// What a row is given to come up to speed.
const WARM: Duration = Duration::from_millis(750);
/// How often a pacing publisher looks at what it owes.
const PACE: Duration = Duration::from_millis(2);

/// How much is published at a time, and where to.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) in_flight: usize,
    pub(crate) channels: usize,
}

/// One stream a publisher, spread over all nodes; those of one node share connections.
fn streams(dev: &Dev, shape: Shape) -> Vec<PublishStream> {
    let nodes = dev.addresses("grpc");
    let connections = shape.publishers.div_ceil(TOGETHER).max(nodes.len());
    let client = |number: usize| {
        let config = ClientConfig {
            in_flight: shape.in_flight.min(1_024),
            ..ClientConfig::default()
        };
        let node = nodes[number % nodes.len()].clone();
        Client::with_config([node], config, Env::system()).expect("an address")
    };
    let clients: Vec<Client> = (0..connections).map(client).collect();
    let stream = |publisher: usize| clients[publisher % connections].publish_stream();
    (0..shape.publishers).map(stream).collect()
}

/// An event of `publisher`, its `count`th.
fn event(shape: Shape, publisher: usize, count: usize) -> Publish {
    let channel = (publisher * 61 + count) % shape.channels;
    let filled = format!("{{\"n\":{count},\"x\":\"{}\"}}", "x".repeat(BYTES));
    let mut data = filled.into_bytes();
    data.truncate(BYTES - 2);
    data.extend_from_slice(b"\"}");
    Publish::json(format!("/bench/{channel}"), data)
}

/// Acknowledged publishes a second.
pub(crate) async fn rate(dev: &Dev, shape: Shape, time: Duration) -> f64 {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let mut publishers = JoinSet::new();
    for (publisher, stream) in streams(dev, shape).into_iter().enumerate() {
        let (acknowledged, over) = (Arc::clone(&acknowledged), Arc::clone(&over));
        publishers.spawn(async move {
            let mut flying = VecDeque::new();
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                while flying.len() < shape.in_flight {
                    count += 1;
                    let sent = stream.send(event(shape, publisher, count)).await;
                    flying.push_back(sent.expect("the stream is there"));
                }
                let oldest = flying.pop_front().expect("something is in flight");
                oldest.await.expect("acknowledged");
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            stream.finish().await;
        });
    }
    tokio::time::sleep(WARM).await;
    let (begin, before) = (Instant::now(), acknowledged.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let count = acknowledged.load(Ordering::Relaxed) - before;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = publishers.join_next().await {
        ended.expect("a publisher does not panic");
    }
    rate
}

/// How long each of the publishes of `time` waited, at `rate` a second in all.
pub(crate) async fn paced(dev: &Dev, shape: Shape, rate: f64, time: Duration) -> Vec<Duration> {
    let begin = Instant::now();
    let each = rate / shape.publishers as f64;
    let mut publishers = JoinSet::new();
    for (publisher, stream) in streams(dev, shape).into_iter().enumerate() {
        let (flying, answers) = mpsc::unbounded_channel();
        publishers.spawn(measure(answers, begin + WARM));
        tokio::spawn(async move {
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (start, mut sent) = (Instant::now(), 0);
            while start.elapsed() < time + WARM {
                ticks.tick().await;
                let owed = (start.elapsed().as_secs_f64() * each) as usize;
                while sent < owed {
                    sent += 1;
                    let at = Instant::now();
                    let receipt = stream.send(event(shape, publisher, sent)).await;
                    let _ = flying.send((at, receipt.expect("the stream is there")));
                }
            }
            drop(flying);
            stream.finish().await;
        });
    }
    let mut times = Vec::new();
    while let Some(measured) = publishers.join_next().await {
        times.extend(measured.expect("a publisher does not panic"));
    }
    times
}

/// Awaits receipts in their order, and times those of what was sent after `from`.
async fn measure(
    mut answers: mpsc::UnboundedReceiver<(Instant, halley_client::Receipt)>,
    from: Instant,
) -> Vec<Duration> {
    let mut times = Vec::new();
    while let Some((at, receipt)) = answers.recv().await {
        receipt.await.expect("acknowledged");
        if at >= from {
            times.push(at.elapsed());
        }
    }
    times
}
