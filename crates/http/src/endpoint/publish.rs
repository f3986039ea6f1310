//! `/v1/publish`: one event as the body, or one or many as JSON.
//!
//! Invariant: every item has its own result, in order; once an event of a channel is refused, the later ones
//! of that channel are not published.

use bytes::Bytes;
use halley_log::PublishError;
use halley_shard::{ChannelName, Cursor, Publication, Published};
use halley_wire::{
    Code, Rejection,
    answer::{ResultForm, result, results},
    cursor::format,
    publish::{PublishForm, channels_named, check, parse_json},
    request::channel_in_path,
};
use hyper::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use crate::{
    answer::{Answer, JSON, whole},
    front::Front,
    reject::{Reject, rejection_of_publish},
};

mod fields;

use fields::Fields;

/// `POST /v1/publish/<channel>`: the body is the data.
pub(crate) async fn single(
    front: &Front,
    headers: &HeaderMap,
    path: &str,
    data: Bytes,
) -> Result<Answer, Reject> {
    let channel = channel_in_path(path)?;
    let fields = Fields::read(headers)?;
    let form = PublishForm {
        channel: channel.as_str().to_owned(),
        data,
        content_type: fields::text(headers, &CONTENT_TYPE)?,
        event_type: fields.event_type,
        id: fields.id,
        headers: fields.headers,
        key: fields.key,
        producer: fields.producer,
    };
    one(front, form).await
}

/// `POST /v1/publish`: the body is a JSON object, or an array of them.
pub(crate) async fn json(
    front: &Front,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Answer, Reject> {
    fields::check_json(headers)?;
    let fields = Fields::read(headers)?;
    let (mut items, is_array) = parse_json(&body)?;
    fields.merge(&mut items, is_array)?;
    if is_array {
        return many(front, &body, items).await;
    }
    let form = items.pop().expect("what is no array is one object")?;
    one(front, form).await
}

async fn one(front: &Front, form: PublishForm) -> Result<Answer, Reject> {
    let publication = check(form, front.config().payload_bytes_max)?;
    front.admit()?;
    let channel = publication.channel.clone();
    let published = publish(front, vec![publication]).await.pop();
    let form = form_of(&channel, published.expect("one publication has one result"));
    match form.outcome {
        Ok(_) => Ok(whole(StatusCode::OK, JSON, result(&form))),
        Err(rejection) => Err(rejection.into()),
    }
}

async fn many(
    front: &Front,
    body: &Bytes,
    items: Vec<Result<PublishForm, Rejection>>,
) -> Result<Answer, Reject> {
    front.admit()?;
    let mut forms: Vec<ResultForm> = Vec::with_capacity(items.len());
    let mut places = Vec::with_capacity(items.len());
    let mut publications = Vec::with_capacity(items.len());
    let names = names(body, &items);
    for (index, (item, name)) in items.into_iter().zip(names).enumerate() {
        let refused_before = !name.is_empty()
            && forms
                .iter()
                .any(|form| form.channel == name && form.outcome.is_err());
        let checked = match item {
            _ if refused_before => Err(aborted()),
            Ok(form) => check(form, front.config().payload_bytes_max),
            Err(rejection) => Err(rejection),
        };
        let outcome = match checked {
            Ok(publication) => {
                places.push(index);
                publications.push(publication);
                Ok((0, String::new(), false))
            }
            Err(rejection) => Err(rejection),
        };
        forms.push(ResultForm {
            channel: name,
            outcome,
        });
    }
    if !publications.is_empty() {
        let published = publish(front, publications).await;
        for (place, published) in places.into_iter().zip(published) {
            forms[place].outcome = outcome(published);
        }
    }
    Ok(whole(StatusCode::OK, JSON, results(&forms)))
}

async fn publish(
    front: &Front,
    publications: Vec<Publication>,
) -> Vec<Result<(Published, Cursor), PublishError>> {
    front
        .publisher()
        .publish(publications, front.config().publish_time)
        .await
}

fn form_of(
    channel: &ChannelName,
    published: Result<(Published, Cursor), PublishError>,
) -> ResultForm {
    ResultForm {
        channel: channel.as_str().to_owned(),
        outcome: outcome(published),
    }
}

fn outcome(
    published: Result<(Published, Cursor), PublishError>,
) -> Result<(u64, String, bool), Rejection> {
    match published {
        Ok((place, cursor)) => Ok((place.offset.get(), format(&cursor), place.duplicate)),
        Err(error) => Err(rejection_of_publish(&error)),
    }
}

fn aborted() -> Rejection {
    let refusal = halley_shard::Refusal::Aborted;
    Rejection::new(Code::Aborted, refusal.to_string())
}

/// The channel of each item as it was written, for the results; empty where an item names none.
fn names(body: &Bytes, items: &[Result<PublishForm, Rejection>]) -> Vec<String> {
    // Only a refused item hides its channel.
    let mut written = if items.iter().all(Result::is_ok) {
        Vec::new()
    } else {
        channels_named(body)
    };
    let name = |(index, item): (usize, &Result<PublishForm, Rejection>)| match item {
        Ok(form) => form.channel.clone(),
        Err(_) => written
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default(),
    };
    items.iter().enumerate().map(name).collect()
}
