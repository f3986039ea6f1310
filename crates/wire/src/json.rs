//! Published JSON: checked once, kept as the text it came as.
//!
//! Invariant: strings and numbers pass through byte by byte; only white space between tokens goes.

mod scan;

use bytes::Bytes;

use crate::{Code, Rejection};

/// Checks that `text` is one JSON value (RFC 8259): UTF-8, no byte order mark, no lone surrogates, depth at most
/// [`crate::limits::JSON_DEPTH_MAX`]; and gives it without insignificant white space (hence without line breaks),
/// numbers and strings as written. Shares `text` when nothing was to be removed.
///
/// # Errors
/// `body_invalid`, naming what was found at which byte.
pub fn compact(text: &Bytes) -> Result<Bytes, Rejection> {
    self::text(text)?;
    scan::Scanner::new(text).value().map_err(|flaw| {
        let detail = format!("not JSON: {} at byte {}", flaw.what, flaw.at);
        Rejection::new(Code::BodyInvalid, detail)
    })
}

/// `bytes` as the text that JSON must be: UTF-8 without a byte order mark.
///
/// # Errors
/// `body_invalid`, naming the first byte that is neither.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Rejection> {
    let text = utf8(bytes)?;
    if text.starts_with('\u{feff}') {
        let detail = "not JSON: a byte order mark at byte 0";
        return Err(Rejection::new(Code::BodyInvalid, detail));
    }
    Ok(text)
}

/// Whether a JSON value is an object, by its beginning: serde would also take an array for members in their order.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// `bytes` as text.
///
/// # Errors
/// `body_invalid`, naming the first byte that is no UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(bytes).map_err(|error| {
        let detail = format!("not UTF-8 at byte {}", error.valid_up_to());
        Rejection::new(Code::BodyInvalid, detail)
    })
}

/// Appends `text` as a JSON string with its quotes. Control characters, quotation mark and backslash are escaped,
/// and U+2028 and U+2029 too, which end a line in older scripts.
pub fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut kept = 0;
    out.push(b'"');
    for (at, byte) in bytes.iter().enumerate() {
        let (escape, width): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'\t' => (b"\\t", 1),
            0..0x20 => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                (&[b'\\', b'u', b'0', b'0', high, low], 1)
            }
            0xe2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (b"\\u2028", 3),
            0xe2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (b"\\u2029", 3),
            _ => continue,
        };
        out.extend_from_slice(&bytes[kept..at]);
        out.extend_from_slice(escape);
        kept = at + width;
    }
    out.extend_from_slice(&bytes[kept..]);
    out.push(b'"');
}

/// Appends `number` in decimal digits.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    /// Digits of `u64::MAX`.
    const DIGITS: usize = 20;
    let mut digits = [0_u8; DIGITS];
    let mut start = DIGITS;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests;
