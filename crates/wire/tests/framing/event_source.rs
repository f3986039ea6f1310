//! A reader of event streams written from HTML, 9.2.6, sharing nothing with the writer.

/// What an EventSource would dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

/// What a stream did.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) messages: Vec<Message>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) last_event_id: String,
}

/// Interprets a whole stream. An unfinished block at the end is dropped.
pub(crate) fn interpret(bytes: &[u8]) -> Stream {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut stream = Stream::default();
    let (mut data, mut name, mut id) = (String::new(), String::new(), String::new());
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        let line = &rest[..end];
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
        if line.is_empty() {
            stream.last_event_id.clone_from(&id);
            let (complete, kind) = (std::mem::take(&mut data), std::mem::take(&mut name));
            if let Some(data) = complete.strip_suffix('\n') {
                stream.messages.push(Message {
                    name: if kind.is_empty() {
                        "message".into()
                    } else {
                        kind
                    },
                    data: data.to_owned(),
                    last_event_id: id.clone(),
                });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                stream.retry_ms = value.parse().ok();
            }
            _ => {}
        }
    }
    stream
}
