//! The parameters of a request as they were given, by query string or JSON body, before anybody asks what they say.
//!
//! Invariant: each single-valued one is given at most once, wherever it came from.

use serde::Deserialize;
use serde_json::Number;

use super::{decode, invalid};
use crate::{Code, Rejection, json, limits};

/// What was given, decoded.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) channels: Vec<String>,
    pub(super) since: Option<String>,
    /// `Err` when it cannot even be decoded: some transports tell that instead of refusing it.
    pub(super) last_event_id: Option<Result<String, Undecodable>>,
    pub(super) wait: Option<String>,
    pub(super) limit: Option<String>,
    pub(super) format: Option<String>,
    pub(super) padding: Option<String>,
    pub(super) dialect: Option<String>,
    pub(super) consistency: Option<String>,
}

/// A value whose percent-encoding is broken, or that is no UTF-8.
#[derive(Debug)]
pub(super) struct Undecodable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    channels: Option<Vec<String>>,
    since: Option<String>,
    wait: Option<Number>,
    limit: Option<Number>,
}

impl Given {
    /// Reads a query string as forms write it (`application/x-www-form-urlencoded`). Unknown names are ignored.
    pub(super) fn of_query(query: &str) -> Result<Self, Rejection> {
        let mut given = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = decode_form(name) else {
                continue;
            };
            given.take(&name, decode_form(value).ok_or(Undecodable))?;
        }
        Ok(given)
    }

    fn take(&mut self, name: &str, value: Result<String, Undecodable>) -> Result<(), Rejection> {
        let code = match name {
            "channel" => Code::ChannelInvalid,
            "since" => Code::CursorInvalid,
            _ => Code::ParameterInvalid,
        };
        let text = |value: Result<String, Undecodable>| {
            value.map_err(|Undecodable| {
                let detail = format!("{name}: its percent-encoding is broken or no UTF-8");
                Rejection::new(code, detail)
            })
        };
        match name {
            "channel" => self.channels.push(text(value)?),
            "since" => once(name, &mut self.since, text(value)?)?,
            "lastEventId" => once(name, &mut self.last_event_id, value)?,
            "wait" => once(name, &mut self.wait, text(value)?)?,
            "limit" => once(name, &mut self.limit, text(value)?)?,
            "format" => once(name, &mut self.format, text(value)?)?,
            "padding" => once(name, &mut self.padding, text(value)?)?,
            "dialect" => once(name, &mut self.dialect, text(value)?)?,
            "consistency" => once(name, &mut self.consistency, text(value)?)?,
            "token" => return Err(invalid("tokens are not supported yet, so none is accepted")),
            _ => {}
        }
        Ok(())
    }

    /// Adds the members of `POST /v1/poll`.
    pub(super) fn add_body(&mut self, body: &[u8]) -> Result<(), Rejection> {
        let (bytes, bytes_max) = (body.len(), limits::BODY_BYTES_MAX);
        if bytes > bytes_max {
            let detail = format!("body has {bytes} bytes, at most {bytes_max} are allowed");
            return Err(Rejection::new(Code::PayloadTooLarge, detail));
        }
        let text = json::text(body)?;
        if !json::is_object(text) {
            let detail = "not a subscribe request in JSON: an object is needed";
            return Err(Rejection::new(Code::BodyInvalid, detail));
        }
        let body: Body = serde_json::from_str(text).map_err(|error| {
            Rejection::new(
                Code::BodyInvalid,
                format!("not a subscribe request in JSON: {error}"),
            )
        })?;
        if let Some(channels) = body.channels {
            if !self.channels.is_empty() {
                return Err(invalid(
                    "channels are named both in the query and in the body",
                ));
            }
            self.channels = channels;
        }
        let members = [
            ("since", &mut self.since, body.since),
            (
                "wait",
                &mut self.wait,
                body.wait.map(|number| number.to_string()),
            ),
            (
                "limit",
                &mut self.limit,
                body.limit.map(|number| number.to_string()),
            ),
        ];
        for (name, place, value) in members {
            if let Some(value) = value {
                once(name, place, value)?;
            }
        }
        Ok(())
    }
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), Rejection> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("{name} is given twice"))),
    }
}

/// Form encoding writes a space as `+`.
fn decode_form(text: &str) -> Option<String> {
    if text.contains('+') {
        decode(&text.replace('+', " "))
    } else {
        decode(text)
    }
}
