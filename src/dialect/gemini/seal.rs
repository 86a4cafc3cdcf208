//! `thoughtSignature`: Gemini's own, and what others' seals look like there.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use tollgate_filters::chat::{Maker, Seal};

/// `tollgate.` in base64: nine bytes, and so the same twelve letters whatever follows.
const FOREIGN: &str = "dG9sbGdhdGUu";

/// What Google documents for a call whose signature is not known: Gemini 3 takes it for one that fits.
pub const PLACEHOLDER: &str = "skip_thought_signature_validator";

/// Whether a signature is one of the placeholders, plain or in base64.
pub fn is_placeholder(text: &str) -> bool {
    [PLACEHOLDER, "context_engineering_is_the_way_to_go"].iter().any(|word| {
        text == *word || text.trim_end_matches('=') == STANDARD.encode(word).trim_end_matches('=')
    })
}

/// Reads a signature.
pub fn read(text: &str) -> Seal {
    let foreign = text.starts_with(FOREIGN).then(|| {
        let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
        String::from_utf8(bytes).ok()
    });
    match foreign.flatten() {
        Some(inner) => Seal::arriving(&inner, Maker::Gemini, false),
        None => Seal { maker: Maker::Gemini, data: text.to_owned(), redacted: false },
    }
}

/// Writes a signature. Google's SDKs read it as bytes in base64, so others' seals are wrapped in it.
pub fn write(seal: &Seal) -> String {
    if seal.maker == Maker::Gemini {
        return seal.data.clone();
    }
    STANDARD.encode(seal.travelling(Maker::Gemini))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_elses_seal_is_valid_base64_and_comes_back() {
        for data in ["EqoBCkgIBRABGAI", "a", "ä.b", ""] {
            let seal = Seal { maker: Maker::Anthropic, data: data.to_owned(), redacted: true };
            let written = write(&seal);
            assert_eq!(read(&written), seal);
            // Python's SDK decodes it and writes it again in the other alphabet.
            let again = URL_SAFE.encode(STANDARD.decode(&written).unwrap());
            assert_eq!(read(&again), seal);
        }
        assert_eq!(read("EpYSCpMS").maker, Maker::Gemini);
    }
}
