//! Commands.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Codec, DecodeError, Form,
    event::{put_content, take_content},
    primitive::{put_number, reserve, take_bounded, take_byte, take_fixed, take_number, take_text},
};
use crate::{
    ChannelName, Command, IdempotencyKey, Origin, ProducerId, Publication, Settings, Stamp, limits,
};

/// Encodes a command; every retry sends the same bytes.
#[must_use]
pub fn encode_command(command: &Command) -> Bytes {
    Form::COMMAND.encode(capacity(command), |out| match command {
        Command::Publish {
            stamp,
            publications,
        } => {
            1_u8.put(out);
            put_stamp(stamp, out);
            put_number(publications.len() as u64, out);
            for publication in publications {
                put_publication(publication, out);
            }
        }
        Command::Delete { stamp, channel } => {
            2_u8.put(out);
            put_stamp(stamp, out);
            channel.put(out);
        }
        Command::Configure { settings } => {
            3_u8.put(out);
            settings.put(out);
        }
        Command::Tick => 4_u8.put(out),
    })
}

/// Decodes a command, copying nothing out of `bytes` that can be shared: payloads are slices of it.
///
/// # Errors
///
/// [`DecodeError`] for anything that [`encode_command`] does not make of a command within [`limits`].
pub fn decode_command(bytes: &Bytes) -> Result<Command, DecodeError> {
    Form::COMMAND.decode(bytes, |input| match take_byte(input, "command")? {
        1 => {
            let stamp = take_stamp(input)?;
            let count = take_bounded(input, "publications", limits::BATCH_EVENTS_MAX)?;
            let mut publications = reserve(count, input);
            for _ in 0..count {
                publications.push(take_publication(input)?);
            }
            Ok(Command::Publish {
                stamp,
                publications,
            })
        }
        2 => Ok(Command::Delete {
            stamp: take_stamp(input)?,
            channel: ChannelName::take(input)?,
        }),
        3 => Ok(Command::Configure {
            settings: Settings::take(input)?,
        }),
        4 => Ok(Command::Tick),
        found => Err(DecodeError::Variant {
            what: "command",
            found,
        }),
    })
}

/// About how many bytes `command` takes: one allocation in most cases.
fn capacity(command: &Command) -> usize {
    const PUBLICATION_BYTES: usize = 96;
    match command {
        Command::Publish { publications, .. } => {
            let sizes = publications
                .iter()
                .map(|one| PUBLICATION_BYTES + one.channel.as_str().len() + one.content.data.len());
            PUBLICATION_BYTES + sizes.sum::<usize>()
        }
        Command::Delete { channel, .. } => PUBLICATION_BYTES + channel.as_str().len(),
        Command::Configure { .. } => PUBLICATION_BYTES,
        Command::Tick => 1,
    }
}

fn put_stamp(stamp: &Stamp, out: &mut BytesMut) {
    let Stamp {
        producer,
        sequence,
        previous,
        origin,
    } = stamp;
    producer.put(out);
    sequence.put(out);
    previous.put(out);
    match origin {
        Origin::Node => 1_u8.put(out),
        Origin::Client { submission } => {
            2_u8.put(out);
            out.put_u64_le(*submission);
        }
    }
}

fn take_stamp(input: &mut Bytes) -> Result<Stamp, DecodeError> {
    Ok(Stamp {
        producer: ProducerId::take(input)?,
        sequence: take_number(input, "sequence")?,
        previous: Codec::take(input)?,
        origin: match take_byte(input, "origin")? {
            1 => Origin::Node,
            2 => Origin::Client {
                submission: take_fixed(input, "submission")?,
            },
            found => {
                return Err(DecodeError::Variant {
                    what: "origin",
                    found,
                });
            }
        },
    })
}

fn put_publication(publication: &Publication, out: &mut BytesMut) {
    let Publication {
        channel,
        content,
        key,
    } = publication;
    channel.put(out);
    key.put(out);
    put_content(content, out);
}

fn take_publication(input: &mut Bytes) -> Result<Publication, DecodeError> {
    let channel = ChannelName::take(input)?;
    let key = Codec::take(input)?;
    Ok(Publication {
        channel,
        content: take_content(input)?,
        key,
    })
}

impl Codec for IdempotencyKey {
    fn put(&self, out: &mut BytesMut) {
        let Self { scope, key } = self;
        scope.put(out);
        key.put(out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            scope: take_text(input, "key scope", limits::SCOPE_BYTES_MAX)?,
            key: take_text(input, "key", limits::KEY_BYTES_MAX)?,
        })
    }
}
