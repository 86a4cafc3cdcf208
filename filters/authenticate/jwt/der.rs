//! As much DER as an RSA public key takes: a sequence of two whole numbers (RFC 8017, A.1.1).

/// The modulus and the exponent, big-endian.
pub(super) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = field(der, 0x30)?;
    let (n, after) = field(sequence, 0x02)?;
    let (e, end) = field(after, 0x02)?;
    (rest.is_empty() && end.is_empty()).then_some((n, e))
}

/// The content of the field that begins `der`, and what follows it.
fn field(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [first, length, rest @ ..] = der else { return None };
    if *first != tag {
        return None;
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 2 {
            return None;
        }
        (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}
