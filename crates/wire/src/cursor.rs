//! The text of a cursor: `<cluster>.<shard>-<revision>[.<as of>][_…]`, numbers in base 36, lower case.
//!
//! Invariant: a cursor has one text and a text at most one cursor, so texts may be compared in its place.

use halley_shard::{ClusterId, Cursor, Revision, ShardId};

use crate::{Code, Rejection, limits};

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Digits of `u64::MAX` in base 36.
const NUMBER_BYTES_MAX: usize = 13;

/// The text: ASCII that needs no escaping in a URL, a header, JSON or HTML. A cursor over the
/// [`halley_shard::limits::SHARDS_MAX`] shards that a cluster may have stays below
/// [`limits::CURSOR_BYTES_MAX`] bytes.
#[must_use]
pub fn format(cursor: &Cursor) -> String {
    let mut text = String::with_capacity(32);
    push(&mut text, cursor.cluster().get());
    for (index, (shard, revision)) in cursor.positions().iter().enumerate() {
        text.push(if index == 0 { '.' } else { '_' });
        push(&mut text, u64::from(shard.get()));
        text.push('-');
        push(&mut text, revision.get());
        if let Some(head) = cursor.as_of(*shard) {
            text.push('.');
            push(&mut text, head.get());
        }
    }
    text
}

// Digits, a separator before each position, and at most a hyphen and a dot in each. Not two hyphens: a
// server that compresses may append `-gzip` to a tag, and that must not read as a number.
const _: () = {
    let position = 1 + 2 + 2 * (1 + NUMBER_BYTES_MAX);
    let longest = NUMBER_BYTES_MAX + halley_shard::limits::SHARDS_MAX as usize * position;
    assert!(longest <= limits::CURSOR_BYTES_MAX);
    assert!(halley_shard::limits::SHARDS_MAX <= 36 * 36);
};

/// Reads one back: exactly what [`format()`] writes for a cursor that names a shard. Whether cluster and shards
/// exist is not asked here.
///
/// # Errors
/// `cursor_invalid` for anything else, and beyond [`limits::CURSOR_BYTES_MAX`] bytes.
pub fn parse(text: &str) -> Result<Cursor, Rejection> {
    if text.len() > limits::CURSOR_BYTES_MAX {
        let (value, limit) = (text.len(), limits::CURSOR_BYTES_MAX);
        let detail = format!("the cursor has {value} bytes, at most {limit} are allowed");
        return Err(Rejection::new(Code::CursorInvalid, detail));
    }
    read(text).ok_or_else(|| {
        Rejection::new(
            Code::CursorInvalid,
            "this is no cursor that a server has given out",
        )
    })
}

fn read(text: &str) -> Option<Cursor> {
    let (cluster, rest) = text.split_once('.')?;
    let cluster = ClusterId::new(number(cluster)?);
    let mut positions: Vec<(ShardId, Revision)> = Vec::with_capacity(1);
    let mut as_of: Vec<(ShardId, Revision)> = Vec::new();
    for position in rest.split('_') {
        let (shard, place) = position.split_once('-')?;
        let shard = ShardId::new(u16::try_from(number(shard)?).ok()?);
        let (revision, head) = match place.split_once('.') {
            None => (number(place)?, None),
            Some((revision, head)) => (number(revision)?, Some(number(head)?)),
        };
        if head.is_some_and(|head| head <= revision) {
            return None;
        }
        as_of.extend(head.map(|head| (shard, Revision::new(head))));
        if positions.last().is_some_and(|(last, _)| *last >= shard) {
            return None;
        }
        positions.push((shard, Revision::new(revision)));
    }
    let mut cursor = Cursor::new(cluster, positions);
    for (shard, head) in as_of {
        cursor.set_as_of(shard, Some(head));
    }
    Some(cursor)
}

fn push(text: &mut String, mut number: u64) {
    let mut digits = [0_u8; NUMBER_BYTES_MAX];
    let mut start = NUMBER_BYTES_MAX;
    loop {
        start -= 1;
        digits[start] = DIGITS[(number % 36) as usize];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[start..].iter().map(|digit| char::from(*digit)));
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            _ => return None,
        };
        number.checked_mul(36)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use halley_shard::{ClusterId, Cursor, Revision, ShardId};
    use proptest::prelude::*;

    use super::{format, parse};
    use crate::Code;

    fn cursor(cluster: u64, positions: &[(u16, u64)]) -> Cursor {
        let positions = positions
            .iter()
            .map(|(s, r)| (ShardId::new(*s), Revision::new(*r)));
        Cursor::new(ClusterId::new(cluster), positions)
    }

    #[test]
    fn texts() {
        assert_eq!(format(&cursor(35, &[(0, 36)])), "z.0-10");
        assert_eq!(format(&cursor(0, &[(2, 5), (1, 0)])), "0.1-0_2-5");
        let largest: Vec<_> = (0..16).map(|shard| (shard, u64::MAX)).collect();
        let text = format(&cursor(u64::MAX, &largest));
        assert!(text.starts_with("3w5e11264sgsf.0-3w5e11264sgsf_1-3w5e11264sgsf_"));
        assert_eq!(parse(&text), Ok(cursor(u64::MAX, &largest)));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ".",
            "a",
            "a.",
            "a.0",
            "a.0-",
            ".0-1",
            "a.-1",
            "a.0-1_",
            "a.0-1_0-2",
            "a.1-1_0-2",
            "A.0-1",
            "a.0-01",
            "a.00-1",
            "0a.0-1",
            "a.0-1 ",
            " a.0-1",
            "a.0-1.0-1",
            "a.0--1",
            "a.1ekg-1",
            "a.0-3w5e11264sgsg",
            "3w5e11264sgsg.0-1",
            "a.0-1,1-2",
            "a.0-ä",
            "latest",
            "a.0-1\0",
            "\u{feff}a.0-1",
        ] {
            assert_eq!(
                parse(text).map_err(|e| e.code),
                Err(Code::CursorInvalid),
                "{text:?}"
            );
        }
        let long = format!("a.0-{}", "1".repeat(2_000));
        let detail = parse(&long).unwrap_err().detail;
        assert!(
            detail.contains("2004") && detail.contains("1024"),
            "{detail}"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            cluster: u64,
            positions in prop::collection::btree_map(any::<u16>(), any::<u64>(), 1..16),
        ) {
            let positions: Vec<_> = positions.into_iter().collect();
            let cursor = cursor(cluster, &positions);
            prop_assert_eq!(parse(&format(&cursor)), Ok(cursor));
        }

        #[test]
        fn what_is_read_is_written(text in "[0-9a-c]{1,3}\\.[0-2]-[0-9a-z]{1,4}(_[0-9]{1,2}-[0-9]{1,2}){0,2}") {
            if let Ok(cursor) = parse(&text) {
                prop_assert_eq!(format(&cursor), text);
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
