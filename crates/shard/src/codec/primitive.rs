//! Numbers, texts, bytes, options and lists.
//!
//! Invariant: a number has exactly one encoding, its shortest; a length is checked against what is left of
//! the input before anything is allocated for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Codec, DecodeError};

/// Seven bits a byte, the lowest first; the high bit says that more follow.
pub(super) fn put_number(mut value: u64, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Takes a number, called `what` if it is none.
pub(super) fn take_number(input: &mut Bytes, what: &'static str) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for (index, &byte) in input.iter().enumerate() {
        let last = byte & 0x80 == 0;
        let needless = index > 0 && byte == 0;
        // Nine bytes carry 63 bits; a tenth has room for one.
        if needless || index > 9 || (index == 9 && byte > 1) {
            return Err(DecodeError::Number { what });
        }
        value |= u64::from(byte & 0x7F) << (7 * index);
        if last {
            input.advance(index + 1);
            return Ok(value);
        }
    }
    Err(DecodeError::Ended { what })
}

/// Takes a number of at most `limit`.
pub(super) fn take_bounded(
    input: &mut Bytes,
    what: &'static str,
    limit: usize,
) -> Result<usize, DecodeError> {
    let value = take_number(input, what)?;
    match usize::try_from(value) {
        Ok(value) if value <= limit => Ok(value),
        _ => Err(DecodeError::TooMuch {
            what,
            value,
            limit: limit as u64,
        }),
    }
}

/// Takes the number of elements of a list, of which each takes a byte at least.
pub(super) fn take_count(input: &mut Bytes, what: &'static str) -> Result<usize, DecodeError> {
    let value = take_number(input, what)?;
    match usize::try_from(value) {
        Ok(count) if count <= input.len() => Ok(count),
        _ => Err(DecodeError::Ended { what }),
    }
}

/// A list's first allocation: no larger than what is left of the input, whatever its count claims.
pub(super) fn reserve<T>(count: usize, input: &Bytes) -> Vec<T> {
    Vec::with_capacity(count.min(input.len() / size_of::<T>().max(1)))
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_number(bytes.len() as u64, out);
    out.put_slice(bytes);
}

/// Takes bytes behind their length, at most `limit`; they share the input's allocation.
pub(super) fn take_bytes(
    input: &mut Bytes,
    what: &'static str,
    limit: usize,
) -> Result<Bytes, DecodeError> {
    let length = take_bounded(input, what, limit)?;
    if length > input.len() {
        return Err(DecodeError::Ended { what });
    }
    Ok(input.split_to(length))
}

/// Takes a text behind its length in bytes, at most `limit`.
pub(super) fn take_text(
    input: &mut Bytes,
    what: &'static str,
    limit: usize,
) -> Result<String, DecodeError> {
    let bytes = take_bytes(input, what, limit)?;
    check_text(&bytes, what).map(str::to_owned)
}

pub(super) fn check_text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    str::from_utf8(bytes).map_err(|_| DecodeError::Text { what })
}

/// Takes a variant's number, a flag, or another lone byte.
pub(super) fn take_byte(input: &mut Bytes, what: &'static str) -> Result<u8, DecodeError> {
    input.try_get_u8().map_err(|_| DecodeError::Ended { what })
}

pub(super) fn take_flag(input: &mut Bytes, what: &'static str) -> Result<bool, DecodeError> {
    match take_byte(input, what)? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(DecodeError::Variant { what, found }),
    }
}

/// Eight bytes, little-endian: for what is drawn at random or hashed, where a short form saves nothing.
pub(super) fn take_fixed(input: &mut Bytes, what: &'static str) -> Result<u64, DecodeError> {
    input
        .try_get_u64_le()
        .map_err(|_| DecodeError::Ended { what })
}

impl Codec for u8 {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_byte(input, "byte")
    }
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Codec for $number {
            fn put(&self, out: &mut BytesMut) {
                put_number(u64::from(*self), out);
            }

            fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
                let what = stringify!($number);
                Self::try_from(take_number(input, what)?).map_err(|_| DecodeError::Number { what })
            }
        }
    )*};
}

number!(u16, u32);

impl Codec for u64 {
    fn put(&self, out: &mut BytesMut) {
        put_number(*self, out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_number(input, "u64")
    }
}

impl Codec for bool {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_flag(input, "flag")
    }
}

impl Codec for String {
    fn put(&self, out: &mut BytesMut) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_text(input, "text", usize::MAX)
    }
}

impl Codec for Bytes {
    fn put(&self, out: &mut BytesMut) {
        put_bytes(self, out);
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_bytes(input, "bytes", usize::MAX)
    }
}

impl<T: Codec> Codec for Option<T> {
    fn put(&self, out: &mut BytesMut) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        if take_flag(input, "option")? {
            T::take(input).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn put(&self, out: &mut BytesMut) {
        put_number(self.len() as u64, out);
        for value in self {
            value.put(out);
        }
    }

    fn take(input: &mut Bytes) -> Result<Self, DecodeError> {
        let count = take_count(input, "list")?;
        let mut list = reserve(count, input);
        for _ in 0..count {
            list.push(T::take(input)?);
        }
        Ok(list)
    }
}
