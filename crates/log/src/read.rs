//! Questions to a shard's state that are not followed, their answers, and the bytes of both.

use std::sync::Arc;

use bytes::Bytes;
use halley_shard::{
    Budget, ChannelInfo, ChannelName, ChannelPage, ChannelPattern, Event, Interest, Next, Reader,
    Revision, Selection, Shard, codec::Codec,
};

use crate::follow::{MessageError, message};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadQuery {
    /// What a reader of one channel would get.
    History {
        /// The channel.
        channel: ChannelName,
        /// From where.
        start: HistoryStart,
        /// How much.
        budget: Budget,
    },
    /// One channel in figures.
    Channel(ChannelName),
    /// Channels by name.
    Channels {
        /// Behind this one.
        after: Option<ChannelName>,
        /// Only these.
        pattern: Option<ChannelPattern>,
        /// At most.
        count: u32,
    },
}

/// Where history starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryStart {
    /// Behind this revision (zero: everything retained).
    After(Revision),
    /// At the newest N events.
    Last(u16),
    /// At the head: nothing, but a cursor.
    Latest,
}

/// An answer, of the question's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// To `History`.
    History(Next<Arc<Event>>),
    /// To `Channel`.
    Channel(Option<ChannelInfo>),
    /// To `Channels`.
    Channels(ChannelPage),
}

impl ReadQuery {
    /// What `shard` answers.
    #[must_use]
    pub fn answer(&self, shard: &Shard) -> ReadAnswer {
        match self {
            Self::History {
                channel,
                start,
                budget,
            } => ReadAnswer::History(history(shard, channel, *start, *budget)),
            Self::Channel(name) => ReadAnswer::Channel(shard.channel(name)),
            Self::Channels {
                after,
                pattern,
                count,
            } => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                ReadAnswer::Channels(shard.channels(after.as_ref(), pattern.as_ref(), count))
            }
        }
    }

    /// Its bytes, for another node.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = message::begin();
        match self {
            Self::History {
                channel,
                start,
                budget,
            } => {
                0_u8.put(&mut out);
                channel.put(&mut out);
                let (kind, value) = match start {
                    HistoryStart::After(revision) => (0_u8, revision.get()),
                    HistoryStart::Last(count) => (1, u64::from(*count)),
                    HistoryStart::Latest => (2, 0),
                };
                kind.put(&mut out);
                value.put(&mut out);
                for bound in [budget.items, budget.bytes, budget.scanned] {
                    u64::try_from(bound).unwrap_or(u64::MAX).put(&mut out);
                }
            }
            Self::Channel(name) => {
                1_u8.put(&mut out);
                name.put(&mut out);
            }
            Self::Channels {
                after,
                pattern,
                count,
            } => {
                2_u8.put(&mut out);
                after.put(&mut out);
                pattern.put(&mut out);
                u64::from(*count).put(&mut out);
            }
        }
        out.freeze()
    }

    /// The question that `bytes` hold.
    ///
    /// # Errors
    /// [`MessageError`] when they hold none.
    pub fn decode(bytes: &Bytes) -> Result<Self, MessageError> {
        let mut input = message::open(bytes)?;
        let query = match u8::take(&mut input)? {
            0 => {
                let channel = Codec::take(&mut input)?;
                let kind = u8::take(&mut input)?;
                let value = u64::take(&mut input)?;
                let start = match kind {
                    0 => HistoryStart::After(Revision::new(value)),
                    1 => HistoryStart::Last(u16::try_from(value).unwrap_or(u16::MAX)),
                    2 => HistoryStart::Latest,
                    kind => return Err(MessageError::Kind(kind)),
                };
                let mut bound = || {
                    u64::take(&mut input).map(|bound| usize::try_from(bound).unwrap_or(usize::MAX))
                };
                let budget = Budget {
                    items: bound()?,
                    bytes: bound()?,
                    scanned: bound()?,
                };
                Self::History {
                    channel,
                    start,
                    budget,
                }
            }
            1 => Self::Channel(Codec::take(&mut input)?),
            2 => Self::Channels {
                after: Codec::take(&mut input)?,
                pattern: Codec::take(&mut input)?,
                count: u32::try_from(u64::take(&mut input)?).unwrap_or(u32::MAX),
            },
            kind => return Err(MessageError::Kind(kind)),
        };
        message::end(query, &input)
    }
}

impl ReadAnswer {
    /// Its bytes, for another node.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = message::begin();
        match self {
            Self::History(Next::NotHeld) => 0_u8.put(&mut out),
            Self::History(Next::Ahead { head }) => {
                1_u8.put(&mut out);
                head.put(&mut out);
            }
            Self::History(Next::Items {
                items,
                through,
                more,
            }) => {
                2_u8.put(&mut out);
                message::put_list(items, &mut out);
                through.put(&mut out);
                more.put(&mut out);
            }
            Self::Channel(info) => {
                3_u8.put(&mut out);
                info.put(&mut out);
            }
            Self::Channels(page) => {
                4_u8.put(&mut out);
                page.put(&mut out);
            }
        }
        out.freeze()
    }

    /// The answer that `bytes` hold.
    ///
    /// # Errors
    /// [`MessageError`] when they hold none.
    pub fn decode(bytes: &Bytes) -> Result<Self, MessageError> {
        let mut input = message::open(bytes)?;
        let answer = match u8::take(&mut input)? {
            0 => Self::History(Next::NotHeld),
            1 => Self::History(Next::Ahead {
                head: Codec::take(&mut input)?,
            }),
            2 => Self::History(Next::Items {
                items: message::take_list(&mut input)?,
                through: Codec::take(&mut input)?,
                more: Codec::take(&mut input)?,
            }),
            3 => Self::Channel(Codec::take(&mut input)?),
            4 => Self::Channels(Codec::take(&mut input)?),
            kind => return Err(MessageError::Kind(kind)),
        };
        message::end(answer, &input)
    }
}

fn history(
    shard: &Shard,
    channel: &ChannelName,
    start: HistoryStart,
    budget: Budget,
) -> Next<Arc<Event>> {
    let view = shard.windows();
    let selection = Selection::new([Interest::Channel(channel.clone())]);
    let at_head = Next::Items {
        items: Vec::new(),
        through: view.head(),
        more: false,
    };
    let after = match start {
        HistoryStart::After(revision) => revision,
        HistoryStart::Latest | HistoryStart::Last(0) => return at_head,
        HistoryStart::Last(count) => {
            match Reader::newest(view, &selection, usize::from(count)).as_deref() {
                None => return Next::NotHeld,
                Some([]) => return at_head,
                Some([.., (_, oldest)]) => oldest.before(),
            }
        }
    };
    Reader::next(view, &selection, after, budget)
}
