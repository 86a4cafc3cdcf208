//! Numbers as people write them: groups of digits between separators, and what stands around them.

use std::ops::Range;

use super::BEFORE;

const MOST_DIGITS: usize = 24;
const MOST_GROUPS: usize = 8;

/// The groups of digits that begin at one place, with one separator throughout.
#[derive(Debug)]
pub struct Digits {
    pub start: usize,
    pub separator: Option<u8>,
    values: [u8; MOST_DIGITS],
    total: usize,
    /// For each group how many digits there are up to its end, and where it ends in the text.
    groups: [(usize, usize); MOST_GROUPS],
    count: usize,
}

impl Digits {
    /// Reads from the first digit of a word. What is too long is left out from the group on that is too much.
    pub fn read(bytes: &[u8], start: usize) -> Self {
        let mut read = Self {
            start,
            separator: None,
            values: [0; MOST_DIGITS],
            total: 0,
            groups: [(0, 0); MOST_GROUPS],
            count: 0,
        };
        let mut at = start;
        while read.count < MOST_GROUPS {
            let group = bytes[at..].iter().take(MOST_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
            let after = at + group;
            let word_goes_on = bytes.get(after).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
            if group == 0 || read.total + group > MOST_DIGITS || word_goes_on {
                break;
            }
            for (place, byte) in read.values[read.total..].iter_mut().zip(&bytes[at..after]) {
                *place = byte - b'0';
            }
            read.total += group;
            read.groups[read.count] = (read.total, after);
            read.count += 1;
            match bytes.get(after) {
                Some(separator @ (b' ' | b'-' | b'.' | b'/'))
                    if read.separator.is_none_or(|first| first == *separator)
                        && bytes.get(after + 1).is_some_and(u8::is_ascii_digit) =>
                {
                    read.separator = Some(*separator);
                    at = after + 1;
                }
                _ => break,
            }
        }
        read
    }

    pub fn total(&self) -> usize {
        self.total
    }

    /// How long each of the first `count` groups is.
    pub fn lengths(&self, count: usize) -> impl Iterator<Item = usize> {
        let ends = self.groups[..count.min(self.count)].iter().map(|(digits, _)| *digits);
        ends.scan(0, |before, end| Some(end - std::mem::replace(before, end)))
    }

    /// The digits of the first groups, if these are as long as `lengths` says, and where they end.
    pub fn shaped(&self, lengths: &[usize]) -> Option<(&[u8], usize)> {
        let fits = self.count >= lengths.len() && self.lengths(lengths.len()).eq(lengths.iter().copied());
        fits.then(|| self.first(lengths.len())).flatten()
    }

    /// The digits of the first groups, and where they end.
    pub fn first(&self, groups: usize) -> Option<(&[u8], usize)> {
        let (digits, end) = *self.groups.get(groups.checked_sub(1)?).filter(|_| groups <= self.count)?;
        Some((&self.values[..digits], end))
    }

    pub fn count(&self) -> usize {
        self.count
    }
}

/// The letters and digits around `at`.
pub fn word(bytes: &[u8], at: usize) -> Range<usize> {
    let inside = |b: &&u8| b.is_ascii_alphanumeric();
    // A word that is longer is of no interest, wherever it begins.
    let before = bytes[at.saturating_sub(64)..at].iter().rev().take_while(inside).count();
    at - before..at + bytes[at..].iter().take_while(inside).count()
}

/// Nothing before `start` says that the number began earlier.
pub fn begins(bytes: &[u8], start: usize) -> bool {
    let before = |back: usize| start.checked_sub(back).map(|at| bytes[at]);
    match before(1) {
        Some(b'-' | b'.' | b'/' | b'+') => !before(2).is_some_and(|b| b.is_ascii_alphanumeric()),
        Some(b) => !b.is_ascii_alphanumeric() && b != b'_',
        None => true,
    }
}

/// Nothing behind `end` says that the number goes on.
pub fn ends(bytes: &[u8], end: usize) -> bool {
    match bytes.get(end) {
        Some(b'-' | b'.' | b'/') => !bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b) => !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'@'),
        None => true,
    }
}

/// Whether one of `words` (in lower case) stands shortly before `start`, on whose behalf a number is believed. A long one
/// may begin a longer word (`telefonnummer`); `homePhone` and `home_phone` are two words.
pub fn announced(bytes: &[u8], start: usize, words: &[&str]) -> bool {
    let text = &bytes[start.saturating_sub(BEFORE)..start];
    let byte = |at: usize| text.get(at).copied().unwrap_or_default();
    let parts = |first: u8, second: u8| {
        !(first.is_ascii_alphabetic() && second.is_ascii_alphabetic())
            || first.is_ascii_lowercase() && second.is_ascii_uppercase()
    };
    let begins = |at: usize| byte(at).is_ascii_alphabetic() && (at == 0 || parts(byte(at - 1), byte(at)));
    let stands = |word: &str, at: usize| {
        let end = at + word.len();
        text.get(at..end).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
            && (word.len() > 5 || parts(byte(end - 1), byte(end)))
    };
    (0..text.len()).filter(|at| begins(*at)).any(|at| {
        let first = byte(at).to_ascii_lowercase();
        words.iter().any(|word| word.as_bytes()[0] == first && stands(word, at))
    })
}

/// What may stand within an address, a number, a key: a hit may go on as long as these come.
fn within(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._%+-@:/=~#'&".contains(c) || ('\u{c0}'..='\u{7ff}').contains(&c)
}

/// How far back a number in groups may reach from the last word: an IBAN in groups of four and what is around it.
const LONGEST: usize = 64;

/// Where that begins at the end of a text which more text could belong to.
pub fn open(text: &str) -> usize {
    let last = |text: &str| text.trim_end_matches(within).len();
    let mut open = last(text);
    let reach = open.saturating_sub(LONGEST);
    // Groups before it.
    while open > reach {
        let rest = text[..open].trim_end_matches([' ', '(', ')']);
        let separators = &text[rest.len()..open];
        let group = &rest[last(rest)..];
        let upper = group.len() <= 4 && group.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let grouped = group.bytes().any(|b| b.is_ascii_digit()) || upper;
        // Of a long word the end alone can be the beginning of a number.
        let begins = rest.len() - group.len().min(LONGEST);
        let begins = (begins..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        if separators.len() > 3 || group.is_empty() || !grouped {
            // The bracket before an area code.
            return if separators.ends_with('(') { open - 1 } else { open };
        }
        open = begins;
    }
    open
}
