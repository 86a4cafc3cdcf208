//! Addresses of machines: IPv4, IPv6 and MAC. Private ones are found, too.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Found, Kind};

/// Four numbers with dots are a version behind one of these.
const VERSIONS: &[&str] =
    &["version", "ver", "v", "release", "build", "rev", "section", "chapter", "assembly"];

pub fn ipv4(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let rest = &bytes[start..];
    let length = rest.iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let text = std::str::from_utf8(&rest[..length]).ok()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    let end = start + text.len();
    let address: Ipv4Addr = text.parse().ok()?;
    let before = |back: usize| start.checked_sub(back).map(|at| bytes[at]);
    let glued = match before(1) {
        // A user agent (`Chrome/120.0.0.0`), not a URL.
        Some(b'/') => before(2).is_some_and(|b| b.is_ascii_alphanumeric()),
        Some(b) => b.is_ascii_alphanumeric() || b"._-".contains(&b),
        None => false,
    };
    let goes_on = match bytes.get(end) {
        Some(b'.') => bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b) => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@'),
        None => false,
    };
    let version = || {
        let ends_with_zeros = address.octets()[1..] == [0, 0, 0] && bytes.get(end) != Some(&b'/');
        !address.is_private() && (ends_with_zeros || is_version(&bytes[start.saturating_sub(16)..start]))
    };
    (!glued && !goes_on && !version()).then_some((start, end))
}

/// Whether the last word of what stands before says that a version follows.
fn is_version(before: &[u8]) -> bool {
    let head = before.trim_ascii_end();
    let head = &head[..head.iter().rposition(|b| !b" :=\"'`".contains(b)).map_or(0, |at| at + 1)];
    let word = head.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
    VERSIONS.iter().any(|version| head[head.len() - word..].eq_ignore_ascii_case(version.as_bytes()))
}

/// An IPv6 address around a colon.
pub fn ipv6(bytes: &[u8], at: usize) -> Option<Found> {
    // Eight groups of four and an IPv4 address at the end.
    let inside = |b: &&u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let start = at - bytes[at.saturating_sub(48)..at].iter().rev().take_while(inside).count();
    let length = bytes[start..].iter().take(48).take_while(inside).count();
    let text = std::str::from_utf8(&bytes[start..start + length]).ok()?.trim_end_matches('.');
    // What is said about it begins with a colon as well.
    let text = text.strip_suffix(':').filter(|text| !text.ends_with(':')).unwrap_or(text);
    let end = start + text.len();
    let colons = text.bytes().filter(|b| *b == b':').count();
    if colons < 2 || !text.bytes().any(|b| b.is_ascii_digit()) || text.parse::<Ipv6Addr>().is_err() {
        return None;
    }
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let glued = before.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let goes_on = bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    let first = text.split(':').next().unwrap_or_default().len();
    // `d::e1` is a name in C++ or Ruby, and `a[1::2]` a slice in Python.
    let slice = before == Some(b'[') && start.checked_sub(2).is_some_and(|at| is_value(bytes[at]));
    let meant = colons == 7 || first >= 3 || matches!(text, "::1") && !slice || text.starts_with("::ffff:");
    (!glued && !goes_on && meant).then_some(Found { start, end, kind: Kind::Ip })
}

fn is_value(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b')' | b']')
}

/// A MAC address around its first colon.
pub fn mac(bytes: &[u8], at: usize) -> Option<Found> {
    six_pairs(bytes, at.checked_sub(2)?, b':')
}

/// One that begins at `start`. Without a letter it is a date and a time.
pub fn mac_with_dashes(bytes: &[u8], start: usize) -> Option<Found> {
    let found = six_pairs(bytes, start, b'-')?;
    bytes[start..found.end].iter().any(u8::is_ascii_alphabetic).then_some(found)
}

fn six_pairs(bytes: &[u8], start: usize, separator: u8) -> Option<Found> {
    let end = start + 17;
    let text = bytes.get(start..end).filter(|text| text[2] == separator)?;
    let pairs = text.chunks(3).all(|pair| {
        pair[..2].iter().all(u8::is_ascii_hexdigit) && pair.get(2).is_none_or(|b| *b == separator)
    });
    let outside =
        |b: Option<&u8>| !b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == separator || *b == b'_');
    let alone = outside(start.checked_sub(1).and_then(|at| bytes.get(at))) && outside(bytes.get(end));
    (pairs && alone).then_some(Found { start, end, kind: Kind::Mac })
}
