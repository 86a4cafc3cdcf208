//! Numbers that states give to persons, each by its own rule.
//!
//! A number of digits alone with one check digit is found in every table of order numbers. It is believed behind a word
//! that announces it; what has a shape or check digits of its own is believed by itself.

use std::ops::Range;

use super::card::luhn;
use super::number::{Digits, announced, begins, ends};

/// Where a number stands: its first byte, and the one behind its last.
type Place = Option<(usize, usize)>;

/// A rule for numbers of digits: the shapes that count by themselves, the shapes that count behind a word.
struct Rule {
    shapes: &'static [&'static [usize]],
    separators: &'static [u8],
    announced: &'static [&'static [usize]],
    words: &'static [&'static str],
    right: fn(&[u8]) -> bool,
}

const RULES: &[Rule] = &[
    // United States: Social Security number.
    Rule {
        shapes: &[&[3, 2, 4]],
        separators: b"-",
        announced: &[&[9], &[3, 2, 4]],
        words: &["ssn", "social security", "social-security", "social_security"],
        right: ssn,
    },
    // France: NIR.
    Rule {
        shapes: &[&[15], &[13, 2], &[1, 2, 2, 2, 3, 3, 2]],
        separators: b" .-",
        announced: &[],
        words: &[],
        right: nir,
    },
    // Germany: Steuer-ID.
    Rule {
        shapes: &[&[2, 3, 3, 3]],
        separators: b" ",
        announced: &[&[11], &[2, 3, 3, 3]],
        words: &["steuer", "steuer-id", "steuerid", "idnr", "idnr.", "tin", "tax", "steuerliche", "tax id"],
        right: steuer_id,
    },
    // Brazil: CPF, whose usual form has two separators; see `cpf_shaped`.
    Rule { shapes: &[], separators: b"", announced: &[&[11]], words: &["cpf"], right: cpf },
    // Poland: PESEL.
    Rule { shapes: &[], separators: b"", announced: &[&[11]], words: &["pesel"], right: pesel },
    // India: Aadhaar.
    Rule {
        shapes: &[],
        separators: b"",
        announced: &[&[12], &[4, 4, 4]],
        words: &["aadhaar", "aadhar", "uidai", "adhaar"],
        right: aadhaar,
    },
    // United Kingdom: NHS number.
    Rule {
        shapes: &[],
        separators: b"",
        announced: &[&[10], &[3, 3, 4]],
        words: &["nhs", "nhs_number"],
        right: nhs,
    },
    // Netherlands: BSN.
    Rule {
        shapes: &[],
        separators: b"",
        announced: &[&[9], &[4, 2, 3], &[3, 3, 3]],
        words: &["bsn", "burgerservice", "sofinummer", "sofi"],
        right: bsn,
    },
    // Canada: social insurance number.
    Rule {
        shapes: &[],
        separators: b"",
        announced: &[&[9], &[3, 3, 3]],
        words: &["sin", "social insurance", "nas"],
        right: |digits| digits[0] != 0 && digits[0] != 8 && luhn(digits),
    },
];

pub fn digits(bytes: &[u8], found: &Digits) -> Place {
    let start = found.start;
    if !begins(bytes, start) {
        return None;
    }
    if found.total() < 9 {
        let corsican = || corsican(bytes, start).filter(|_| found.shaped(&[1, 2, 2]).is_some());
        return nino_in_groups(bytes, found).or_else(corsican).or_else(|| dni_with_dash(bytes, found));
    }
    let fits = |shape: &[usize], rule: &Rule| {
        let (digits, end) = found.shaped(shape)?;
        (ends(bytes, end) && (rule.right)(digits)).then_some((start, end))
    };
    let rules = RULES.iter().find_map(|rule| {
        let separator = found.separator.is_none_or(|b| rule.separators.contains(&b));
        let by_itself = rule
            .shapes
            .iter()
            .filter(|shape| separator || shape.len() == 1)
            .find_map(|shape| fits(shape, rule));
        by_itself.or_else(|| {
            let behind = rule.announced.iter().find_map(|shape| fits(shape, rule))?;
            announced(bytes, start, rule.words).then_some(behind)
        })
    });
    rules.or_else(|| cpf_shaped(bytes, found))
}

