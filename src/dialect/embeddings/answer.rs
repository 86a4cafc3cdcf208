//! Vectors: read from an answer, and written as the client asked for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};
use tollgate_filters::chat::{Extra, Losses, Pointer, UsageReport};
use tollgate_filters::error::Error;
use tollgate_filters::usage::Usage;

use super::{Api, Embedding, EmbeddingAnswer, Encoding, Vector, Wanted};
use crate::dialect::fields::Fields;
use crate::dialect::{gemini, openai_chat};

pub(super) fn parse(source: Api, body: Value) -> Result<EmbeddingAnswer, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut answer = EmbeddingAnswer {
        source,
        id: fields.string("id").unwrap_or_default(),
        model: fields.string("model").unwrap_or_default(),
        embeddings: Vec::new(),
        usage: None,
        extra: Extra::new(),
    };
    if source == Api::Gemini {
        answer.embeddings = match fields.object("embedding") {
            Ok(Some(one)) => vec![embedding(one, "values")],
            _ => list(&mut fields, "embeddings", "values"),
        };
        answer.usage = usage(&mut fields, "usageMetadata", gemini::usage);
    } else {
        if fields.word("object") == Some("list") {
            fields.take("object");
        }
        answer.embeddings = list(&mut fields, "data", "embedding");
        answer.usage = usage(&mut fields, "usage", openai_chat::usage);
    }
    answer.extra = fields.rest();
    Ok(answer)
}

/// The vectors of a list, in the order of their `index` where they have one.
fn list(fields: &mut Fields, key: &str, vector: &str) -> Vec<Embedding> {
    let at = fields.at(key);
    let values = fields.list(key).unwrap_or_default().unwrap_or_default();
    let mut found = Vec::with_capacity(values.len());
    for (i, value) in values.into_iter().enumerate() {
        let Ok(mut one) = Fields::new(value, at.index(i)) else { continue };
        let index = one.unsigned("index").unwrap_or_default().unwrap_or(i as u64);
        if one.word("object") == Some("embedding") {
            one.take("object");
        }
        found.push((index, embedding(one, vector)));
    }
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, embedding)| embedding).collect()
}

fn embedding(mut fields: Fields, key: &str) -> Embedding {
    let vector = match fields.take(key) {
        Some(Value::Array(numbers)) if numbers.iter().all(Value::is_number) => Vector::Numbers(numbers),
        Some(Value::String(text)) => floats(&text).map_or(Vector::Other(Value::String(text)), Vector::Bits),
        other => Vector::Other(other.unwrap_or_default()),
    };
    Embedding { vector, at: fields.here().clone(), extra: fields.rest() }
}

