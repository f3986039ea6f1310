//! A batch with retries: what failed for the moment is sent again, in order, and nothing else.

use crate::{
    ClientError, Published, message,
    proto::v1,
    retry::{Attempts, Shared},
};

/// An event of the batch, whether its key is the caller's, and its answer so far.
struct Item {
    request: v1::PublishRequest,
    own_key: bool,
    answer: Option<Result<Published, ClientError>>,
}

/// Publishes `requests`, which all have keys; answers in their order.
pub(crate) async fn publish(
    shared: &Shared,
    requests: Vec<(v1::PublishRequest, bool)>,
) -> Result<Vec<Result<Published, ClientError>>, ClientError> {
    let mut items: Vec<Item> = requests
        .into_iter()
        .map(|(request, own_key)| Item {
            request,
            own_key,
            answer: None,
        })
        .collect();
    let mut attempts = shared.attempts();
    loop {
        let open: Vec<usize> = (0..items.len())
            .filter(|index| is_open(&items, *index))
            .collect();
        if open.is_empty() {
            return Ok(items.into_iter().map(answer).collect());
        }
        let why = match send(&attempts, &items, &open).await {
            Ok(outcomes) => {
                for (index, outcome) in open.into_iter().zip(outcomes) {
                    let item = &mut items[index];
                    item.answer = Some(message::outcome(Some(outcome), item.own_key));
                }
                match items.iter().find_map(passing) {
                    Some(why) => why,
                    None => return Ok(items.into_iter().map(answer).collect()),
                }
            }
            Err(error) => error,
        };
        if let Err(error) = attempts.after(why).await {
            let unanswered = items.iter().all(|item| item.answer.is_none());
            if unanswered {
                return Err(error);
            }
            let left = |item: Item| item.answer.unwrap_or_else(|| Err(error.clone()));
            return Ok(items.into_iter().map(left).collect());
        }
    }
}

async fn send(
    attempts: &Attempts<'_>,
    items: &[Item],
    open: &[usize],
) -> Result<Vec<v1::PublishOutcome>, ClientError> {
    let events = open
        .iter()
        .map(|index| items[*index].request.clone())
        .collect();
    let message = v1::PublishBatchRequest { events };
    let call = |mut client: crate::endpoints::Broker, request| async move {
        client.publish_batch(request).await
    };
    let results = attempts.once(message, call).await?.results;
    if results.len() == open.len() {
        Ok(results)
    } else {
        Err(ClientError::no_answer(format!(
            "{} results for {} events",
            results.len(),
            open.len()
        )))
    }
}

/// Whether an event is to be sent (again): it has no answer, a passing one, or was `aborted` because of a passing one.
fn is_open(items: &[Item], index: usize) -> bool {
    match &items[index].answer {
        None => true,
        Some(answer) if message::is_passing(answer) => true,
        Some(Err(ClientError::Refused { code, .. }))
            if code == halley_wire::Code::Aborted.as_str() =>
        {
            let channel = &items[index].request.channel;
            let first_failed = items[..index].iter().find(|item| {
                item.request.channel == *channel && matches!(item.answer, Some(Err(_)))
            });
            first_failed.is_some_and(|item| passing(item).is_some())
        }
        Some(_) => false,
    }
}

fn passing(item: &Item) -> Option<ClientError> {
    match &item.answer {
        Some(answer @ Err(error)) if message::is_passing(answer) => Some(error.clone()),
        _ => None,
    }
}

fn answer(item: Item) -> Result<Published, ClientError> {
    item.answer
        .unwrap_or_else(|| Err(ClientError::no_answer("none for this event")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(channel: &str, code: Option<&str>) -> Item {
        let request = v1::PublishRequest {
            channel: channel.to_owned(),
            ..Default::default()
        };
        let answer = code.map(|code| match code {
            "ok" => Ok(Published {
                channel: channel.to_owned(),
                offset: 1,
                cursor: String::new(),
                duplicate: false,
            }),
            code => Err(ClientError::Refused {
                code: code.to_owned(),
                detail: String::new(),
                retry: None,
            }),
        });
        Item {
            request,
            own_key: false,
            answer,
        }
    }

    #[test]
    fn what_was_aborted_follows_the_one_that_failed_first() {
        let items = [
            item("/a", Some("ok")),
            item("/a", Some("overloaded")),
            item("/b", Some("payload_too_large")),
            item("/a", Some("aborted")),
            item("/b", Some("aborted")),
            item("/c", None),
        ];
        let open: Vec<_> = (0..items.len())
            .filter(|index| is_open(&items, *index))
            .collect();
        assert_eq!(open, [1, 3, 5]);
    }
}
