//! A JSON scanner that reads a value without recursion and without building it.
//!
//! Invariant: `text` is UTF-8, so multi-byte characters in strings need no look.

use bytes::Bytes;

use crate::limits::JSON_DEPTH_MAX;

// One bit for each open array or object.
const _: () = assert!(JSON_DEPTH_MAX <= u128::BITS as usize);

/// What is wrong with a text, and where.
pub(super) struct Flaw {
    pub(super) what: &'static str,
    /// Bytes before it.
    pub(super) at: usize,
}

/// Where the scanner stands between tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value; the flag allows the end of an array that has just begun.
    Value { or_end: bool },
    /// A member's name; the flag allows the end of an object that has just begun.
    Name { or_end: bool },
    /// A comma, or the end of what is open.
    Next,
}

pub(super) struct Scanner<'a> {
    text: &'a Bytes,
    at: usize,
    /// From where on the text has not been copied to `out`.
    kept: usize,
    out: Vec<u8>,
    depth: usize,
    /// Lowest bit: whether the innermost open one is an object.
    open: u128,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a Bytes) -> Self {
        Self {
            text,
            at: 0,
            kept: 0,
            out: Vec::new(),
            depth: 0,
            open: 0,
        }
    }

    /// The whole text as one value, without white space between its tokens.
    pub(super) fn value(mut self) -> Result<Bytes, Flaw> {
        let mut expect = Expect::Value { or_end: false };
        self.space();
        loop {
            expect = match expect {
                Expect::Value { or_end } => self.token(or_end)?,
                Expect::Name { or_end } => self.name(or_end)?,
                Expect::Next => self.next()?,
            };
            let end = self.at;
            self.space();
            if self.depth == 0 && expect == Expect::Next {
                return if self.at == self.text.len() {
                    Ok(self.finish(end))
                } else {
                    Err(self.flaw("more after the value"))
                };
            }
        }
    }

    /// What has been kept of everything before `end`.
    fn finish(mut self, end: usize) -> Bytes {
        if self.out.is_empty() {
            return self.text.slice(self.kept..end);
        }
        self.out.extend_from_slice(&self.text[self.kept..end]);
        Bytes::from(self.out)
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        let what = if self.at >= self.text.len() {
            "the end of the text"
        } else {
            what
        };
        Flaw { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space; what follows is kept from there on. White space at the end of the text is left to `finish`.
    fn space(&mut self) {
        let end = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        if self.at > end && self.at < self.text.len() {
            self.out.extend_from_slice(&self.text[self.kept..end]);
            self.kept = self.at;
        }
    }

    fn token(&mut self, or_end: bool) -> Result<Expect, Flaw> {
        match self.peek() {
            Some(b'{') => self.begin(true).map(|()| Expect::Name { or_end: true }),
            Some(b'[') => self.begin(false).map(|()| Expect::Value { or_end: true }),
            Some(b']') if or_end => Ok(self.end()),
            Some(b'"') => self.string().map(|()| Expect::Next),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Expect::Next),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.flaw("no value")),
        }
    }

    fn name(&mut self, or_end: bool) -> Result<Expect, Flaw> {
        match self.peek() {
            Some(b'}') if or_end => Ok(self.end()),
            Some(b'"') => {
                self.string()?;
                self.space();
                self.byte(b':', "no colon after a member's name")?;
                Ok(Expect::Value { or_end: false })
            }
            _ => Err(self.flaw("no member's name")),
        }
    }

    fn next(&mut self) -> Result<Expect, Flaw> {
        let object = self.open & 1 == 1;
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                let or_end = false;
                Ok(if object {
                    Expect::Name { or_end }
                } else {
                    Expect::Value { or_end }
                })
            }
            Some(b'}') if object => Ok(self.end()),
            Some(b']') if !object => Ok(self.end()),
            _ => Err(self.flaw("neither a comma nor the end of what is open")),
        }
    }

    fn begin(&mut self, object: bool) -> Result<(), Flaw> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(self.flaw("more than 128 levels"));
        }
        self.depth += 1;
        self.open = self.open << 1 | u128::from(object);
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Expect {
        self.depth -= 1;
        self.open >>= 1;
        self.at += 1;
        Expect::Next
    }

    fn byte(&mut self, byte: u8, what: &'static str) -> Result<(), Flaw> {
        if self.peek() != Some(byte) {
            return Err(self.flaw(what));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<Expect, Flaw> {
        for byte in word {
            self.byte(*byte, "neither true, false nor null")?;
        }
        Ok(Expect::Next)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.flaw("no digit"))
        } else {
            Ok(())
        }
    }

    fn string(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.flaw("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.flaw("an open string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let lone = Flaw {
                    what: "a lone surrogate",
                    at: start,
                };
                match self.unit()? {
                    0xd800..0xdc00 => {
                        let paired = self.text[self.at..].starts_with(b"\\u");
                        if !paired {
                            return Err(lone);
                        }
                        self.at += 1;
                        if matches!(self.unit()?, 0xdc00..0xe000) {
                            Ok(())
                        } else {
                            Err(lone)
                        }
                    }
                    0xdc00..0xe000 => Err(lone),
                    _ => Ok(()),
                }
            }
            _ => Err(self.flaw("an unknown escape")),
        }
    }

    /// Four hexadecimal digits behind the `u` at which the scanner stands.
    fn unit(&mut self) -> Result<u32, Flaw> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.flaw("no hexadecimal digit"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}
