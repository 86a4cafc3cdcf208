//! Finding a model in a table by the name that a provider or a client calls it.

use std::collections::HashMap;

/// A model by its name, or by its name without the date of its snapshot.
pub fn find<'a, T>(known: &'a HashMap<String, T>, model: &str) -> Option<&'a T> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    known.get(model).or_else(|| known.get(without_date(model)?))
}

/// `gpt-4o-2024-08-06` -> `gpt-4o`, `claude-sonnet-4-5-20250929` -> `claude-sonnet-4-5`.
fn without_date(model: &str) -> Option<&str> {
    for length in [11, 9] {
        let Some(at) = model.len().checked_sub(length) else {
            continue;
        };
        let Some(suffix) = model.get(at..) else {
            continue;
        };
        let digits = suffix.bytes().filter(u8::is_ascii_digit).count();
        let dashes = suffix.bytes().filter(|b| *b == b'-').count();
        if suffix.starts_with('-') && digits == 8 && dashes == length - digits {
            return model.get(..at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_without_the_date_of_its_snapshot() {
        let known = HashMap::from([("gpt-4o".to_owned(), 1), ("gpt-4o-2024-05-13".to_owned(), 2)]);
        assert_eq!(find(&known, "gpt-4o-2024-08-06"), Some(&1));
        assert_eq!(find(&known, "gpt-4o-2024-05-13"), Some(&2));
        assert_eq!(find(&known, "models/gpt-4o"), Some(&1));
        assert_eq!(find(&known, "gpt-4o-mini"), None);
    }

    #[test]
    fn only_a_whole_date_is_one() {
        assert_eq!(without_date("claude-sonnet-4-5-20250929"), Some("claude-sonnet-4-5"));
        assert_eq!(without_date("gpt-4o"), None);
        assert_eq!(without_date("gemini-2.5-pro-preview-05-06"), None);
    }
}
