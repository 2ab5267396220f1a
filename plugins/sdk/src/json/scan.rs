//! The scanner: from one place in a record to the place behind a string, a scalar or a whole value.
//!
//! Places are passed on in registers rather than kept in the scanner: a place that goes through memory between any
//! two steps costs more than the steps. So a fault is noted in the scanner, and [`Scanner::error`] makes its words.

use super::{DEPTH_MAX, JsonError, JsonErrorKind, quoted, run::plain_end, unescape};

/// What the grammar does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Value,
    Name,
    Colon,
    CommaOrBrace,
    CommaOrBracket,
    Digit,
    Literal,
    Control,
    Escape,
    HexDigit,
    Surrogate,
    Depth,
    Trailing,
    DuplicateKey,
}

/// The record is refused; the scanner knows why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused;

const DEPTH_WORDS: usize = DEPTH_MAX.div_ceil(64);

/// The scanner of one record. Its functions take a place and return the place behind what they stepped over.
#[derive(Debug)]
pub(crate) struct Scanner<'r> {
    text: &'r str,
    bytes: &'r [u8],
    fault: Option<(Fault, usize)>,
    /// One bit for each container that [`Scanner::skip`] has open: set for objects.
    objects: [u64; DEPTH_WORDS],
}

impl<'r> Scanner<'r> {
    pub(crate) fn new(text: &'r str) -> Self {
        Self { text, bytes: text.as_bytes(), fault: None, objects: [0; DEPTH_WORDS] }
    }

