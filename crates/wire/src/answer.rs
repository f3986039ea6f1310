//! Whole answers: poll, history, publish, problems. All are JSON without line breaks.

use halley_shard::Event;

use crate::{Code, Rejection, framing, json};

/// Builds `{"cursor":"…","events":[…],"gaps":[…]}` (contract.md, poll) piece by piece.
#[derive(Debug, Default)]
pub struct PollAnswer {
    events: Vec<u8>,
    gaps: Vec<u8>,
}

impl PollAnswer {
    /// Adds an event: the bytes of a [`crate::framing::Json`] fragment, filled.
    pub fn event(&mut self, envelope: &[u8]) {
        element(&mut self.events, envelope);
    }

    /// Adds an event without a copy of its own.
    pub fn fragment(&mut self, fragment: &framing::Fragment, cursor: &str) {
        element(&mut self.events, &[]);
        fragment.fill_into(cursor, &mut self.events);
    }

    /// Adds a gap: the bytes of [`crate::framing::Json`]'s gap.
    pub fn gap(&mut self, gap: &[u8]) {
        element(&mut self.gaps, gap);
    }

    /// Whether there is a gap, which an array of payloads could not tell.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// The body; `gaps` is left out when there are none.
    #[must_use]
    pub fn finish(self, cursor: &str) -> Vec<u8> {
        const SYNTAX_BYTES: usize = 48;
        let bytes = self.events.len() + self.gaps.len() + cursor.len() + SYNTAX_BYTES;
        let mut body = Vec::with_capacity(bytes);
        body.extend_from_slice(b"{\"cursor\":");
        json::string(&mut body, cursor);
        body.extend_from_slice(b",\"events\":[");
        body.extend_from_slice(&self.events);
        body.push(b']');
        if !self.gaps.is_empty() {
            body.extend_from_slice(b",\"gaps\":[");
            body.extend_from_slice(&self.gaps);
            body.push(b']');
        }
        body.push(b'}');
        body
    }
}

/// Builds the answer of a poll with `format=data`: an array of payloads, each as an envelope shows it. The cursor
/// goes into the `ETag`; with a gap the answer is a [`PollAnswer`].
#[derive(Debug, Default)]
pub struct PayloadAnswer {
    payloads: Vec<u8>,
}

impl PayloadAnswer {
    /// Adds an event's payload.
    pub fn event(&mut self, event: &Event) {
        element(&mut self.payloads, &[]);
        framing::payload(event, &mut self.payloads);
    }

    /// The body.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.payloads.len() + 2);
        body.push(b'[');
        body.extend_from_slice(&self.payloads);
        body.push(b']');
        body
    }
}

/// Appends one more element of an array.
fn element(list: &mut Vec<u8>, element: &[u8]) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(element);
}

/// A published event's result, as `POST /v1/publish` answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultForm {
    /// Channel.
    pub channel: String,
    /// Offset, cursor and whether it is a duplicate, or the refusal.
    pub outcome: Result<(u64, String, bool), Rejection>,
}

/// `{"channel":…,"offset":…,"cursor":…,"duplicate":false}` or `{"channel":…,"error":{"code":…,"detail":…}}`.
#[must_use]
pub fn result(form: &ResultForm) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    body.extend_from_slice(b"{\"channel\":");
    json::string(&mut body, &form.channel);
    match &form.outcome {
        Ok((offset, cursor, duplicate)) => {
            body.extend_from_slice(b",\"offset\":");
            json::number(&mut body, *offset);
            body.extend_from_slice(b",\"cursor\":");
            json::string(&mut body, cursor);
            body.extend_from_slice(b",\"duplicate\":");
            body.extend_from_slice(if *duplicate { b"true" } else { b"false" });
        }
        Err(rejection) => {
            body.extend_from_slice(b",\"error\":{\"code\":");
            json::string(&mut body, rejection.code.as_str());
            body.extend_from_slice(b",\"detail\":");
            json::string(&mut body, &rejection.detail);
            body.push(b'}');
        }
    }
    body.push(b'}');
    body
}

/// The results of a batch, in order: an array of [`result`].
#[must_use]
pub fn results(forms: &[ResultForm]) -> Vec<u8> {
    let mut list = Vec::with_capacity(forms.len() * 128);
    for form in forms {
        element(&mut list, &result(form));
    }
    list.insert(0, b'[');
    list.push(b']');
    list
}

/// RFC 9457: `{"type":"urn:halley:error:<code>","title":…,"status":…,"detail":…}`.
#[must_use]
pub fn problem(code: Code, status: u16, detail: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + detail.len());
    body.extend_from_slice(b"{\"type\":\"urn:halley:error:");
    body.extend_from_slice(code.as_str().as_bytes());
    body.extend_from_slice(b"\",\"title\":");
    json::string(&mut body, code.title());
    body.extend_from_slice(b",\"status\":");
    json::number(&mut body, u64::from(status));
    body.extend_from_slice(b",\"detail\":");
    json::string(&mut body, detail);
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::{PollAnswer, ResultForm, problem, result, results};
    use crate::{Code, Rejection};

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn polls() {
        assert_eq!(
            text(PollAnswer::default().finish("a.0-1")),
            "{\"cursor\":\"a.0-1\",\"events\":[]}"
        );
        let mut answer = PollAnswer::default();
        answer.event(b"{\"offset\":1}");
        answer.event(b"{\"offset\":2}");
        assert!(!answer.has_gaps());
        answer.gap(b"{\"gap\":1}");
        answer.gap(b"{\"gap\":2}");
        assert!(answer.has_gaps());
        assert_eq!(
            text(answer.finish("a.0-2")),
            "{\"cursor\":\"a.0-2\",\"events\":[{\"offset\":1},{\"offset\":2}],\
             \"gaps\":[{\"gap\":1},{\"gap\":2}]}"
        );
    }

    #[test]
    fn publish_results() {
        let stored = ResultForm {
            channel: "/a".into(),
            outcome: Ok((17, "a.0-1".into(), false)),
        };
        let refusal = Rejection::new(Code::Aborted, "an \"earlier\" one");
        let refused = ResultForm {
            channel: "/\"".into(),
            outcome: Err(refusal),
        };
        let first = "{\"channel\":\"/a\",\"offset\":17,\"cursor\":\"a.0-1\",\"duplicate\":false}";
        let second = "{\"channel\":\"/\\\"\",\"error\":\
                      {\"code\":\"aborted\",\"detail\":\"an \\\"earlier\\\" one\"}}";
        assert_eq!(text(result(&stored)), first);
        assert_eq!(
            text(results(&[stored, refused])),
            format!("[{first},{second}]")
        );
        assert_eq!(text(results(&[])), "[]");
    }

    #[test]
    fn problems() {
        assert_eq!(
            text(problem(Code::NotFound, 404, "no channel \"/a\"\n")),
            "{\"type\":\"urn:halley:error:not_found\",\"title\":\"Not found\",\
             \"status\":404,\"detail\":\"no channel \\\"/a\\\"\\n\"}"
        );
    }
}
