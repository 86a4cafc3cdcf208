//! JSON bodies that are no conversations: every string is looked at, and changes are splices, so that all other bytes stay.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::walk::{form, is_blob, is_kept};
use super::{Checked, Guardrail, Refusal};

/// Numbers with fewer digits are nothing that is looked for.
const LEAST_DIGITS: usize = 8;

impl Guardrail {
    /// Whether there is anything in the body that a check could change or refuse. It may be in something that is left
    /// alone; that there is nothing is certain.
    pub fn finds(&self, body: &[u8]) -> bool {
        if !self.checks_input() {
            return false;
        }
        let (mut gap, mut key) = (0, Cow::Borrowed(""));
        for JsonString { span, is_key, key: next } in Strings::new(body) {
            let between = &body[gap..span.start.max(1) - 1];
            let text = || decoded(&body[span.clone()]);
            if self.finds_number(between, &key) || !is_key && !is_kept(&next) && self.finds_in(&text(), &next)
            {
                return true;
            }
            gap = span.end + 1;
            key = next;
        }
        self.finds_number(body.get(gap..).unwrap_or_default(), &key)
    }

    fn finds_in(&self, text: &str, key: &str) -> bool {
        if is_blob(text) {
            return false;
        }
        let announced = text.len() <= 256 && !key.is_empty();
        let text = if announced { Cow::Owned(format!("{key}: {text}")) } else { Cow::Borrowed(text) };
        let from = if announced { key.len() + 2 } else { 0 };
        !self.input.hits(&text, from).is_empty()
    }

    /// Numbers that are no strings, such as in a tool call's arguments that are an object.
    fn finds_number(&self, between: &[u8], key: &str) -> bool {
        let long = between.split(|b| !b.is_ascii_digit()).any(|digits| digits.len() >= LEAST_DIGITS);
        long && self.finds_in(&String::from_utf8_lossy(between), key)
    }

    /// Checks a body and, where something changes, gives the edited one. Numbers that are no strings stay: in such bodies
    /// they are tokens and settings.
    pub fn check_json(&self, body: &[u8]) -> Result<(Option<Vec<u8>>, Checked), Box<Refusal>> {
        let mut splices = Vec::new();
        let checked = self.survey_and_edit(|visitor| {
            splices.clear();
            for string in Strings::new(body).filter(|string| !string.is_key && !is_kept(&string.key)) {
                let text = decoded(&body[string.span.clone()]);
                let at = Place { body, offset: string.span.start };
                if let Some(edited) = visitor.changed(&text, form(&string.key), &string.key, &at)? {
                    splices.push((string.span, edited));
                }
            }
            Ok(())
        })?;
        Ok((checked.edited.then(|| splice(body, &splices)), checked))
    }
}

/// The body with other strings in these places.
pub fn splice(body: &[u8], splices: &[(Range<usize>, String)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for (span, text) in splices {
        let quoted = serde_json::Value::from(text.as_str()).to_string();
        out.extend_from_slice(&body[at..span.start]);
        out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        at = span.end;
    }
    out.extend_from_slice(&body[at..]);
    out
}

/// A string of a document.
#[derive(Debug)]
pub struct JsonString<'a> {
    /// Where its content stands.
    pub span: Range<usize>,
    pub is_key: bool,
    /// The key of the member that it is in.
    pub key: Cow<'a, str>,
}

/// All strings of a document, in order. What is no JSON ends it.
#[derive(Debug)]
pub struct Strings<'a> {
    body: &'a [u8],
    at: usize,
    key: Cow<'a, str>,
}

impl<'a> Strings<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, key: Cow::Borrowed("") }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = JsonString<'a>;

    fn next(&mut self) -> Option<JsonString<'a>> {
        let start = self.at + memchr(b'"', self.body.get(self.at..)?)? + 1;
        let mut end = start;
        loop {
            end += memchr2(b'"', b'\\', self.body.get(end..)?)?;
            if self.body[end] == b'"' {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        let next = self.body[self.at..].iter().find(|b| !b.is_ascii_whitespace());
        let is_key = next == Some(&b':');
        if is_key {
            self.key = decoded(&self.body[start..end]);
        }
        Some(JsonString { span: start..end, is_key, key: self.key.clone() })
    }
}

/// What a string says. Half a surrogate pair says nothing; such a string is taken as it is written.
pub fn decoded(content: &[u8]) -> Cow<'_, str> {
    if memchr(b'\\', content).is_none() {
        return String::from_utf8_lossy(content);
    }
    let quoted = [b"\"", content, b"\""].concat();
    serde_json::from_slice(&quoted).map_or_else(|_| String::from_utf8_lossy(content), Cow::Owned)
}

/// A place in a body, which is written as a JSON pointer.
struct Place<'a> {
    body: &'a [u8],
    offset: usize,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut open: Vec<Step> = Vec::new();
        let mut at = 0;
        for string in Strings::new(self.body) {
            self.body[at..string.span.start].iter().for_each(|b| structure(&mut open, *b));
            at = string.span.end + 1;
            if string.is_key
                && let Some(Step::Member(key)) = open.last_mut()
            {
                *key = string.key.replace('~', "~0").replace('/', "~1");
            }
            if string.span.start >= self.offset {
                break;
            }
        }
        open.iter().try_for_each(|step| match step {
            Step::Member(key) => write!(f, "/{key}"),
            Step::Item(index) => write!(f, "/{index}"),
        })
    }
}

enum Step {
    Member(String),
    Item(usize),
}

fn structure(open: &mut Vec<Step>, b: u8) {
    match (b, open.last_mut()) {
        (b'{', _) => open.push(Step::Member(String::new())),
        (b'[', _) => open.push(Step::Item(0)),
        (b'}' | b']', _) => drop(open.pop()),
        (b',', Some(Step::Item(index))) => *index += 1,
        _ => {}
    }
}