fn floats(base64: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(base64).ok()?;
    let (floats, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

type ReadUsage = fn(&[u8]) -> Option<tollgate_filters::usage::Reported>;

fn usage(fields: &mut Fields, key: &str, read: ReadUsage) -> Option<UsageReport> {
    let at = fields.at(key);
    let reported = fields.peek(key).and_then(|usage| read(usage.to_string().as_bytes()))?;
    let mut block = fields.object(key).ok().flatten()?;
    for counted in
        ["prompt_tokens", "completion_tokens", "total_tokens", "promptTokenCount", "totalTokenCount"]
    {
        block.take(counted);
    }
    let details = block.either("promptTokenDetails", "promptTokensDetails");
    block.take(details);
    Some(UsageReport { usage: reported.usage, cost: None, extra: block.rest(), at })
}

pub(super) fn render(api: Api, answer: &EmbeddingAnswer, wanted: &Wanted, losses: &mut Losses) -> Value {
    let own = api == answer.source || (api != Api::Gemini && answer.source != Api::Gemini);
    let key = if api == Api::Gemini { "values" } else { "embedding" };
    let encoding = if api == Api::Gemini { Encoding::Float } else { wanted.encoding };
    let mut vectors = Vec::with_capacity(answer.embeddings.len());
    for (index, embedding) in answer.embeddings.iter().enumerate() {
        let mut one = Map::new();
        if api != Api::Gemini {
            one.insert("object".to_owned(), json!("embedding"));
            one.insert("index".to_owned(), json!(index));
        }
        one.insert(key.to_owned(), vector(embedding, encoding, losses));
        carry(&mut one, &embedding.at, &embedding.extra, own, losses);
        vectors.push(Value::Object(one));
    }
    let mut body = Map::new();
    if api == Api::Gemini {
        match vectors.pop() {
            Some(one) if vectors.is_empty() && !wanted.batch => {
                body.insert("embedding".to_owned(), one);
            }
            last => {
                vectors.extend(last);
                body.insert("embeddings".to_owned(), Value::Array(vectors));
            }
        }
        if let Some(usage) = &answer.usage {
            body.insert("usageMetadata".to_owned(), gemini_usage(usage, own, losses));
        }
    } else {
        if let Some(id) = &answer.id {
            body.insert("id".to_owned(), json!(id));
        }
        body.insert("object".to_owned(), json!("list"));
        body.insert("data".to_owned(), Value::Array(vectors));
        body.insert("model".to_owned(), json!(answer.model.as_ref().unwrap_or(&wanted.model)));
        body.insert("usage".to_owned(), openai_usage(api, answer.usage.as_ref(), own, wanted, losses));
    }
    carry(&mut body, &Pointer::ROOT, &answer.extra, own, losses);
    Value::Object(body)
}

fn carry(place: &mut Map<String, Value>, at: &Pointer, extra: &Extra, own: bool, losses: &mut Losses) {
    if own {
        place.extend(extra.clone());
    } else {
        losses.extra(at, extra);
    }
}

fn gemini_usage(report: &UsageReport, own: bool, losses: &mut Losses) -> Value {
    let Usage { input_tokens, image_input_tokens, audio_input_tokens, .. } = report.usage;
    let mut usage = Map::new();
    usage.insert("promptTokenCount".to_owned(), json!(input_tokens));
    let text = input_tokens.saturating_sub(image_input_tokens).saturating_sub(audio_input_tokens);
    let details = [("IMAGE", image_input_tokens), ("AUDIO", audio_input_tokens), ("TEXT", text)];
    let details = details.into_iter().filter(|(_, tokens)| *tokens > 0);
    let details: Vec<Value> =
        details.map(|(modality, tokens)| json!({ "modality": modality, "tokenCount": tokens })).collect();
    usage.insert("promptTokenDetails".to_owned(), Value::Array(details));
    carry(&mut usage, &report.at, &report.extra, own, losses);
    Value::Object(usage)
}

/// `usage` is a required member, so a count of the gateway's own stands in for one that the provider did not give.
fn openai_usage(
    api: Api,
    report: Option<&UsageReport>,
    own: bool,
    wanted: &Wanted,
    losses: &mut Losses,
) -> Value {
    let tokens = report.map_or(wanted.input_tokens, |report| report.usage.input_tokens);
    let mut usage = Map::new();
    usage.insert("prompt_tokens".to_owned(), json!(tokens));
    usage.insert("total_tokens".to_owned(), json!(tokens));
    if api == Api::Mistral {
        usage.insert("completion_tokens".to_owned(), json!(0));
    }
    if let Some(report) = report {
        if !own && report.usage.image_input_tokens + report.usage.audio_input_tokens > 0 {
            losses.unsupported(&report.at.key("promptTokenDetails"));
        }
        carry(&mut usage, &report.at, &report.extra, own, losses);
    }
    Value::Object(usage)
}

fn vector(embedding: &Embedding, encoding: Encoding, losses: &mut Losses) -> Value {
    let base64 = |floats: &mut dyn Iterator<Item = f32>| {
        let bytes: Vec<u8> = floats.flat_map(f32::to_le_bytes).collect();
        Value::String(STANDARD.encode(bytes))
    };
    match (&embedding.vector, encoding) {
        (Vector::Numbers(numbers), Encoding::Float) => Value::Array(numbers.clone()),
        (Vector::Numbers(numbers), Encoding::Base64) => base64(&mut numbers.iter().map(nearest)),
        (Vector::Bits(bits), Encoding::Base64) => base64(&mut bits.iter().copied()),
        (Vector::Bits(bits), Encoding::Float) => bits.iter().map(|bit| shortest(*bit)).collect(),
        (Vector::Other(other), _) => {
            losses.approximated(&embedding.at);
            other.clone()
        }
    }
}

/// The `f32` nearest to the number as it was written.
fn nearest(number: &Value) -> f32 {
    /// What an `f64` has beyond an `f32`, and the value of it that lies between two of those.
    const REST: u64 = (1 << 29) - 1;
    const HALF: u64 = 1 << 28;
    let double = number.as_f64().unwrap_or_default();
    if double.to_bits() & REST == HALF {
        // Rounded to an `f64`, it lies just between: only its digits tell which side it came from.
        return number.to_string().parse().unwrap_or_default();
    }
    #[allow(clippy::cast_possible_truncation)] // the nearest is what is asked for
    let single = double as f32;
    single
}

/// The shortest decimal that reads back as the same `f32`; that is how OpenAI writes them.
fn shortest(single: f32) -> Value {
    let double = single.to_string().parse().unwrap_or_else(|_| f64::from(single));
    Number::from_f64(double).map_or(Value::Null, Value::Number)
}
