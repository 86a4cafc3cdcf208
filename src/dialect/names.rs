//! Names of functions, as far as a target takes them.

use std::borrow::Cow;

/// A name of letters, digits, `_` and `-` that has no more than `most` characters. One that is none becomes one, always the
/// same, and another for another name: what is refused is replaced, and a number that stands for the whole is added.
pub fn fitting(name: &str, most: usize) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= most && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    // FNV-1a.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let kept: String =
        name.chars().take(most.saturating_sub(9)).map(|c| if plain(c) { c } else { '_' }).collect();
    Cow::Owned(format!("{kept}_{hash:08x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_refused_becomes_another_and_always_the_same() {
        assert_eq!(fitting("get_weather-2", 64), "get_weather-2");
        assert_eq!(fitting("a.b", 64), fitting("a.b", 64));
        assert!(fitting("a.b", 64).starts_with("a_b_"));
        assert_ne!(fitting("a.b", 64), fitting("a:b", 64));
        let long = "ä".repeat(200);
        assert_eq!(fitting(&long, 64).len(), 64);
        assert_eq!(fitting(&long, 128).chars().filter(char::is_ascii).count(), 128);
        assert!(!fitting("", 64).is_empty());
    }
}
