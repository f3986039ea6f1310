//! Entries: the leader's time and the commands that it packed, which stay unread here.

use bytes::Bytes;

use super::{
    Codec, DecodeError, Form,
    primitive::{put_bytes, put_number, reserve, take_bytes, take_count},
};
use crate::Time;

/// Encodes an entry: the leader's time and the commands that it packed, unread.
#[must_use]
pub fn encode_entry(time: Time, commands: &[Bytes]) -> Bytes {
    const NUMBER_BYTES: usize = 10;
    let commands_bytes: usize = commands.iter().map(|one| one.len() + NUMBER_BYTES).sum();
    Form::ENTRY.encode(commands_bytes + 2 * NUMBER_BYTES, |out| {
        time.put(out);
        put_number(commands.len() as u64, out);
        for command in commands {
            put_bytes(command, out);
        }
    })
}

/// Splits an entry into its time and its commands, which are slices of `bytes`.
///
/// # Errors
///
/// [`DecodeError`] for anything that [`encode_entry`] does not make.
pub fn decode_entry(bytes: &Bytes) -> Result<(Time, Vec<Bytes>), DecodeError> {
    Form::ENTRY.decode(bytes, |input| {
        let time = Time::take(input)?;
        let count = take_count(input, "commands")?;
        let mut commands = reserve(count, input);
        for _ in 0..count {
            commands.push(take_bytes(input, "packed command", usize::MAX)?);
        }
        Ok((time, commands))
    })
}
