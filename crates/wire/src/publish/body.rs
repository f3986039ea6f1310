//! The JSON form of a publish: `POST /v1/publish`.
//!
//! Invariant: `data` keeps the text it came as, and shares the body's bytes.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use halley_shard::limits::BATCH_EVENTS_MAX;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{PublishForm, invalid, size};
use crate::{
    Code, Rejection, json, limits,
    media::{self, Kind},
};

/// The standard alphabet, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    channel: String,
    #[serde(default, borrow, deserialize_with = "given")]
    data: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
    content_type: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    id: Option<String>,
    #[serde(default)]
    headers: Pairs,
    key: Option<String>,
    producer: Option<String>,
}

/// A member that is there, `null` included.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The members of an object of strings, in order, however often each.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Reads the body of `POST /v1/publish`: one JSON object or an array of 1 to [`BATCH_EVENTS_MAX`] of them, members
/// `channel, data | text | base64, content_type, type, id, headers, key, producer`; unknown members are
/// `body_invalid`. The outer error refuses the whole body; an inner one is that item's. `bool`: it was an array.
///
/// # Errors
/// `body_invalid` for what is neither; `payload_too_large` beyond [`limits::BODY_BYTES_MAX`] or that many items;
/// `parameter_invalid` for `data` beside `text` or `base64`, or with a media type that is not JSON.
pub fn parse_json(body: &Bytes) -> Result<(Vec<Result<PublishForm, Rejection>>, bool), Rejection> {
    size("body", body.len(), limits::BODY_BYTES_MAX)?;
    let text = json::text(body)?;
    if !text.trim_ascii_start().starts_with('[') {
        let form = item(body, text)?;
        return Ok((vec![Ok(form)], false));
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    match items.len() {
        0 => Err(Rejection::new(Code::BodyInvalid, "the array is empty")),
        1..=BATCH_EVENTS_MAX => Ok((
            items
                .into_iter()
                .map(|value| item(body, value.get()))
                .collect(),
            true,
        )),
        count => {
            let detail = format!("{count} events, at most {BATCH_EVENTS_MAX} are allowed");
            Err(Rejection::new(Code::PayloadTooLarge, detail))
        }
    }
}

/// The channel that each item of an array names, as it is written, whatever else is wrong with the item; empty
/// where there is none.
#[must_use]
pub fn channels_named(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        channel: String,
    }

    let name = |item: &RawValue| {
        let named: Named = serde_json::from_str(item.get()).ok()?;
        json::is_object(item.get()).then_some(named.channel)
    };
    let items: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    items
        .into_iter()
        .map(|item| name(item).unwrap_or_default())
        .collect()
}

fn unreadable(error: &serde_json::Error) -> Rejection {
    Rejection::new(Code::BodyInvalid, format!("not a publish in JSON: {error}"))
}

/// One object, `text` being part of `body`.
fn item(body: &Bytes, text: &str) -> Result<PublishForm, Rejection> {
    if !json::is_object(text) {
        let detail = "not a publish in JSON: an object is needed";
        return Err(Rejection::new(Code::BodyInvalid, detail));
    }
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let (data, default_type) = match (members.data, members.text, members.base64) {
        (Some(data), None, None) => {
            if members
                .content_type
                .as_deref()
                .is_some_and(|given| Kind::of(given) != Kind::Json)
            {
                return Err(invalid(
                    "`data` is JSON, another content_type needs `text` or `base64`",
                ));
            }
            (body.slice_ref(data.get().as_bytes()), media::JSON)
        }
        (None, Some(text), None) => (Bytes::from(text), media::TEXT),
        (None, None, Some(base64)) => {
            let bytes = BASE64.decode(base64).map_err(|error| {
                Rejection::new(
                    Code::BodyInvalid,
                    format!("`base64` cannot be read: {error}"),
                )
            })?;
            (Bytes::from(bytes), media::BINARY)
        }
        (None, None, None) => {
            let detail = "one of `data`, `text` and `base64` is needed";
            return Err(Rejection::new(Code::BodyInvalid, detail));
        }
        _ => {
            return Err(invalid(
                "only one of `data`, `text` and `base64` is allowed",
            ));
        }
    };
    Ok(PublishForm {
        channel: members.channel,
        data,
        content_type: Some(
            members
                .content_type
                .unwrap_or_else(|| default_type.to_owned()),
        ),
        event_type: members.event_type,
        id: members.id,
        headers: members.headers.0,
        key: members.key,
        producer: members.producer,
    })
}