/// Numbers that are words: letters and digits.
pub fn word(bytes: &[u8], word: &Range<usize>) -> Place {
    let text = &bytes[word.clone()];
    if !begins(bytes, word.start) || !ends(bytes, word.end) {
        return corsican(bytes, word.start);
    }
    let right = match text.len() {
        9 => dni(text) || nino(text),
        16 => codice_fiscale(text),
        _ => false,
    };
    if right { Some((word.start, word.end)) } else { corsican(bytes, word.start) }
}

fn sum(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, digit| n * 10 + u64::from(*digit))
}

/// Areas 000, 666 and from 900 on, group 00 and serial 0000 are not given. The two others stood in advertisements.
fn ssn(digits: &[u8]) -> bool {
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let advertised = matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999));
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0 && !advertised
}

/// Sex, year, month (or a pseudo-month), department, town, order; the key is what is missing to a multiple of 97.
fn nir(digits: &[u8]) -> bool {
    let month = number(&digits[3..5]);
    let plausible = matches!(digits[0], 1..=4 | 7 | 8) && matches!(month, 1..=12 | 20..=42 | 50..=99);
    plausible && number(&digits[5..7]) > 0 && 97 - number(&digits[..13]) % 97 == number(&digits[13..])
}

/// A NIR of Corsica has a letter in it (`2A`, `2B`), which counts as 19 and 18.
fn corsican(bytes: &[u8], start: usize) -> Place {
    let (mut digits, mut count, mut at) = ([0; 15], 0, start);
    let mut letter = None;
    while count < 15 {
        match *bytes.get(at)? {
            b @ b'0'..=b'9' => digits[count] = b - b'0',
            b @ (b'A' | b'B') if count == 6 && digits[5] == 2 => {
                letter = Some(b);
                digits[5] = 1;
                digits[6] = if b == b'A' { 9 } else { 8 };
            }
            b' ' if matches!(count, 1 | 3 | 5 | 7 | 10 | 13) && at > start && bytes[at - 1] != b' ' => {
                at += 1;
                continue;
            }
            _ => return None,
        }
        count += 1;
        at += 1;
    }
    (letter.is_some() && begins(bytes, start) && ends(bytes, at) && nir(&digits)).then_some((start, at))
}

/// Of the first ten digits one comes twice or three times and the others at most once; ISO 7064, mod 11, 10.
fn steuer_id(digits: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    digits[..10].iter().for_each(|digit| counts[usize::from(*digit)] += 1);
    let repeated: Vec<u8> = counts.into_iter().filter(|count| *count > 1).collect();
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits[0] != 0 && matches!(repeated[..], [2 | 3]) && (11 - product) % 10 == u32::from(digits[10])
}

fn cpf(digits: &[u8]) -> bool {
    let check = |weights: &[u32]| match sum(digits, weights) * 10 % 11 {
        10 => 0,
        check => check,
    };
    let all_the_same = digits.iter().all(|digit| *digit == digits[0]);
    !all_the_same
        && check(&[10, 9, 8, 7, 6, 5, 4, 3, 2]) == u32::from(digits[9])
        && check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) == u32::from(digits[10])
}

/// `123.456.789-09`
fn cpf_shaped(bytes: &[u8], found: &Digits) -> Place {
    let (first, end) = found.shaped(&[3, 3, 3]).filter(|_| found.separator == Some(b'.'))?;
    let tail =
        bytes.get(end..end + 3).filter(|tail| tail[0] == b'-' && tail[1..].iter().all(u8::is_ascii_digit))?;
    let mut digits = [0; 11];
    digits[..9].copy_from_slice(first);
    digits[9] = tail[1] - b'0';
    digits[10] = tail[2] - b'0';
    (cpf(&digits) && ends(bytes, end + 3)).then_some((found.start, end + 3))
}

/// The month says the century.
fn pesel(digits: &[u8]) -> bool {
    let (month, day) = (number(&digits[2..4]) % 20, number(&digits[4..6]));
    let check = (10 - sum(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10;
    matches!(month, 1..=12) && matches!(day, 1..=31) && check == u32::from(digits[10])
}

/// Verhoeff's check digit.
fn aadhaar(digits: &[u8]) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |digit: u8, times: usize| (0..times).fold(digit, |d, _| PERMUTATION[usize::from(d)]);
    // Multiplication in the dihedral group of order ten.
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (at, digit)| product(check, permuted(*digit, at % 8)));
    digits[0] > 1 && check == 0
}

