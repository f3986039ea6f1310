//! The stock quotes of the demo: a random walk, published as any back end would, by the public gRPC API.

use std::{net::SocketAddr, time::Duration};

use halley_client::{Client, Publish};
use halley_env::{Env, Rng, Task};
use serde::Serialize;

/// One quote about every tenth of a second, all symbols together.
const PAUSE: Duration = Duration::from_millis(100);
/// Hundredths; where the walks begin.
const OPENING: [(&str, u64); 8] = [
    ("goog", 18_150),
    ("aapl", 22_730),
    ("msft", 41_520),
    ("amzn", 18_640),
    ("nvda", 12_180),
    ("ibm", 19_870),
    ("orcl", 14_260),
    ("intc", 2_315),
];
/// Hundredths; a walk never goes below.
const LEAST: u64 = 100;

#[derive(Serialize)]
struct Quote {
    symbol: &'static str,
    price: f64,
    /// Milliseconds since the Unix epoch, by the publisher's clock: the demo measures its delay from here.
    sent: u64,
}

/// Publishes until the task is dropped, through the first of `nodes` (gRPC addresses) that takes it; when that one is
/// gone through the next.
///
/// # Panics
/// Never: an address of a plan is an endpoint.
pub(super) fn start(nodes: impl IntoIterator<Item = SocketAddr>, env: &Env) -> Task {
    let nodes = nodes.into_iter().map(|node| node.to_string());
    let client = Client::connect(nodes, env.clone()).expect("a socket address is an endpoint");
    env.spawn
        .spawn("stock quotes", Box::pin(publish(client, env.clone())))
}

async fn publish(client: Client, env: Env) {
    let mut prices = OPENING;
    let stream = client.publish_stream();
    loop {
        let index = usize::try_from(env.rng.below(OPENING.len() as u64)).unwrap_or_default();
        let (symbol, hundredths) = &mut prices[index];
        *hundredths = step(*hundredths, env.rng.as_ref());
        let quote = Quote {
            symbol,
            price: dollars(*hundredths),
            sent: env.clock.wall_ms(),
        };
        let data = serde_json::to_vec(&quote).expect("texts and numbers are JSON");
        let event = Publish {
            event_type: Some("quote".into()),
            ..Publish::json(format!("/demo/stocks/{symbol}"), data)
        };
        // Its receipt is dropped: the stream itself sends again, to the next node, what one did not answer.
        if stream.send(event).await.is_err() {
            return;
        }
        env.clock.sleep(PAUSE).await;
    }
}

/// Up or down by at most half a percent, and by at least a hundredth now and then.
fn step(hundredths: u64, rng: &dyn Rng) -> u64 {
    let most = hundredths / 200 + 1;
    (hundredths + rng.below(2 * most + 1))
        .saturating_sub(most)
        .max(LEAST)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "prices are far below 2^53 hundredths"
)]
fn dollars(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use halley_env::SystemRng;

    use super::*;

    #[test]
    fn a_walk_moves_a_little_and_stays_a_price() {
        let mut price = LEAST;
        let mut moved = false;
        for _ in 0..10_000 {
            let next = step(price, &SystemRng);
            assert!(next >= LEAST && next.abs_diff(price) <= price / 200 + 1);
            moved |= next != price;
            price = next;
        }
        assert!(moved);
    }
}
