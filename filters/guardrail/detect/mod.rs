//! Finding personal data and secrets in a text: one pass over telling bytes, then a check of what stands there.
//!
//! A hit is decided from at most [`BEFORE`] bytes before it and a few behind it, so that a text that comes in pieces
//! gives the same hits as the whole of it.

mod card;
mod email;
mod iban;
mod national;
mod network;
mod number;
mod phone;
mod secret;

use super::kind::{Kind, Kinds};
use number::{Digits, word};
pub use secret::{PEM, key_body, pem_body};

/// How far before a hit its detection looks: for words such as `phone` or `BSN`.
pub const BEFORE: usize = 48;

/// Something that was found, by where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
}

/// What more of the text could still become a part of, or change, a hit: where that begins. At the end of `text` it has
/// no meaning.
pub fn open(text: &str, kinds: Kinds) -> usize {
    if kinds.is_empty() { text.len() } else { number::open(text).min(secret::open(text)) }
}

/// Everything of these kinds that begins at `from` or behind it.
pub fn scan(text: &str, from: usize, kinds: Kinds, found: &mut Vec<Found>) {
    if kinds.is_empty() {
        return;
    }
    if kinds.contains(Kind::Secret) {
        secret::scan(text, from, found);
    }
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(place) = telling(bytes, at) {
        let hit = match bytes[place] {
            b'@' => kinds.contains(Kind::Email).then(|| email::at(bytes, place)).flatten(),
            b':' => colon(bytes, place, kinds),
            _ => {
                let word = word(bytes, place);
                at = word.end;
                digits(bytes, word, kinds)
            }
        };
        match hit {
            Some(hit) => {
                at = hit.end.max(place + 1);
                if hit.start >= from {
                    found.push(hit);
                }
            }
            // Of two colons the first has said it all.
            None => at = at.max(place + 1 + usize::from(bytes[place..].starts_with(b"::"))),
        }
    }
}

/// Which bytes may be in the middle of something: digits, `@` and `:`.
const TELLING: [bool; 256] = {
    let mut table = [false; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = true;
        digit += 1;
    }
    table[b'@' as usize] = true;
    table[b':' as usize] = true;
    table
};

/// The next telling byte. Sixteen at a time, which the compiler makes vector instructions of.
fn telling(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let rest = bytes.get(from..)?;
    for block in rest.chunks_exact(16) {
        // From `0` to `:`, or `@`.
        let any =
            block.iter().fold(0, |any, b| any | u8::from(b.wrapping_sub(b'0') < 11) | u8::from(*b == b'@'));
        if any != 0 {
            break;
        }
        at += 16;
    }
    bytes[at..].iter().position(|b| TELLING[usize::from(*b)]).map(|offset| at + offset)
}

fn colon(bytes: &[u8], at: usize, kinds: Kinds) -> Option<Found> {
    let next = bytes.get(at + 1).copied().unwrap_or_default();
    let before = at.checked_sub(1).map(|at| bytes[at]).unwrap_or_default();
    let group = before.is_ascii_hexdigit() && (next.is_ascii_hexdigit() || next == b':');
    if !group && (next != b':' || before.is_ascii_alphanumeric() || before == b'_') {
        return None;
    }
    let mac = || kinds.contains(Kind::Mac).then(|| network::mac(bytes, at)).flatten();
    let ip = || kinds.contains(Kind::Ip).then(|| network::ipv6(bytes, at)).flatten();
    mac().or_else(ip)
}

/// What stands at a word with a digit in it.
fn digits(bytes: &[u8], word: std::ops::Range<usize>, kinds: Kinds) -> Option<Found> {
    let has = |kind| kinds.contains(kind);
    let (start, length) = (word.start, word.len());
    // Nothing is longer; hashes and base64 are.
    if length > iban::LONGEST || start > 0 && bytes[start - 1] == b'_' || bytes.get(word.end) == Some(&b'_') {
        return None;
    }
    let wanted = |kind, hit: Option<(usize, usize)>| hit.map(|(start, end)| Found { start, end, kind });
    if !bytes[word.clone()].iter().all(u8::is_ascii_digit) {
        let iban = || has(Kind::Iban).then(|| wanted(Kind::Iban, iban::at(bytes, start))).flatten();
        let id = || {
            has(Kind::NationalId).then(|| wanted(Kind::NationalId, national::word(bytes, &word))).flatten()
        };
        let mac = || has(Kind::Mac).then(|| network::mac_with_dashes(bytes, start)).flatten();
        return iban().or_else(id).or_else(mac);
    }
    // Most numbers are shorter than anything that is looked for.
    let goes_on = bytes.get(word.end).is_some_and(|b| b" -./()".contains(b))
        && bytes.get(word.end + 1).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'(' | b' '));
    if length < 7 && !goes_on {
        return None;
    }
    let digits = Digits::read(bytes, start);
    let card = || has(Kind::Card).then(|| wanted(Kind::Card, card::at(bytes, &digits))).flatten();
    let id = || {
        has(Kind::NationalId).then(|| wanted(Kind::NationalId, national::digits(bytes, &digits))).flatten()
    };
    let ip = || has(Kind::Ip).then(|| wanted(Kind::Ip, network::ipv4(bytes, start))).flatten();
    let phone = || has(Kind::Phone).then(|| wanted(Kind::Phone, phone::at(bytes, &digits))).flatten();
    let mac = || has(Kind::Mac).then(|| network::mac_with_dashes(bytes, start)).flatten();
    ip().or_else(card).or_else(id).or_else(phone).or_else(mac)
}
