//! International bank account numbers (ISO 13616): the country's length, and the check digits (mod 97).

use super::number::{begins, ends};

/// The longest there is.
pub const LONGEST: usize = 34;

/// Country and length, from the SWIFT registry of IBANs.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 \
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 \
    KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 \
    PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 \
    YE30";

/// One that begins at `start`, whole or in groups of four.
pub fn at(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let head = bytes.get(start..start + 4)?;
    let country = head[..2].iter().all(u8::is_ascii_uppercase);
    if !country || !head[2..].iter().all(u8::is_ascii_digit) || !begins(bytes, start) {
        return None;
    }
    let length = length(&head[..2])?;
    let (mut characters, mut count) = ([0; LONGEST], 0);
    let mut at = start;
    let separator = bytes.get(start + 4).copied().filter(|b| matches!(b, b' ' | b'-'));
    while count < length {
        match bytes.get(at) {
            Some(b) if b.is_ascii_uppercase() || b.is_ascii_digit() => {
                characters[count] = *b;
                count += 1;
            }
            Some(b) if Some(*b) == separator && count.is_multiple_of(4) => {}
            _ => return None,
        }
        at += 1;
    }
    (ends(bytes, at) && mod97(&characters[..length])).then_some((start, at))
}

fn length(country: &[u8]) -> Option<usize> {
    let entry = LENGTHS.split_ascii_whitespace().find(|entry| entry.as_bytes().starts_with(country))?;
    entry.get(2..)?.parse().ok()
}

/// The first four characters moved to the end and letters read as numbers from 10 on, the rest by 97 is one.
fn mod97(characters: &[u8]) -> bool {
    let (head, rest) = characters.split_at(4);
    let sum = rest.iter().chain(head).fold(0_u32, |sum, b| match b {
        b'0'..=b'9' => (sum * 10 + u32::from(b - b'0')) % 97,
        _ => (sum * 100 + u32::from(b - b'A') + 10) % 97,
    });
    sum == 1
}
