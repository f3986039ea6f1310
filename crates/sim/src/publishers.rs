//! Publishers: through any replica or the edge, with and without keys, patient.
//!
//! Invariant: a publish whose node went before it answered is one of unknown outcome.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use halley_env::Rng as _;
use halley_log::{LogError, PublishError};
use halley_shard::{ChannelName, Content, IdempotencyKey, Publication};

use crate::{broker::Broker, seeded::SeededRng};

const DEADLINE: Duration = Duration::from_secs(5);

/// Publishes what the plan says; ends once everything has an outcome.
pub(crate) async fn run(broker: Rc<Broker>, index: u64) -> Result<(), String> {
    let plan = broker.plan.clone();
    let rng = SeededRng::new(plan.seed ^ (0x7075_6200 + index));
    for number in 0..plan.publishes {
        tokio::time::sleep(rng.millis(0, plan.pause_ms)).await;
        let channel = channel(rng.below(plan.channels));
        let value = index * 1_000_000 + number + 1;
        let key = rng.chance(50).then(|| value.to_string());
        publish(&broker, &rng, &channel, value, key).await?;
        if plan.delete_one_in > 0 && rng.below(plan.delete_one_in) == 0 {
            broker
                .trace
                .say(format_args!("p{index}"), format_args!("deletes {channel}"));
            if let Some(role) = broker.pick(&rng) {
                // Its outcome does not matter: whoever reads is told of a gap or of nothing.
                tokio::select! {
                    biased;
                    () = role.process.gone() => {}
                    _ = role.publisher.delete(channel, DEADLINE) => {}
                }
            }
        }
    }
    Ok(())
}

/// The channel of a number.
pub(crate) fn channel(index: u64) -> ChannelName {
    ChannelName::parse(&format!("/c{}/{index}", index % 3)).expect("a valid name")
}

/// Publishes one value until it has an outcome; one without a key is not sent again once it may have
/// been stored.
async fn publish(
    broker: &Broker,
    rng: &SeededRng,
    channel: &ChannelName,
    value: u64,
    key: Option<String>,
) -> Result<(), String> {
    let content = Content {
        content_type: "application/json".to_owned(),
        data: Bytes::from(value.to_string()),
        ..Content::default()
    };
    let key = key.map(|key| IdempotencyKey {
        scope: String::new(),
        key,
    });
    let publication = Publication {
        channel: channel.clone(),
        content,
        key: key.clone(),
    };
    loop {
        let Some(role) = broker.pick(rng) else {
            tokio::time::sleep(rng.millis(50, 500)).await;
            continue;
        };
        broker.oracle.sends(value);
        let publishing = role.publisher.publish(vec![publication.clone()], DEADLINE);
        let result = tokio::select! {
            biased;
            () = role.process.gone() => Some(Err(PublishError::Log(LogError::UnknownOutcome))),
            mut results = publishing => results.pop(),
        };
        let who = format_args!("pub");
        match result {
            Some(Ok((published, _))) => {
                let offset = published.offset.get();
                broker
                    .trace
                    .say(who, format_args!("{channel} {offset} = {value}"));
                return broker.oracle.acknowledged(channel.as_str(), offset, value);
            }
            Some(Err(PublishError::Log(LogError::UnknownOutcome))) if key.is_none() => {
                broker.trace.say(who, format_args!("{channel} ? = {value}"));
                return Ok(());
            }
            Some(Err(error)) => {
                broker
                    .trace
                    .say(who, format_args!("{channel} {value}: {error}"));
                tokio::time::sleep(rng.millis(1, 200)).await;
            }
            None => return Err("a publish without a result".to_owned()),
        }
    }
}
