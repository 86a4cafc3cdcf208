//! Telephone numbers: international ones (E.164), and national ones in the forms that people write.
//!
//! Digits alone are an order number or a time more often than a telephone; they are believed behind a word.

use super::number::{Digits, announced, ends};

const WORDS: &[&str] = &[
    "phone",
    "phonenumber",
    "tel",
    "telephone",
    "mobile",
    "cellphone",
    "smartphone",
    "call me",
    "call us",
    "fax",
    "whatsapp",
    "sms",
    "telefon",
    "handy",
    "mobil",
    "mobiltelefon",
    "rufnummer",
    "téléphone",
    "portable",
    "teléfono",
    "telefono",
    "móvil",
    "celular",
    "cellulare",
    "telefoon",
];

/// Country codes of one and two digits (ITU-T E.164); all others have three.
const SHORT: &[u32] = &[
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57,
    58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

pub fn at(bytes: &[u8], digits: &Digits) -> Option<(usize, usize)> {
    let start = digits.start;
    let before = |back: usize| start.checked_sub(back).map(|at| bytes[at]);
    match before(1) {
        Some(b'+') if !before(2).is_some_and(is_operand) => international(bytes, start),
        Some(b'(') => in_brackets(bytes, start),
        Some(b) if b.is_ascii_alphanumeric() || b"_-./+#$@=%".contains(&b) && !uri(bytes, start) => None,
        _ => national(bytes, digits),
    }
}

/// `+` and what stands before it are a sum.
fn is_operand(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b')' | b']' | b'_' | b'+')
}

/// `tel:` and parameters such as `phone=`.
fn uri(bytes: &[u8], start: usize) -> bool {
    bytes[start - 1] == b'=' && announced(bytes, start, WORDS)
}

/// Digits in groups from `start` on, with the separators of telephone numbers: how many, and where they end. It
/// stops before `most` would be exceeded.
fn grouped(bytes: &[u8], start: usize, most: usize) -> Option<(usize, usize)> {
    let (mut count, mut end, mut at) = (0, start, start);
    loop {
        let group = bytes[at..].iter().take(16).take_while(|b| b.is_ascii_digit()).count();
        if group == 0 {
            break;
        }
        if count + group > most {
            return None;
        }
        count += group;
        end = at + group;
        let gap = bytes[end..].iter().take(2).take_while(|b| b" -./()".contains(b)).count();
        at = end + gap;
        // Two separators are `) ` or ` (`.
        if gap == 0 || gap == 2 && !bytes[end..at].iter().any(|b| matches!(b, b'(' | b')')) {
            break;
        }
    }
    (count > 0 && ends(bytes, end)).then_some((count, end))
}

/// From its first digit. All numbers have eight digits at least, most of them more.
fn international(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let (count, end) = grouped(bytes, start, 16)?;
    let head = |digits: usize| {
        let digits = bytes[start..].iter().filter(|b| b.is_ascii_digit()).take(digits);
        digits.fold(0, |n, b| n * 10 + u32::from(b - b'0'))
    };
    let known = SHORT.contains(&head(1))
        || SHORT.contains(&head(2))
        || matches!(head(3), 210..=299 | 350..=389 | 420..=429 | 500..=509 | 590..=599 | 670..=699 | 800..=899 | 960..=999);
    let text = &bytes[start..end];
    let dots = text.split(|b| *b == b'.').count() - 1;
    // A year, a decimal fraction.
    let year = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let date = year > 4 && text[year..].starts_with(b"-") && text.get(year + 3) == Some(&b'-');
    (known && matches!(count, 9..=15) && !date && dots != 1).then_some((start - 1, end))
}

