//! Every message survives its bytes, and no bytes do harm.

use std::sync::Arc;

use halley_shard::{
    Budget, Change, ChannelName, ChannelPattern, Content, Event, Floor, Forgotten, Next, Offset,
    Revision, ShardId, Time,
};
use proptest::prelude::*;

use super::*;
use crate::{HistoryStart, LogError, ReadAnswer, ReadQuery};

fn name() -> ChannelName {
    ChannelName::parse("/stocks/goog").unwrap()
}

fn pattern() -> ChannelPattern {
    ChannelPattern::parse("/stocks/**").unwrap()
}

fn event() -> Arc<Event> {
    let data = Bytes::from_static(b"{\"price\":1}");
    let content = Content {
        content_type: "application/json".into(),
        data,
        ..Content::default()
    };
    Arc::new(Event::new(
        name(),
        Offset::new(3),
        Revision::new(9),
        Time::new(77),
        true,
        &content,
    ))
}

fn floor() -> Floor {
    Floor {
        offset: Offset::new(2),
        revision: Revision::new(5),
    }
}

fn downs() -> Vec<Down> {
    let as_of = Revision::new(10);
    let forgotten = Forgotten {
        revision: Revision::new(1),
        offset: Offset::new(2),
        erased: Revision::new(3),
    };
    let changes = vec![
        Change::Opened {
            channel: name(),
            floor: floor(),
        },
        Change::Event(event()),
        Change::Trimmed {
            channel: name(),
            floor: floor(),
        },
        Change::Erased {
            channel: name(),
            floor: floor(),
        },
        Change::Forgotten(forgotten),
    ];
    vec![
        Down::Window {
            channel: name(),
            floor: floor(),
            events: vec![event()],
            as_of,
        },
        Down::Held {
            interest: Interest::Channel(name()),
            as_of,
            forgotten,
            tombstone: None,
        },
        Down::Held {
            interest: Interest::Pattern(pattern()),
            as_of,
            forgotten,
            tombstone: Some(floor()),
        },
        Down::Changes(Changes {
            through: as_of,
            list: changes,
        }),
        Down::Progress(as_of),
    ]
}

#[test]
fn messages_survive_their_bytes() {
    assert_eq!(decode_down(&encode_down(&downs())), Ok(downs()));
    let (add, remove) = (
        vec![Interest::Channel(name())],
        vec![Interest::Pattern(pattern())],
    );
    let bytes = encode_interest(&add, &remove);
    assert_eq!(decode_interest(&bytes), Ok((add, remove)));
}

#[test]
fn questions_and_answers_survive_their_bytes() {
    let budget = Budget {
        items: 1,
        bytes: 2,
        scanned: 3,
    };
    let starts = [
        HistoryStart::After(Revision::new(4)),
        HistoryStart::Last(5),
        HistoryStart::Latest,
    ];
    let histories = starts
        .map(|start| ReadQuery::History {
            channel: name(),
            start,
            budget,
        })
        .into_iter();
    let others = [
        ReadQuery::Channel(name()),
        ReadQuery::Channels {
            after: Some(name()),
            pattern: Some(pattern()),
            count: 9,
        },
        ReadQuery::Channels {
            after: None,
            pattern: None,
            count: 0,
        },
    ];
    for query in histories.chain(others) {
        assert_eq!(ReadQuery::decode(&query.encode()), Ok(query));
    }
    let items = vec![halley_shard::Item::Event(event())];
    for answer in [
        ReadAnswer::History(Next::NotHeld),
        ReadAnswer::History(Next::Ahead {
            head: Revision::new(3),
        }),
        ReadAnswer::History(Next::Items {
            items,
            through: Revision::new(9),
            more: true,
        }),
        ReadAnswer::Channel(None),
    ] {
        assert_eq!(ReadAnswer::decode(&answer.encode()), Ok(answer));
    }
}

#[test]
fn errors_survive_their_bytes() {
    for error in [
        LogError::NoLeader {
            shard: ShardId::new(3),
        },
        LogError::Overloaded {
            what: "proposals",
            value: 2,
            limit: 1,
        },
        LogError::UnknownOutcome,
        LogError::Behind {
            wanted: Revision::new(9),
            head: Revision::new(8),
        },
        LogError::Unreadable("why".into()),
        LogError::Draining,
    ] {
        assert_eq!(LogError::decode(&error.encode()), Ok(error));
    }
}

#[test]
fn another_version_is_refused() {
    let mut bytes = encode_down(&downs()).to_vec();
    bytes[0] = 2;
    assert_eq!(decode_down(&bytes.into()), Err(MessageError::Version(2)));
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = decode_down(&bytes);
        let _ = decode_interest(&bytes);
        let _ = ReadQuery::decode(&bytes);
        let _ = ReadAnswer::decode(&bytes);
        let _ = LogError::decode(&bytes);
    }

    #[test]
    fn a_flipped_or_cut_message_is_a_message_or_an_error(at in 0_usize..300, bit in 0_u8..8) {
        let mut bytes = encode_down(&downs()).to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = decode_down(&Bytes::from(bytes.clone()));
        bytes.truncate(at);
        let _ = decode_down(&Bytes::from(bytes));
    }
}
