//! `Publish`, `PublishBatch`, `DeleteChannel`.

use std::{collections::BTreeSet, time::Duration};

use halley_shard::{ChannelName, Publication, limits as shard_limits};
use halley_wire::{Code, Rejection, publish};
use prost::Message;

use super::{Broker, channel, forms};
use crate::{
    limits,
    proto::v1::{self, publish_outcome::Outcome},
    status,
};

/// Refuses a request beyond what a publish body may be.
pub(super) fn check_size(request: &impl Message) -> Result<(), Rejection> {
    let bytes = request.encoded_len();
    if bytes > limits::REQUEST_BYTES_MAX {
        return Err(Rejection::new(
            Code::PayloadTooLarge,
            format!(
                "the request has {bytes} bytes, at most {} are allowed",
                limits::REQUEST_BYTES_MAX
            ),
        ));
    }
    Ok(())
}

/// A publish outside of a stream, checked.
fn check(broker: &Broker, request: v1::PublishRequest) -> Result<Publication, Rejection> {
    if request.sequence != 0 {
        return Err(Rejection::new(
            Code::ParameterInvalid,
            "sequence is given outside of PublishStream",
        ));
    }
    publish::check(
        forms::publish_form(request),
        broker.config.payload_bytes_max,
    )
}

pub(super) async fn one(
    broker: &Broker,
    request: v1::PublishRequest,
    deadline: Duration,
) -> Result<v1::PublishResult, Rejection> {
    check_size(&request)?;
    let publication = check(broker, request)?;
    let channel = publication.channel.as_str().to_owned();
    let mut results = broker.publisher.publish(vec![publication], deadline).await;
    let result = results.pop().expect("a result for each publication");
    let (published, place) = result.map_err(|error| status::of_publish(&error))?;
    Ok(forms::result(channel, published, &place))
}

pub(super) async fn batch(
    broker: &Broker,
    request: v1::PublishBatchRequest,
    deadline: Duration,
) -> Result<v1::PublishBatchResponse, Rejection> {
    check_size(&request)?;
    let count = request.events.len();
    if count == 0 {
        return Err(Rejection::new(Code::BodyInvalid, "the batch is empty"));
    }
    if count > shard_limits::BATCH_EVENTS_MAX {
        return Err(Rejection::new(
            Code::PayloadTooLarge,
            format!(
                "{count} events in one batch, at most {} are allowed",
                shard_limits::BATCH_EVENTS_MAX
            ),
        ));
    }
    let channels: Vec<String> = request
        .events
        .iter()
        .map(|event| event.channel.clone())
        .collect();
    let (checked, publications) = check_all(broker, request.events);
    let mut published = if publications.is_empty() {
        Vec::new()
    } else {
        broker.publisher.publish(publications, deadline).await
    }
    .into_iter();
    let results = channels.into_iter().zip(checked).map(|(channel, checked)| {
        let outcome = match checked {
            Ok(()) => {
                let result = published.next().expect("a result for each publication");
                result.map_err(|error| status::of_publish(&error))
            }
            Err(rejection) => Err(rejection),
        };
        let outcome = match outcome {
            Ok((published, place)) => {
                Outcome::Result(forms::result(channel.clone(), published, &place))
            }
            Err(rejection) => Outcome::Error(status::in_answer(rejection)),
        };
        v1::PublishOutcome {
            outcome: Some(outcome),
            channel,
        }
    });
    Ok(v1::PublishBatchResponse {
        results: results.collect(),
    })
}

/// For each event whether it may be published, and those that may. After an event that may not, the later ones of
/// its channel are `aborted`: they would otherwise stand before it when it is sent again.
fn check_all(
    broker: &Broker,
    events: Vec<v1::PublishRequest>,
) -> (Vec<Result<(), Rejection>>, Vec<Publication>) {
    let mut publications = Vec::with_capacity(events.len());
    let mut failed: BTreeSet<ChannelName> = BTreeSet::new();
    let checked = events
        .into_iter()
        .map(|event| {
            let name = ChannelName::parse(&event.channel).ok();
            if name.as_ref().is_some_and(|name| failed.contains(name)) {
                return Err(status::of_publish(&halley_shard::Refusal::Aborted.into()));
            }
            check(broker, event)
                .map(|publication| publications.push(publication))
                .inspect_err(|_| failed.extend(name))
        })
        .collect();
    (checked, publications)
}

pub(super) async fn delete(
    broker: &Broker,
    request: &v1::DeleteChannelRequest,
    deadline: Duration,
) -> Result<v1::DeleteChannelResponse, Rejection> {
    let channel = channel(&request.channel)?;
    let deleted = broker.publisher.delete(channel, deadline).await;
    let deleted = deleted.map_err(|error| status::of_publish(&error))?;
    Ok(v1::DeleteChannelResponse {
        existed: deleted.existed,
        cursor: halley_wire::cursor::format(&deleted.cursor),
    })
}
