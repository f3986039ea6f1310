//! `GetChannel`, `ListChannels`: channels in figures, those of all shards by name.

use std::time::Duration;

use futures_util::future;
use halley_log::{Cluster, ReadAnswer, ReadQuery};
use halley_shard::{ChannelInfo, ChannelName, ChannelPage, ChannelPattern, Interest, ShardId};
use halley_wire::{Code, Rejection, request};

use super::{Broker, channel, page};
use crate::{proto::v1, status};

pub(super) async fn get(
    broker: &Broker,
    asked: &v1::GetChannelRequest,
    deadline: Duration,
) -> Result<v1::ChannelInfo, Rejection> {
    let channel = channel(&asked.channel)?;
    let shard = broker.cluster()?.shards.shard_of(channel.hash64());
    match read(broker, shard, ReadQuery::Channel(channel), deadline).await? {
        ReadAnswer::Channel(Some(info)) => Ok(form(&info)),
        ReadAnswer::Channel(None) => Err(Rejection::new(
            Code::NotFound,
            format!("channel {} does not exist", asked.channel),
        )),
        ReadAnswer::History(_) | ReadAnswer::Channels(_) => Err(mismatch()),
    }
}

pub(super) async fn list(
    broker: &Broker,
    asked: &v1::ListChannelsRequest,
    deadline: Duration,
) -> Result<v1::ListChannelsResponse, Rejection> {
    let count = page("page_size", asked.page_size)?;
    let pattern = match asked.pattern.as_str() {
        "" => None,
        text => Some(pattern(text)?),
    };
    let after = match asked.page_token.as_str() {
        "" => None,
        token => Some(name_of(token)?),
    };
    let query = ReadQuery::Channels {
        after,
        pattern,
        count,
    };
    let cluster = broker.cluster()?;
    let pages = pages(broker, cluster, &query, deadline).await?;
    Ok(merge(pages, count as usize))
}

async fn pages(
    broker: &Broker,
    cluster: Cluster,
    query: &ReadQuery,
    deadline: Duration,
) -> Result<Vec<ChannelPage>, Rejection> {
    let answers = cluster
        .shards
        .ids()
        .map(|shard| read(broker, shard, query.clone(), deadline));
    let answers = future::try_join_all(answers).await?;
    let page = |answer| match answer {
        ReadAnswer::Channels(page) => Ok(page),
        ReadAnswer::History(_) | ReadAnswer::Channel(_) => Err(mismatch()),
    };
    answers.into_iter().map(page).collect()
}

/// The first `count` of all pages by name. Each page alone is at least that long if there is more of it, so
/// nothing is skipped.
fn merge(pages: Vec<ChannelPage>, count: usize) -> v1::ListChannelsResponse {
    let mut more = pages.iter().any(|page| page.more);
    let mut channels: Vec<_> = pages.into_iter().flat_map(|page| page.channels).collect();
    channels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    more |= channels.len() > count;
    channels.truncate(count);
    let next_page_token = match channels.last() {
        Some(last) if more => token_of(&last.name),
        _ => String::new(),
    };
    v1::ListChannelsResponse {
        channels: channels.iter().map(form).collect(),
        next_page_token,
    }
}

async fn read(
    broker: &Broker,
    shard: ShardId,
    query: ReadQuery,
    deadline: Duration,
) -> Result<ReadAnswer, Rejection> {
    let at_least = broker.hub.delivered(shard);
    let answer = broker.log().read(shard, query, at_least, deadline).await;
    answer.map_err(|error| status::of_log(&error))
}

fn mismatch() -> Rejection {
    Rejection::new(Code::Internal, "the log answered another question")
}

fn pattern(text: &str) -> Result<ChannelPattern, Rejection> {
    match request::interest(text)? {
        Interest::Pattern(pattern) => Ok(pattern),
        Interest::Channel(name) => Err(Rejection::new(
            Code::PatternInvalid,
            format!("pattern {name}: a channel; a pattern ends in * or **"),
        )),
    }
}

fn form(info: &ChannelInfo) -> v1::ChannelInfo {
    v1::ChannelInfo {
        channel: info.name.as_str().to_owned(),
        first_offset: info.first_offset.get(),
        next_offset: info.next_offset.get(),
        events: info.events,
        bytes: info.bytes,
        last_time_ms: info.last_time.map_or(0, halley_shard::Time::get),
    }
}

/// A page token is the last name given, in hexadecimal digits, so that nobody takes it for a name.
fn token_of(name: &ChannelName) -> String {
    use std::fmt::Write;

    name.as_str()
        .bytes()
        .fold(String::new(), |mut token, byte| {
            write!(token, "{byte:02x}").expect("a String takes all text");
            token
        })
}

fn name_of(token: &str) -> Result<ChannelName, Rejection> {
    let digits: Option<Vec<u8>> = token
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let bytes = digits.filter(|digits| digits.len() % 2 == 0).map(|digits| {
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect::<Vec<u8>>()
    });
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| ChannelName::parse(&text).ok())
        .ok_or_else(|| {
            Rejection::new(
                Code::ParameterInvalid,
                "page_token is none that this service gives out",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str) -> ChannelInfo {
        ChannelInfo {
            name: ChannelName::parse(name).expect("a name"),
            first_offset: halley_shard::Offset::new(1),
            next_offset: halley_shard::Offset::new(1),
            events: 0,
            bytes: 0,
            last_time: None,
        }
    }

    #[test]
    fn a_token_is_its_name() {
        let name = ChannelName::parse("/päge/1").expect("a name");
        assert_eq!(name_of(&token_of(&name)), Ok(name));
        for broken in ["x", "2", "2f2f", "zz", "ff"] {
            assert!(name_of(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn pages_of_shards_become_one_by_name() {
        let pages = vec![
            ChannelPage {
                channels: vec![info("/a"), info("/c")],
                more: false,
            },
            ChannelPage {
                channels: vec![info("/b"), info("/d")],
                more: true,
            },
        ];
        let merged = merge(pages.clone(), 2);
        let names: Vec<_> = merged
            .channels
            .iter()
            .map(|info| info.channel.as_str())
            .collect();
        assert_eq!(names, ["/a", "/b"]);
        assert_eq!(
            name_of(&merged.next_page_token),
            Ok(ChannelName::parse("/b").expect("a name"))
        );
        assert!(!merge(pages, 4).next_page_token.is_empty());
        let whole = vec![ChannelPage {
            channels: vec![info("/a")],
            more: false,
        }];
        assert!(merge(whole, 4).next_page_token.is_empty());
    }
}
