//! Numbers of payment cards: issuer and length (ISO/IEC 7812), check digit (Luhn), and the groups that people write.

use super::number::{Digits, announced, begins, ends};

const SHAPES: &[&[usize]] = &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
/// Old Visa numbers have 13 digits, as articles' EANs have. They are believed behind one of these.
const WORDS: &[&str] = &["card", "visa", "credit", "debit", "karte", "carte", "tarjeta", "kreditkarte"];

pub fn at(bytes: &[u8], digits: &Digits) -> Option<(usize, usize)> {
    let start = digits.start;
    if !begins(bytes, start) {
        return None;
    }
    let one = digits.first(1).filter(|(digits, _)| digits.len() >= 13);
    let grouped = matches!(digits.separator, Some(b' ' | b'-'));
    let shaped = SHAPES.iter().filter(|_| grouped).filter_map(|shape| digits.shaped(shape));
    let (_, end) = one.into_iter().chain(shaped).find(|(digits, end)| {
        issued(digits)
            && luhn(digits)
            && ends(bytes, *end)
            && (digits.len() > 13 || announced(bytes, start, WORDS))
    })?;
    Some((start, end))
}

/// Whether an issuer has numbers that begin like that and are as long.
fn issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0, |n, digit| n * 10 + u32::from(*digit));
    let (two, three, four) = (first(2), first(3), first(4));
    match digits.len() {
        13 => digits[0] == 4,
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        // Visa; Mastercard; Discover, RuPay, Maestro; JCB; UnionPay; Mir.
        16 => {
            digits[0] == 4
                || matches!(two, 51..=55 | 60 | 62 | 65 | 81 | 82)
                || matches!(four, 2221..=2720 | 3528..=3589 | 2200..=2204)
                || matches!(three, 508 | 644..=649)
                || maestro(four)
        }
        17..=19 => {
            digits[0] == 4 && digits.len() == 19 || two == 62 || matches!(four, 2200..=2204) || maestro(four)
        }
        _ => false,
    }
}

fn maestro(four: u32) -> bool {
    matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763)
}

pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}
