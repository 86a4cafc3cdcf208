//! Ends a JSON document that stopped anywhere, so that it parses and says nothing that counts.

/// How deep objects and arrays are followed; readers refuse what is deeper.
const MAX_DEPTH: usize = 128;

/// Where in a document its last byte stands. Keeps a few hundred bytes at most.
#[derive(Debug, Default, Clone)]
pub(super) struct Scan {
    /// The objects and arrays that are open, by their first byte.
    open: Vec<u8>,
    too_deep: bool,
    at: At,
    /// The end of a number or word that may go on.
    word: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    /// Behind `{` or `[`.
    Open,
    Comma,
    /// In a string; `key` if it is one.
    String {
        key: bool,
        within: Within,
    },
    Key,
    Colon,
    Word,
    /// Behind a value.
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Text,
    Backslash,
    /// So many digits of `\u` are missing.
    Unicode(u8),
    /// So many bytes of a character are missing, the first of which may not be less than this.
    Utf8(u8, u8),
}

impl Scan {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// Reads one byte, and says whether it ended the document.
    pub(super) fn step(&mut self, byte: u8) -> bool {
        if let At::String { key, within } = self.at {
            self.at = match (within, byte) {
                (Within::Text, b'"') if key => At::Key,
                (Within::Text, b'"') => At::Value,
                (within, byte) => At::String { key, within: within.next(byte) },
            };
            return false;
        }
        match byte {
            b'"' => {
                let key = self.open.last() == Some(&b'{') && matches!(self.at, At::Open | At::Comma);
                self.at = At::String { key, within: Within::Text };
            }
            b'{' | b'[' => {
                self.too_deep |= self.open.len() == MAX_DEPTH;
                if !self.too_deep {
                    self.open.push(byte);
                }
                self.at = At::Open;
            }
            b'}' | b']' => {
                self.open.pop();
                self.at = At::Value;
                return self.open.is_empty();
            }
            b',' => self.at = At::Comma,
            b':' => self.at = At::Colon,
            byte if byte.is_ascii_whitespace() => {
                if self.at == At::Word {
                    self.at = At::Value;
                }
            }
            byte => {
                if self.at != At::Word {
                    self.word.clear();
                }
                // Only a short word can be completed, and only its last byte says how a number goes on.
                if self.word.len() < 8 {
                    self.word.push(byte);
                } else if let Some(last) = self.word.last_mut() {
                    *last = byte;
                }
                self.at = At::Word;
            }
        }
        false
    }

    /// Whether an object has ended.
    pub(super) fn is_whole(&self) -> bool {
        self.open.is_empty() && self.at == At::Value
    }

    /// What makes the object that has begun a whole one. `members` are its last: of members with the same name, the last
    /// one counts for every reader that matters. `None` where no object has begun or it is too deep.
    pub(super) fn rest(&self, members: &str) -> Option<Vec<u8>> {
        if self.too_deep || self.open.first() != Some(&b'{') {
            return None;
        }
        let mut out = Vec::new();
        match self.at {
            At::String { key, within } => {
                within.end(&mut out);
                out.push(b'"');
                if key {
                    out.extend_from_slice(b":null");
                }
            }
            At::Key => out.extend_from_slice(b":null"),
            At::Comma if self.open.last() == Some(&b'{') => out.extend_from_slice(b"\"\":null"),
            At::Comma | At::Colon => out.extend_from_slice(b"null"),
            At::Word => self.end_word(&mut out),
            At::Start | At::Open | At::Value => {}
        }
        for open in self.open[1..].iter().rev() {
            out.push(if *open == b'{' { b'}' } else { b']' });
        }
        if self.open.len() > 1 || self.at != At::Open {
            out.push(b',');
        }
        out.extend_from_slice(members.as_bytes());
        out.push(b'}');
        Some(out)
    }

    fn end_word(&self, out: &mut Vec<u8>) {
        let words = ["true", "false", "null"];
        if let Some(word) = words.iter().find(|word| word.as_bytes().starts_with(&self.word)) {
            out.extend_from_slice(&word.as_bytes()[self.word.len()..]);
        } else if !self.word.last().is_some_and(u8::is_ascii_digit) {
            out.push(b'0');
        }
    }
}

impl Within {
    fn next(self, byte: u8) -> Self {
        match self {
            Self::Backslash if byte == b'u' => Self::Unicode(4),
            Self::Unicode(missing) if missing > 1 => Self::Unicode(missing - 1),
            Self::Utf8(missing, _) if missing > 1 => Self::Utf8(missing - 1, 0x80),
            Self::Backslash | Self::Unicode(_) | Self::Utf8(..) => Self::Text,
            Self::Text => match byte {
                b'\\' => Self::Backslash,
                0xC2..=0xDF => Self::Utf8(1, 0x80),
                0xE0 => Self::Utf8(2, 0xA0),
                0xE1..=0xEF => Self::Utf8(2, 0x80),
                0xF0 => Self::Utf8(3, 0x90),
                0xF1..=0xF4 => Self::Utf8(3, 0x80),
                _ => Self::Text,
            },
        }
    }

    fn end(self, out: &mut Vec<u8>) {
        match self {
            Self::Text => {}
            Self::Backslash => out.push(b'\\'),
            Self::Unicode(missing) => out.extend((0..missing).map(|_| b'0')),
            Self::Utf8(missing, first) => {
                out.push(first);
                out.extend((1..missing).map(|_| 0x80));
            }
        }
    }
}
