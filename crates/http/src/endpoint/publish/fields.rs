//! The header fields of a publish.

use halley_wire::{Code, Rejection, publish::PublishForm};
use hyper::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};

use crate::reject::Reject;

const EVENT_TYPE: HeaderName = HeaderName::from_static("halley-event-type");
const EVENT_ID: HeaderName = HeaderName::from_static("halley-event-id");
const PRODUCER: HeaderName = HeaderName::from_static("halley-producer");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What becomes a header of the event; the rest of the name is the header's.
const HEADER_PREFIX: &str = "halley-header-";

/// What headers may say about an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) event_type: Option<String>,
    pub(super) id: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) key: Option<String>,
    pub(super) producer: Option<String>,
}

impl Fields {
    /// Reads them.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Reject> {
        let mut own = Vec::new();
        for (name, value) in headers {
            if let Some(rest) = name.as_str().strip_prefix(HEADER_PREFIX) {
                own.push((rest.to_owned(), decode(name, value)?));
            }
        }
        Ok(Self {
            event_type: text(headers, &EVENT_TYPE)?,
            id: text(headers, &EVENT_ID)?,
            headers: own,
            key: text(headers, &IDEMPOTENCY_KEY)?,
            producer: text(headers, &PRODUCER)?,
        })
    }

    /// Gives key and producer to items in JSON that name none of their own. What a JSON object says by
    /// members cannot be said by headers as well.
    pub(super) fn merge(
        self,
        items: &mut [Result<PublishForm, Rejection>],
        is_array: bool,
    ) -> Result<(), Reject> {
        if self.event_type.is_some() || self.id.is_some() || !self.headers.is_empty() {
            let detail =
                "beside a JSON publish, type, id and headers are members, not Halley-… headers";
            return Err(invalid(detail));
        }
        if self.key.is_some() && is_array {
            return Err(invalid(
                "an Idempotency-Key header cannot be the key of a whole array",
            ));
        }
        for form in items.iter_mut().flatten() {
            give("key", &self.key, &mut form.key)?;
            give("producer", &self.producer, &mut form.producer)?;
        }
        Ok(())
    }
}

fn give(name: &str, header: &Option<String>, member: &mut Option<String>) -> Result<(), Reject> {
    if header.is_some() {
        if member.is_some() {
            return Err(invalid(&format!(
                "{name} is given both as a header and as a member"
            )));
        }
        member.clone_from(header);
    }
    Ok(())
}

/// Refuses a JSON publish that calls itself something else. Browsers call text what a page does not name.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Reject> {
    let Some(content_type) = text(headers, &CONTENT_TYPE)? else {
        return Ok(());
    };
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    let fine = [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
    ];
    if fine.contains(&essence.as_str()) || essence.ends_with("+json") {
        return Ok(());
    }
    let detail = "a publish without a channel in its path is JSON, with a JSON media type";
    Err(Reject::new(Code::Unsupported, detail))
}

/// The value of a header that may be given once.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Reject> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid(&format!("{name} is given twice")));
    }
    decode(name, value).map(Some)
}

fn decode(name: &HeaderName, value: &HeaderValue) -> Result<String, Reject> {
    let text = std::str::from_utf8(value.as_bytes());
    text.map(str::to_owned)
        .map_err(|_| invalid(&format!("{name} is not UTF-8")))
}

fn invalid(detail: &str) -> Reject {
    Reject::new(Code::ParameterInvalid, detail)
}
