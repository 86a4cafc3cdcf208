//! E-mail addresses, around their `@`.

use super::{Found, Kind};

/// Endings of files that stand behind an `@` as often as a domain does (`icon@2x.png`).
const FILES: &[&str] = &["png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "css", "js", "mjs", "ts", "tsx"];
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;

pub fn at(bytes: &[u8], at: usize) -> Option<Found> {
    let local =
        bytes[at.saturating_sub(LONGEST_LOCAL)..at].iter().rev().take_while(|b| is_local(**b)).count();
    let mut start = at - local;
    while start < at && matches!(bytes[start], b'.' | b'\'' | b'-' | b'&' | b'=' | b'~' | b'%') {
        start += 1;
    }
    // A letter cut in two is left out.
    while start < at && (0x80..0xc0).contains(&bytes[start]) {
        start += 1;
    }
    if start == at || bytes[at - 1] == b'.' {
        return None;
    }
    let end = at + 1 + domain(&bytes[at + 1..])?;
    // How git writes where a repository is.
    let git = &bytes[start..at] == b"git" && bytes.get(end) == Some(&b':');
    (!git).then_some(Found { start, end, kind: Kind::Email })
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"._%+-'&=~#".contains(&b) || is_letter(b)
}

/// A byte of a letter of Latin, Greek, Cyrillic, Hebrew or Arabic script. Chinese and Japanese put no space
/// before an address, so that a letter of theirs ends it.
fn is_letter(b: u8) -> bool {
    (0xc3..=0xdf).contains(&b) || (0x80..0xc0).contains(&b)
}

/// How long the domain is, if there is one.
fn domain(bytes: &[u8]) -> Option<usize> {
    let (mut end, mut labels, mut known) = (0, 0, None);
    while end < LONGEST_DOMAIN {
        let rest = &bytes[end..];
        let label =
            rest.iter().take(64).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-' || is_letter(**b));
        let mut length = label.count();
        while length > 0 && rest[length - 1] == b'-' {
            length -= 1;
        }
        if length == 0 || rest[0] == b'-' || end + length > LONGEST_DOMAIN {
            break;
        }
        labels += 1;
        if labels >= 2 && is_top(&rest[..length]) {
            known = Some(end + length);
        }
        end += length;
        if bytes.get(end) != Some(&b'.')
            || !bytes.get(end + 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80)
        {
            break;
        }
        end += 1;
    }
    // A label of more than its length may be cut within a letter.
    known
        .filter(|end| !bytes.get(*end).is_some_and(|b| b.is_ascii_alphanumeric() || (0x80..0xc0).contains(b)))
}

/// Whether a label may be the last one.
fn is_top(label: &[u8]) -> bool {
    let letters = label.len() >= 2 && label.iter().all(|b| b.is_ascii_alphabetic() || is_letter(*b));
    let file = FILES.iter().any(|file| label.eq_ignore_ascii_case(file.as_bytes()));
    letters && !file || label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--")
}