    /// The byte at a place; 0, which the grammar allows nowhere, at the end.
    #[inline(always)]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &'r [u8] {
        self.bytes
    }

    #[cold]
    pub(crate) fn refuse(&mut self, fault: Fault, at: usize) -> Refused {
        self.fault = Some((fault, at));
        Refused
    }

    /// The first place at or behind `at` that is no white space.
    #[inline(always)]
    pub(crate) fn whitespace(&self, at: usize) -> usize {
        // Most often there is none, or one space; both are told by what stands behind, which is no control character.
        if self.byte(at) > b' ' {
            at
        } else if self.byte(at) == b' ' && self.byte(at + 1) > b' ' {
            at + 1
        } else {
            self.long_whitespace(at)
        }
    }

    #[inline(never)]
    fn long_whitespace(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// Steps over a member's name, from its opening quote, and the colon behind it, to the value.
    #[inline(always)]
    pub(crate) fn name(&mut self, at: usize) -> Result<(Scalar, usize), Refused> {
        if self.byte(at) != b'"' {
            return Err(self.refuse(Fault::Name, at));
        }
        let name = self.string(at)?;
        let at = self.whitespace(name.end);
        if self.byte(at) != b':' {
            return Err(self.refuse(Fault::Colon, at));
        }
        Ok((name, self.whitespace(at + 1)))
    }

    /// Steps over a string, from its opening quote.
    #[inline(always)]
    pub(crate) fn string(&mut self, at: usize) -> Result<Scalar, Refused> {
        let end = plain_end(self.bytes, at + 1);
        if self.byte(end) == b'"' {
            return Ok(Scalar { end: end + 1, escaped: false });
        }
        Ok(Scalar { end: self.escaped_string(end)?, escaped: true })
    }

    /// The rest of a string, from its first byte that is not plain.
    #[inline(never)]
    fn escaped_string(&mut self, mut at: usize) -> Result<usize, Refused> {
        loop {
            at = match self.byte(at) {
                b'"' => return Ok(at + 1),
                b'\\' => self.escape(at + 1)?,
                _ => return Err(self.refuse(Fault::Control, at)),
            };
            at = plain_end(self.bytes, at);
        }
    }

    /// An escape, from what stands behind its backslash.
    fn escape(&mut self, at: usize) -> Result<usize, Refused> {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
            b'u' => match self.unit(at + 1)? {
                0xD800..0xDC00 if self.byte(at + 5) == b'\\' && self.byte(at + 6) == b'u' => {
                    match self.unit(at + 7)? {
                        0xDC00..0xE000 => Ok(at + 11),
                        _ => Err(self.refuse(Fault::Surrogate, at - 1)),
                    }
                }
                0xD800..0xE000 => Err(self.refuse(Fault::Surrogate, at - 1)),
                _ => Ok(at + 5),
            },
            _ => Err(self.refuse(Fault::Escape, at)),
        }
    }

    /// The four digits behind `\u`.
    fn unit(&mut self, at: usize) -> Result<u32, Refused> {
        let mut unit = 0;
        for at in at..at + 4 {
            match char::from(self.byte(at)).to_digit(16) {
                Some(digit) => unit = unit * 16 + digit,
                None => return Err(self.refuse(Fault::HexDigit, at)),
            }
        }
        Ok(unit)
    }

    #[inline(always)]
    fn digits(&mut self, mut at: usize) -> Result<usize, Refused> {
        if !self.byte(at).is_ascii_digit() {
            return Err(self.refuse(Fault::Digit, at));
        }
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        Ok(at)
    }

    #[inline(always)]
    fn number(&mut self, mut at: usize) -> Result<usize, Refused> {
        if self.byte(at) == b'-' {
            at += 1;
        }
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            at += 1;
            if matches!(self.byte(at), b'+' | b'-') {
                at += 1;
            }
            at = self.digits(at)?;
        }
        Ok(at)
    }

    #[inline(always)]
    fn literal(&mut self, at: usize, word: &[u8]) -> Result<usize, Refused> {
        let same = self.bytes[at..].iter().zip(word).take_while(|(found, expected)| found == expected).count();
        if same == word.len() { Ok(at + same) } else { Err(self.refuse(Fault::Literal, at + same)) }
    }

    /// Steps over a string, number, `true`, `false` or `null`.
    #[inline(always)]
    pub(crate) fn scalar(&mut self, at: usize) -> Result<Scalar, Refused> {
        let end = match self.byte(at) {
            b'"' => return self.string(at),
            b'-' | b'0'..=b'9' => self.number(at)?,
            b't' => self.literal(at, b"true")?,
            b'f' => self.literal(at, b"false")?,
            b'n' => self.literal(at, b"null")?,
            _ => return Err(self.refuse(Fault::Value, at)),
        };
        Ok(Scalar { end, escaped: false })
    }

    /// Steps over any value; `depth` containers are open around it.
    #[inline(always)]
    pub(crate) fn skip(&mut self, at: usize, depth: usize) -> Result<usize, Refused> {
        match self.byte(at) {
            b'{' | b'[' => self.skip_container(at, depth),
            _ => self.scalar(at).map(|scalar| scalar.end),
        }
    }

    /// A loop instead of recursion: skipped parts cost no stack.
    #[inline(never)]
    pub(crate) fn skip_container(&mut self, mut at: usize, outside: usize) -> Result<usize, Refused> {
        let mut depth = outside;
        loop {
            let byte = self.byte(at);
            if matches!(byte, b'{' | b'[') {
                let object = byte == b'{';
                if depth >= DEPTH_MAX {
                    return Err(self.refuse(Fault::Depth, at));
                }
                let (word, bit) = (depth / 64, depth % 64);
                self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
                depth += 1;
                at = self.whitespace(at + 1);
                if self.byte(at) != byte + 2 {
                    if object {
                        at = self.name(at)?.1;
                    }
                    continue;
                }
                // The brackets of ASCII close two behind where they open.
                at += 1;
                depth -= 1;
            } else {
                at = self.scalar(at)?.end;
            }
            // Behind a value: close what ends here.
            loop {
                if depth == outside {
                    return Ok(at);
                }
                at = self.whitespace(at);
                let object = self.objects[(depth - 1) / 64] >> ((depth - 1) % 64) & 1 == 1;
                match (self.byte(at), object) {
                    (b',', true) => {
                        at = self.whitespace(at + 1);
                        at = self.name(at)?.1;
                        break;
                    }
                    (b',', false) => {
                        at = self.whitespace(at + 1);
                        break;
                    }
                    (b'}', true) | (b']', false) => at += 1,
                    (_, true) => return Err(self.refuse(Fault::CommaOrBrace, at)),
                    (_, false) => return Err(self.refuse(Fault::CommaOrBracket, at)),
                }
                depth -= 1;
            }
        }
    }

    /// Checks that only white space follows.
    pub(crate) fn end(&mut self, at: usize) -> Result<(), Refused> {
        let at = self.whitespace(at);
        if at == self.bytes.len() { Ok(()) } else { Err(self.refuse(Fault::Trailing, at)) }
    }

    /// Why the record was refused.
    pub(crate) fn error(&self, _: Refused) -> JsonError {
        let (fault, offset) = self.fault.expect("there is a fault: only `refuse` makes a `Refused`");
        let expected = match fault {
            Fault::Depth => return JsonError { offset, kind: JsonErrorKind::TooDeep },
            Fault::Surrogate => return JsonError { offset, kind: JsonErrorKind::LoneSurrogate },
            Fault::DuplicateKey => {
                let key = unescape(quoted(self.text, offset)).into_owned();
                return JsonError { offset, kind: JsonErrorKind::DuplicateKey { key } };
            }
            Fault::Value => "a JSON value",
            Fault::Name => "a name in double quotes",
            Fault::Colon => "`:`",
            Fault::CommaOrBrace => "`,` or `}`",
            Fault::CommaOrBracket => "`,` or `]`",
            Fault::Digit => "a digit",
            Fault::Literal => "`true`, `false` or `null`",
            Fault::Control => "a character of a string; control characters are written as escapes",
            Fault::Escape => r#"one of `"\/bfnrtu` behind `\`"#,
            Fault::HexDigit => "four hexadecimal digits",
            Fault::Trailing => "the end of the record: a record is one JSON value",
        };
        let kind = match self.text.get(offset..).and_then(|rest| rest.chars().next()) {
            None => JsonErrorKind::UnexpectedEnd,
            Some(found) if found.is_control() || found == '\u{feff}' => {
                JsonErrorKind::Unexpected { found: format!("U+{:04X}", u32::from(found)), expected }
            }
            Some(found) => JsonErrorKind::Unexpected { found: format!("`{found}`"), expected },
        };
        JsonError { offset, kind }
    }
}

/// A scalar that was stepped over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar {
    /// The place behind it, behind its closing quote where it is a string.
    pub(crate) end: usize,
    /// It is a string with escapes.
    pub(crate) escaped: bool,
}
