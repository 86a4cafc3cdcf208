//! How the demo provider counts and cuts: one token per word or run of punctuation.

/// How many tokens a text is: each run of letters, digits and `_` is one, each run of anything else that is
/// not white space is one.
pub(super) fn tokens(text: &str) -> u64 {
    pieces(text).filter(|piece| !piece.trim().is_empty()).fold(0, |sum, _| sum + 1)
}

/// The text cut into its tokens, each with the white space before it; what is left at the end is a piece of
/// its own, so that the pieces together are always the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(first_end(rest));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn first_end(text: &str) -> usize {
    let body = text.trim_start();
    let Some(first) = body.chars().next() else {
        return text.len();
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let ends = |c: char| c.is_whitespace() || is_word(c) != is_word(first);
    let length = body.find(ends).unwrap_or(body.len());
    text.len() - body.len() + length
}

/// The first `limit` tokens of a text.
pub(super) fn first(text: &str, limit: u64) -> &str {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let length = pieces(text).take(limit).map(str::len).sum();
    text.get(..length).unwrap_or(text)
}

/// The text, or its beginning and an ellipsis where it is longer than `limit` characters.
pub(super) fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// FNV-1a, 64 bits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_runs_of_punctuation_count_one_each() {
        for (text, expected) in [
            ("", 0),
            ("  \n ", 0),
            ("Hello, world!", 4),
            ("get_weather", 1),
            ("wait... what?!", 4),
            ("{\"city\":\"demo\"}", 5),
            (" spaced  out ", 2),
            ("naïve 東京 42", 3),
        ] {
            assert_eq!(tokens(text), expected, "{text:?}");
        }
    }

    #[test]
    fn pieces_are_the_text_and_one_per_token() {
        for text in ["Hello, world!", " a  b ", "x", "\u{2026}\u{a0}é", ""] {
            assert_eq!(pieces(text).collect::<String>(), text);
        }
        let text = "You said: \"hi\".";
        assert_eq!(u64::try_from(pieces(text).count()), Ok(tokens(text)));
    }

    #[test]
    fn a_text_is_cut_between_tokens() {
        assert_eq!(first("one two, three", 3), "one two,");
        assert_eq!(first("one two", 9), "one two");
        assert_eq!(first("one", 0), "");
        assert_eq!(clip("äöü", 2), "äö…");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
