//! Subscribers: each carries one cursor between all replicas and the edge, reads a little, lingers, leaves, comes
//! back.
//!
//! Invariant: a cursor outlives whoever gave it out.

use std::{rc::Rc, time::Duration};

use halley_env::Rng as _;
use halley_hub::{Delivery, EndReason, Hub, SubscribeRequest};
use halley_shard::{Budget, ChannelPattern, GapReason, Interest, Retained as _, Selection, Since};

use crate::{broker::Broker, node::Role, oracle::Witness, publishers, seeded::SeededRng};

/// One subscriber's whole life; `Ok` when it saw everything, in order, or was told.
pub(crate) async fn run(broker: Rc<Broker>, index: u64) -> Result<(), String> {
    let rng = SeededRng::new(broker.plan.seed ^ (0x7375_6200 + index));
    let earliest = rng.chance(60);
    let mut life = Life {
        interests: interests(&rng, broker.plan.channels),
        witness: Witness::new(broker.oracle.clone(), earliest),
        since: if earliest {
            Since::Earliest
        } else {
            Since::Latest
        },
        name: format!("s{index}"),
        broker,
        rng,
    };
    while !life.broker.calm() {
        if let Some(role) = life.broker.pick(&life.rng) {
            life.visit(&role).await?;
        }
        tokio::time::sleep(life.rng.millis(0, 300)).await;
    }
    // Faults are over: everything must come, through whomever.
    let role = life.broker.pick(&life.rng);
    let role = role.ok_or("nobody serves in calm")?;
    life.finish(&role.hub).await
}

struct Life {
    broker: Rc<Broker>,
    rng: SeededRng,
    name: String,
    interests: Vec<Interest>,
    witness: Witness,
    since: Since,
}

/// One to three channels, sometimes a pattern beside or instead of them.
fn interests(rng: &SeededRng, channels: u64) -> Vec<Interest> {
    let pattern = |text: &str| Interest::Pattern(ChannelPattern::parse(text).expect("valid"));
    let mut interests = Vec::new();
    if rng.chance(40) {
        interests.push(pattern(
            ["/**", "/c0/*", "/c1/*", "/c2/**"][rng.below(4) as usize],
        ));
    }
    if interests.is_empty() || rng.chance(30) {
        let count = rng.between(1, 3);
        interests.extend(
            (0..count).map(|_| Interest::Channel(publishers::channel(rng.below(channels)))),
        );
    }
    interests
}

impl Life {
    fn budget(&self) -> Budget {
        Budget {
            items: self.rng.between(1, 12) as usize,
            bytes: self.rng.between(1, 4_000) as usize,
            scanned: self.rng.between(1, 100) as usize,
        }
    }

    /// Opens a subscription with the cursor in hand, reads for a while, takes the cursor away.
    async fn visit(&mut self, role: &Role) -> Result<(), String> {
        let request = SubscribeRequest {
            interests: self.interests.clone(),
            since: self.since.clone(),
            tell_foreign: false,
            unreadable: false,
        };
        let first = !matches!(self.since, Since::Cursor(_));
        let mut subscription = match role.hub.subscribe(request).await {
            Ok(subscription) => subscription,
            Err(error) => {
                self.say(&format!("not subscribed: {error}"));
                return Ok(());
            }
        };
        if first {
            self.witness.opened();
        }
        let stay = tokio::time::Instant::now() + self.rng.millis(0, 1_500);
        loop {
            let budget = self.budget();
            let next = tokio::select! {
                biased;
                () = role.process.gone() => {
                    self.say("is cut off");
                    break;
                }
                next = tokio::time::timeout_at(stay, subscription.next(budget)) => next,
            };
            match next {
                Ok(Ok(deliveries)) => self.take(deliveries)?,
                Ok(Err(EndReason::CursorAhead)) => return Err("cursor_ahead".to_owned()),
                Ok(Err(end)) => {
                    self.say(&format!("ended: {end:?}"));
                    break;
                }
                Err(_) => break,
            }
            // A slow reader, now and then.
            if self.rng.chance(20) {
                tokio::time::sleep(self.rng.millis(0, 800)).await;
            }
        }
        let text = halley_wire::cursor::format(&subscription.cursor());
        let cursor = halley_wire::cursor::parse(&text).map_err(|error| error.to_string())?;
        self.say(&format!("leaves with {text}"));
        self.since = Since::Cursor(cursor);
        Ok(())
    }

    /// Reads until this copy has reached the log's head and there is nothing more.
    async fn finish(&mut self, hub: &Hub) -> Result<(), String> {
        let request = SubscribeRequest {
            interests: self.interests.clone(),
            since: self.since.clone(),
            tell_foreign: false,
            unreadable: false,
        };
        let mut subscription = hub
            .subscribe(request)
            .await
            .map_err(|error| error.to_string())?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let budget = self.budget();
            let taken = match subscription.take(budget) {
                Ok(taken) => taken,
                Err(end) => return Err(format!("ended in calm: {end:?}")),
            };
            if taken.is_empty() && self.held(&mut subscription).await {
                break;
            }
            self.take(taken)?;
            if tokio::time::Instant::now() > deadline {
                return Err(format!("{} did not settle within 60 s", self.name));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let selection = Selection::new(self.interests.clone());
        let mine = (0..self.broker.plan.channels).map(publishers::channel);
        self.witness.settles(
            mine.filter(|channel| selection.matches(channel))
                .map(|name| name.to_string()),
        )
    }

    /// Whether the subscription has reached the log's head, not only gone quiet.
    async fn held(&self, subscription: &mut halley_hub::Subscription) -> bool {
        let cursor = subscription.cursor();
        self.broker.reached(&cursor).await
    }

    fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), String> {
        for delivery in deliveries {
            match delivery {
                Delivery::Event { event, .. } => self.event(event.event())?,
                Delivery::Gap { gap, .. } => self.gap(&gap)?,
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &halley_shard::Event) -> Result<(), String> {
        let value = std::str::from_utf8(event.data())
            .ok()
            .and_then(|text| text.parse().ok());
        let value = value.ok_or("unreadable data")?;
        let (channel, offset) = (event.channel().as_str(), event.offset().get());
        self.say(&format!("{channel} {offset} = {value}"));
        let seen = self.witness.event(channel, offset, value);
        seen.map_err(|why| format!("{}: {why}", self.name))
    }

    fn gap(&mut self, gap: &halley_shard::Gap) -> Result<(), String> {
        self.say(&format!(
            "gap {:?} {:?} {:?}",
            gap.subject, gap.reason, gap.next
        ));
        let told = match (&gap.subject, gap.next, gap.reason) {
            (Interest::Channel(name), Some(next), reason) => {
                let recreated = reason == GapReason::Recreated;
                self.witness.gap(name.as_str(), next.get(), recreated)
            }
            (subject, None, GapReason::Unknown) => {
                let all = (0..self.broker.plan.channels).map(publishers::channel);
                let meant = all.filter(|channel| subject.matches(channel));
                self.witness
                    .unknown(meant.map(|channel| channel.to_string()));
                Ok(())
            }
            _ => Err(format!("a gap without sense: {gap:?}")),
        };
        told.map_err(|why| format!("{}: {why}", self.name))
    }

    fn say(&self, what: &str) {
        self.broker
            .trace
            .say(format_args!("{}", self.name), format_args!("{what}"));
    }
}