/// `(212) 555-0187`, `(030) 1234567`
fn in_brackets(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let area = bytes[start..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let close = start + area;
    if bytes.get(close) != Some(&b')') || start >= 2 && is_operand(bytes[start - 2]) {
        return None;
    }
    let rest = close + 1 + usize::from(bytes.get(close + 1) == Some(&b' '));
    let digits = Digits::read(bytes, rest);
    let american = area == 3 && area_code(&bytes[start..close]);
    let (digits, end) = match (american, bytes[start]) {
        (true, _) => digits.shaped(&[3, 4])?,
        (_, b'0') if area >= 3 => {
            digits.first(digits.count()).filter(|(digits, _)| matches!(digits.len() + area, 9..=12))?
        }
        _ => return None,
    };
    let exchange = !american || digits[0] >= 2;
    (exchange && ends(bytes, end)).then_some((start - 1, end))
}

/// Area codes and exchanges of North America begin with 2 to 9, and area codes do not end with 11.
fn area_code(digits: &[u8]) -> bool {
    let value = |at: usize| digits[at] & 0x0f;
    value(0) >= 2 && (value(1), value(2)) != (1, 1)
}

fn national(bytes: &[u8], digits: &Digits) -> Option<(usize, usize)> {
    let start = digits.start;
    let said = || announced(bytes, start, WORDS);
    let whole = |found: Option<(&[u8], usize)>| {
        let (_, end) = found?;
        (ends(bytes, end) && !in_table(bytes, start, end)).then_some((start, end))
    };
    american(bytes, digits).or_else(|| whole(leading_zero(digits))).or_else(|| {
        let (count, end) = grouped(bytes, start, 15).filter(|(count, _)| matches!(count, 7..=13))?;
        let fraction = digits.separator == Some(b'.') && digits.count() == 2;
        (said() && count >= 7 && !fraction && !is_date(digits)).then_some((start, end))
    })
}

/// `212-555-0187`, `212.555.0187`, `1-212-555-0187`. With spaces, it has to be announced.
fn american(bytes: &[u8], digits: &Digits) -> Option<(usize, usize)> {
    if !matches!(digits.separator, Some(b'-' | b'.')) {
        return None;
    }
    let ten = digits.shaped(&[3, 3, 4]);
    let eleven = digits
        .shaped(&[1, 3, 3, 4])
        .filter(|(digits, _)| digits[0] == 1)
        .map(|(digits, end)| (&digits[1..], end));
    let (found, end) = ten.or(eleven)?;
    (area_code(found) && found[3] >= 2 && ends(bytes, end)).then_some((digits.start, end))
}

/// A trunk prefix: `0171 1234567`, `020 7946 0958`, `01632 960123`, `030/1234567`, `01 23 45 67 89`.
fn leading_zero(digits: &Digits) -> Option<(&[u8], usize)> {
    let (found, _) = digits.first(1)?;
    if found.len() < 2 || found[0] != 0 || found[1] == 0 {
        return None;
    }
    // Bytes in a listing have more zeros.
    let few_zeros = |all: &[u8]| all.iter().skip(2).step_by(2).filter(|digit| **digit == 0).count() < 2;
    let french = digits
        .shaped(&[2, 2, 2, 2, 2])
        .filter(|(all, _)| matches!(digits.separator, Some(b' ' | b'.')) && few_zeros(all));
    french.or_else(|| {
        let area = found.len();
        let most = if digits.separator == Some(b' ') { 3 } else { 2 };
        let plausible = (3..=5).contains(&area) && (2..=most).contains(&digits.count());
        let long = digits.lengths(digits.count()).skip(1).all(|group| group >= 3);
        digits.first(digits.count()).filter(|(all, _)| plausible && long && matches!(all.len(), 10..=12))
    })
}

/// Further groups say that it is a table.
fn in_table(bytes: &[u8], start: usize, end: usize) -> bool {
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let space = |at: Option<usize>| at.and_then(|at| bytes.get(at)) == Some(&b' ');
    let before = |back: usize| start.checked_sub(back);
    space(Some(end)) && digit(Some(end + 1)) || space(before(1)) && digit(before(2))
}

/// `2024-01-31`, `31.01.2024`, and a time behind it.
fn is_date(digits: &Digits) -> bool {
    digits.shaped(&[4, 2, 2]).is_some() || digits.shaped(&[2, 2, 4]).is_some()
}