fn nhs(digits: &[u8]) -> bool {
    let check = 11 - sum(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    check != 10 && check % 11 == u32::from(digits[9])
}

fn bsn(digits: &[u8]) -> bool {
    let weighted = sum(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    number(digits) > 0 && weighted % 11 == u32::from(digits[8])
}

const DNI_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Spain: DNI (eight digits and a letter) and NIE (`X`, `Y` or `Z`, seven digits and a letter).
fn dni(text: &[u8]) -> bool {
    let (head, letter) = (&text[..8], text[8]);
    let first = match head[0] {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        digit if digit.is_ascii_digit() => digit - b'0',
        _ => return false,
    };
    if !head[1..].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = head[1..].iter().fold(u32::from(first), |n, b| n * 10 + u32::from(b - b'0'));
    number > 0 && DNI_LETTERS[(number % 23) as usize] == letter
}

/// `12345678-Z`
fn dni_with_dash(bytes: &[u8], found: &Digits) -> Place {
    let (_, end) = found.shaped(&[8])?;
    let mut text = [0; 9];
    text[..8].copy_from_slice(&bytes[found.start..end]);
    text[8] = *bytes.get(end + 1).filter(|_| bytes[end] == b'-')?;
    (dni(&text) && ends(bytes, end + 2)).then_some((found.start, end + 2))
}

/// United Kingdom: National Insurance number, `AB123456C`. It has no check digit; some prefixes are not given.
fn nino(text: &[u8]) -> bool {
    let (prefix, digits, suffix) = (&text[..2], &text[2..8], text[8]);
    let first = prefix[0].is_ascii_uppercase() && !b"DFIQUV".contains(&prefix[0]);
    let second = prefix[1].is_ascii_uppercase() && !b"DFIOQUV".contains(&prefix[1]);
    let given = ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"]
        .contains(&[prefix[0], prefix[1]].as_ref().try_into().unwrap_or(b"ZZ"));
    first && second && given && digits.iter().all(u8::is_ascii_digit) && matches!(suffix, b'A'..=b'D')
}

/// `AB 12 34 56 C`
fn nino_in_groups(bytes: &[u8], found: &Digits) -> Place {
    let (_, end) = found.shaped(&[2, 2, 2]).filter(|_| found.separator == Some(b' '))?;
    let start = found.start.checked_sub(3)?;
    let mut text = [0; 9];
    text[..2].copy_from_slice(&bytes[start..start + 2]);
    for (place, digit) in text[2..8].iter_mut().zip(found.first(3)?.0) {
        *place = digit + b'0';
    }
    text[8] = *bytes.get(end + 1)?;
    let spaced = bytes[start + 2] == b' ' && bytes[end] == b' ';
    (spaced && nino(&text) && begins(bytes, start) && ends(bytes, end + 2)).then_some((start, end + 2))
}

/// Italy: six letters, year, month, day, town and a check letter. Digits become letters where two persons would
/// have the same (omocodia).
fn codice_fiscale(text: &[u8]) -> bool {
    const SHAPE: &[u8; 16] = b"LLLLLLNNMNNLNNNL";
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let upper: Vec<u8> = text.to_ascii_uppercase();
    let shaped = upper.iter().zip(SHAPE).all(|(b, shape)| match shape {
        b'N' => b.is_ascii_digit() || b"LMNPQRSTUV".contains(b),
        b'M' => b"ABCDEHLMPRST".contains(b),
        _ => b.is_ascii_uppercase(),
    });
    let place = |b: u8| usize::from(if b.is_ascii_digit() { b - b'0' } else { b.wrapping_sub(b'A') });
    let value = |(at, b): (usize, &u8)| match at % 2 {
        0 => ODD.get(place(*b)).copied().unwrap_or_default(),
        _ => u32::try_from(place(*b)).unwrap_or_default(),
    };
    let check = upper[..15].iter().enumerate().map(value).sum::<u32>() % 26;
    shaped && u32::from(upper[15].wrapping_sub(b'A')) == check
}
