//! Editing a JSON document that comes in pieces, such as a tool call's arguments: its strings and numbers are looked at
//! as what they say, and it stays JSON.

use super::edit::{Blocked, Ruling, announcement, edit};
use super::window::Window;

/// A longer number is nothing that is looked for.
const LONGEST_NUMBER: usize = 40;
/// `\ud83d\ude00`
const LONGEST_ESCAPE: usize = 12;
/// How much of a key is kept.
const LONGEST_KEY: usize = 40;

/// How many bytes of a document may wait beside those of [`super::window::MAX_HOLD`].
pub const MAX_HOLD: usize = LONGEST_NUMBER + LONGEST_ESCAPE;

/// One document on its way.
#[derive(Debug, Default)]
pub struct JsonText {
    state: State,
    window: Window,
    /// The string that is open, or came last.
    string: String,
    /// The key of the member that is open.
    key: String,
}

#[derive(Default)]
enum State {
    #[default]
    Between,
    /// A number so far.
    Number(String),
    /// The rest of a number that was too long.
    LongNumber,
    InString,
    /// An escape sequence so far.
    Escape(String),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Between => "Between",
            Self::Number(_) | Self::LongNumber => "Number",
            Self::InString | Self::Escape(_) => "String",
        })
    }
}

impl JsonText {
    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        let open = match &self.state {
            State::Number(text) | State::Escape(text) => text.len(),
            _ => 0,
        };
        self.window.waiting() + open
    }

    /// Takes a piece and writes what can go out; everything, if it is the `last`.
    pub fn push(
        &mut self,
        piece: &str,
        last: bool,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<(), Blocked> {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match self.state {
                State::InString => self.in_string(rest, ruling, out)?,
                State::Escape(_) => self.escape(rest, ruling, out)?,
                _ => self.between(rest, ruling, out)?,
            };
        }
        if last {
            self.end(ruling, out)?;
        }
        Ok(())
    }

    /// The document is over, wherever it is.
    fn end(&mut self, ruling: &mut impl Ruling, out: &mut String) -> Result<(), Blocked> {
        match std::mem::take(&mut self.state) {
            State::Number(number) => self.number(&number, ruling, out),
            State::InString => self.text("", true, ruling, out),
            State::Escape(begun) => {
                self.text("", true, ruling, out)?;
                out.push_str(&begun);
                Ok(())
            }
            State::Between | State::LongNumber => Ok(()),
        }
    }

    fn between<'a>(
        &mut self,
        text: &'a str,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<&'a str, Blocked> {
        let mut characters = text.chars();
        let Some(c) = characters.next() else { return Ok("") };
        let digit = matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        match &mut self.state {
            State::Number(number) if digit => {
                number.push(c);
                if number.len() >= LONGEST_NUMBER {
                    out.push_str(number);
                    self.state = State::LongNumber;
                }
                return Ok(characters.as_str());
            }
            State::LongNumber if digit => {
                out.push(c);
                return Ok(characters.as_str());
            }
            State::Number(number) => {
                let number = std::mem::take(number);
                self.number(&number, ruling, out)?;
            }
            _ => {}
        }
        self.state = State::Between;
        match c {
            '0'..='9' | '-' => {
                self.state = State::Number(c.to_string());
                return Ok(characters.as_str());
            }
            '"' => {
                self.state = State::InString;
                self.string.clear();
                let announcement = if self.key.is_empty() { String::new() } else { announcement(&self.key) };
                self.window.begin(&announcement);
            }
            ':' => std::mem::swap(&mut self.key, &mut self.string),
            _ => {}
        }
        out.push(c);
        Ok(characters.as_str())
    }

    fn in_string<'a>(
        &mut self,
        text: &'a str,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<&'a str, Blocked> {
        let Some(at) = memchr::memchr2(b'"', b'\\', text.as_bytes()) else {
            self.text(text, false, ruling, out)?;
            return Ok("");
        };
        let closes = text.as_bytes()[at] == b'"';
        self.text(&text[..at], closes, ruling, out)?;
        if closes {
            out.push('"');
            self.state = State::Between;
        } else {
            self.state = State::Escape("\\".to_owned());
        }
        Ok(&text[at + 1..])
    }

    fn escape<'a>(
        &mut self,
        text: &'a str,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<&'a str, Blocked> {
        let State::Escape(begun) = &mut self.state else { return Ok(text) };
        let mut characters = text.chars();
        let Some(c) = characters.next() else { return Ok("") };
        // A surrogate that no other follows says nothing; it stays as it is.
        let expected = match begun.len() {
            1 | 7 => true,
            6 => c == '\\',
            _ => c.is_ascii_hexdigit(),
        };
        let lone = begun.len() == 7 && c != 'u' || begun.len() == 6 && !expected;
        if lone || !expected {
            let begun = std::mem::take(begun);
            let (whole, open) = begun.split_at(begun.len().min(6));
            let (whole, open) = (whole.to_owned(), open.to_owned());
            self.text("", true, ruling, out)?;
            out.push_str(&whole);
            self.window.begin("");
            self.state = if open.is_empty() { State::InString } else { State::Escape(open) };
            return Ok(text);
        }
        begun.push(c);
        let complete = match begun.len() {
            2 => c != 'u',
            6 => !is_high_surrogate(begun),
            LONGEST_ESCAPE => true,
            length => length > LONGEST_ESCAPE,
        };
        if complete {
            let begun = std::mem::take(begun);
            self.state = State::InString;
            if let Ok(said) = serde_json::from_str::<String>(&format!("\"{begun}\"")) {
                self.text(&said, false, ruling, out)?;
            } else {
                self.text("", true, ruling, out)?;
                out.push_str(&begun);
                self.window.begin("");
            }
        }
        Ok(characters.as_str())
    }

    /// A piece of a string's content.
    fn text(
        &mut self,
        piece: &str,
        last: bool,
        ruling: &mut impl Ruling,
        out: &mut String,
    ) -> Result<(), Blocked> {
        let room = LONGEST_KEY.saturating_sub(self.string.len());
        self.string.extend(piece.chars().take(room));
        let mut plain = String::new();
        self.window.push(piece, last, ruling, &mut plain)?;
        quote(&plain, out);
        Ok(())
    }

    /// A number that is to be changed becomes a string.
    fn number(&mut self, number: &str, ruling: &mut impl Ruling, out: &mut String) -> Result<(), Blocked> {
        match edit(number, &self.key, ruling)? {
            Some(edited) => {
                out.push('"');
                quote(&edited, out);
                out.push('"');
            }
            None => out.push_str(number),
        }
        Ok(())
    }
}

fn is_high_surrogate(escape: &str) -> bool {
    let code = escape.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    code.is_some_and(|code| (0xd800..0xdc00).contains(&code))
}

/// Writes what stands between the quotes.
fn quote(text: &str, out: &mut String) {
    if !text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.push_str(text);
        return;
    }
    let quoted = serde_json::Value::from(text).to_string();
    out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default());
}

/// Whether `text` looks like a document of which the strings are to be looked at.
pub fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
}
