//! The demo provider's embeddings: small vectors, near to each other where texts share words.

use super::openai::bad;
use super::{Answer, MODEL, count, items};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How long a vector is when nobody asks, and at most.
const LENGTH: (usize, usize) = (8, 3072);
/// How many numbers one answer holds at most, and how many words of each text are looked at: they bound
/// the work that one request can ask for.
const NUMBERS: usize = 1 << 20;
const WORDS: usize = 256;

/// `/v1/embeddings`.
pub(super) fn openai(request: &Value) -> Answer {
    let Some(texts) = texts(&request["input"]) else {
        return bad("'input' is a text, a list of texts, a list of tokens or a list of such lists.");
    };
    let length = match length(&request["dimensions"], texts.len()) {
        Ok(length) => length,
        Err(refusal) => return bad(&refusal),
    };
    let packed = request["encoding_format"] == "base64";
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = vector(text, length);
        let embedding = if packed { json!(pack(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let data: Vec<Value> = data.collect();
    let input: u64 = texts.iter().map(|text| count::tokens(text)).sum();
    Answer::ok(&json!({
        "object": "list", "data": data, "model": MODEL,
        "usage": {"prompt_tokens": input, "total_tokens": input},
    }))
}

/// The length of each of so many vectors, or the sentence that says why not.
pub(super) fn length(asked: &Value, texts: usize) -> Result<usize, String> {
    let (usual, most) = LENGTH;
    let length = match asked {
        Value::Null => Some(usual),
        asked => asked.as_u64().and_then(|asked| usize::try_from(asked).ok()),
    };
    let length = length.filter(|length| (1..=most).contains(length));
    let length = length.ok_or_else(|| format!("An embedding has from 1 to {most} dimensions."))?;
    if texts.saturating_mul(length) > NUMBERS {
        return Err(format!("One request gets at most {NUMBERS} numbers."));
    }
    Ok(length)
}

/// The texts of `input`; tokens that come as numbers are words.
fn texts(input: &Value) -> Option<Vec<String>> {
    let words = |tokens: &[Value]| {
        let words: Option<Vec<String>> =
            tokens.iter().map(|token| token.as_u64().map(|token| token.to_string())).collect();
        words.map(|words| words.join(" "))
    };
    match input {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(all) if all.first().is_some_and(Value::is_number) => Some(vec![words(all)?]),
        Value::Array(all) => all
            .iter()
            .map(|one| match one {
                Value::String(text) => Some(text.clone()),
                other if other.is_array() => words(items(other)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// A vector of length one: each word of the text adds a direction of its own.
pub(super) fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut sums = vec![0_f32; length];
    for word in count::pieces(text).take(WORDS) {
        let mut state = count::hash(word.trim().to_lowercase().as_bytes());
        for sum in &mut sums {
            state = mix(state);
            let [low, high, ..] = state.to_le_bytes();
            *sum += f32::from(i16::from_le_bytes([low, high])) / 32768.0;
        }
    }
    let size = sums.iter().map(|sum| sum * sum).sum::<f32>().sqrt();
    if size > 0.0 {
        for sum in &mut sums {
            *sum /= size;
        }
    } else if let Some(first) = sums.first_mut() {
        *first = 1.0;
    }
    sums
}

/// One step of splitmix64.
fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Little-endian floats in base64, which the Python SDK asks for.
fn pack(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, text};
    use super::*;

    fn likeness(a: &str, b: &str) -> f32 {
        let (a, b) = (vector(a, 64), vector(b, 64));
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_share_words_are_near() {
        assert!((likeness("the cat sat", "the cat sat") - 1.0).abs() < 1e-5);
        assert!(likeness("the cat sat here", "The cat sat there") > likeness("the cat sat", "old blue cars"));
        assert!((likeness("", "") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn every_form_of_input_is_counted() {
        for (input, vectors, tokens) in [
            (json!("Hello, you"), 1, 3),
            (json!(["a b", "c"]), 2, 3),
            (json!([5, 6, 7]), 1, 3),
            (json!([[5, 6], [7]]), 2, 3),
        ] {
            let body = body(&openai(&json!({"input": input})));
            assert_eq!(
                (items(&body["data"]).len(), &body["usage"]["prompt_tokens"]),
                (vectors, &json!(tokens))
            );
        }
        for request in [json!({}), json!({"input": [true]}), json!({"input": "a", "dimensions": 4000})] {
            assert_eq!(openai(&request).status, 400);
        }
    }

    #[test]
    fn base64_holds_the_same_numbers() {
        let body = body(&openai(&json!({"input": "hi", "encoding_format": "base64", "dimensions": 3})));
        let bytes = STANDARD.decode(text(&body["data"][0]["embedding"])).unwrap_or_default();
        let expected: Vec<u8> = vector("hi", 3).iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(bytes, expected);
    }
}
