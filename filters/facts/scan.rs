//! A strict JSON scanner: it walks over values, says where they stand, and keeps nothing.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use crate::error::Error;

/// How deep a body may nest. Real ones stay under 60; absurd ones exist to overflow a parser's stack.
pub const MAX_DEPTH: usize = 512;

/// A string shorter than this is text, whatever it looks like.
const SMALLEST_FILE: usize = 2048;

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Files in base64 that were walked over, and their bytes.
    files: (u32, usize),
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, files: (0, 0) }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many files in base64 were walked over so far, and how many bytes they took.
    pub(super) fn files(&self) -> (u32, usize) {
        self.files
    }

    pub(super) fn slice(&self, span: &Range<usize>) -> &'a [u8] {
        &self.bytes[span.clone()]
    }

    /// The first byte of what comes next, white space aside.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.white_space();
        self.bytes.get(self.at).copied()
    }

    pub(super) fn open_object(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(())
            }
            None => {
                Err(Error::invalid("The request body is empty; a JSON object is expected.")
                    .code("invalid_json"))
            }
            Some(_) => Err(self.unexpected("a JSON object")),
        }
    }

    /// The next member's key, up to its value; `None` where the object closes.
    pub(super) fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Error> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.white_space();
            }
            _ if first => {}
            _ => return Err(self.unexpected("`,` or `}`")),
        }
        let span = self.key()?;
        let text = &self.bytes[span.clone()];
        if text.contains(&b'\\') {
            // Rare: `"mod\u0065l"` is the same key as `"model"`, to us as to the provider.
            let quoted = &self.bytes[span.start - 1..=span.end];
            let key: String = serde_json::from_slice(quoted).map_err(|_| self.unexpected("a key"))?;
            return Ok(Some(Cow::Owned(key)));
        }
        Ok(Some(String::from_utf8_lossy(text)))
    }

    /// Walks over one value of any kind and says where it stood.
    pub(super) fn skip_value(&mut self) -> Result<Range<usize>, Error> {
        self.white_space();
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            self.white_space();
            match self.byte() {
                Some(b'{') => {
                    self.at += 1;
                    if self.peek() != Some(b'}') {
                        open.push(true).map_err(|()| too_deep())?;
                        self.key()?;
                        continue;
                    }
                    self.at += 1;
                }
                Some(b'[') => {
                    self.at += 1;
                    if self.peek() != Some(b']') {
                        open.push(false).map_err(|()| too_deep())?;
                        continue;
                    }
                    self.at += 1;
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.unexpected("a value")),
            }
            if self.after_value(&mut open)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the body")),
        }
    }

    /// Closes what closes here. True where the outermost value is complete, false where another follows.
    fn after_value(&mut self, open: &mut Nesting) -> Result<bool, Error> {
        while let Some(object) = open.top() {
            match (self.peek(), object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.white_space();
                    self.key()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                (_, true) => return Err(self.unexpected("`,` or `}`")),
                (_, false) => return Err(self.unexpected("`,` or `]`")),
            }
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<Range<usize>, Error> {
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let span = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok(span)
    }

    /// A string from its opening quote; says where its content stood.
    fn string(&mut self) -> Result<Range<usize>, Error> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(offset) = memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return Err(self.unexpected("the end of a string"));
            };
            if let Some(control) = rest[..offset].iter().position(|b| *b < 0x20) {
                self.at += control;
                return Err(self.unexpected("an escaped control character"));
            }
            self.at += offset;
            if self.bytes[self.at] == b'"' {
                let content = &self.bytes[start..self.at];
                if content.len() >= SMALLEST_FILE && is_base64(content) {
                    self.files = (self.files.0 + 1, self.files.1 + content.len());
                }
                self.at += 1;
                return Ok(start..self.at - 1);
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.unexpected("four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.unexpected("an escape sequence")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.unexpected("a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Error> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let at = self.at;
        let found = if at >= self.bytes.len() { "it ends there" } else { "something else stands there" };
        Error::invalid(format!(
            "The request body is not valid JSON: {expected} is expected at byte {at}, but {found}."
        ))
        .code("invalid_json")
    }
}

/// Whether a long string is a file in base64, alone or behind `data:…;base64,`, from a few looks at it: text has a
/// space somewhere in a hundred bytes.
fn is_base64(content: &[u8]) -> bool {
    let middle = content.len() / 2;
    let looks = [&content[256..384], &content[middle..middle + 128], &content[content.len() - 128..]];
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    looks.into_iter().flatten().all(fits)
}

fn too_deep() -> Error {
    Error::invalid(format!("The request body nests deeper than {MAX_DEPTH} levels.")).code("invalid_json")
}

/// Which of the open brackets are objects, one bit each.
#[derive(Default)]
struct Nesting {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Result<(), ()> {
        // The object around everything is open too.
        if self.depth + 1 >= MAX_DEPTH {
            return Err(());
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if object {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn top(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.bits[last / 64] & (1 << (last % 64)) != 0)
    }
}
