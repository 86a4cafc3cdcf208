//! `generationConfig`: limits, sampling, and the form of the answer.

use serde_json::{Map, Number, Value, json};
use tollgate_filters::chat::{At, Format, LogProbs, Losses, Pointer, Request, Schema, Target};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::thinking;
use crate::dialect::fields::Fields;
use crate::dialect::gemini::part::write::merge;
use crate::dialect::gemini::schema;
use crate::dialect::gemini::spelling::{camel, last, places, spelled};

/// Google takes no more stop sequences than this.
const MAX_STOPS: usize = 5;

pub fn parse(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let key = spelled(fields, "generationConfig").into_owned();
    let Some(mut config) = fields.object(&key)? else { return Ok(()) };
    let at = config.here().clone();
    request.temperature = number(&mut config, "temperature")?;
    request.top_p = number(&mut config, "topP")?;
    request.top_k = number(&mut config, "topK")?;
    request.seed = number(&mut config, "seed")?;
    request.frequency_penalty = number(&mut config, "frequencyPenalty")?;
    request.presence_penalty = number(&mut config, "presencePenalty")?;
    request.max_tokens = unsigned(&mut config, "maxOutputTokens")?;
    request.n = unsigned(&mut config, "candidateCount")?;
    let key = spelled(&config, "stopSequences").into_owned();
    let stop = config.strings(&key)?;
    request.stop = config.placed(&key, stop);
    logprobs(&mut config, request)?;
    let key = spelled(&config, "responseModalities").into_owned();
    if let Some(list) = config.strings(&key)? {
        let lower: Vec<String> = list.iter().map(|word| word.to_ascii_lowercase()).collect();
        request.forms.push(At::new(json!(list), config.at(&key)));
        request.modalities = config.placed(&key, Some(lower));
    }
    format(&mut config, request)?;
    thinking::parse(&mut config, request)?;
    let rest = config.rest();
    if rest.is_empty() {
        request.forms.push(At::new(json!({}), at));
    } else {
        request.nested.push(At::new(rest, at));
    }
    Ok(())
}

fn number(config: &mut Fields, camel: &str) -> Result<Option<At<Number>>, Error> {
    let key = spelled(config, camel).into_owned();
    let number = config.number(&key)?;
    Ok(config.placed(&key, number))
}

fn unsigned(config: &mut Fields, camel: &str) -> Result<Option<At<u64>>, Error> {
    let key = spelled(config, camel).into_owned();
    let number = config.unsigned(&key)?;
    Ok(config.placed(&key, number))
}

/// `responseLogprobs` switches them on, `logprobs` says how many alternatives there are to be.
fn logprobs(config: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let key = spelled(config, "responseLogprobs").into_owned();
    let top = config.unsigned("logprobs")?;
    match config.boolean(&key)? {
        Some(true) => request.logprobs = config.placed(&key, Some(LogProbs { top })),
        on => {
            let mut rest = Map::new();
            rest.extend(on.map(|on| (key, json!(on))));
            rest.extend(top.map(|top| ("logprobs".to_owned(), json!(top))));
            if !rest.is_empty() {
                request.nested.push(At::new(rest, config.here().clone()));
            }
        }
    }
    Ok(())
}

fn format(config: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let mime_key = spelled(config, "responseMimeType").into_owned();
    let mime = config.string(&mime_key)?;
    let names = ["responseJsonSchema", "_responseJsonSchema", "responseSchema"];
    let keys = names.map(|name| spelled(config, name).into_owned());
    let key = keys.into_iter().find(|key| config.peek(key).is_some());
    let schema = key.and_then(|key| config.take(&key).map(|schema| (key, schema)));
    let format = match (mime.as_deref(), schema) {
        (None | Some("application/json"), Some((key, given))) => {
            let at = config.at(&key);
            let schema = if camel(&key) == "responseSchema" {
                let schema = schema::from_gemini(&given);
                request.forms.push(At::new(given, at.clone()));
                schema
            } else {
                given
            };
            if mime.is_none() {
                request.forms.push(At::new(Value::Null, config.at("responseMimeType")));
            }
            At::new(Format::JsonSchema(Schema { schema, ..Schema::default() }), at)
        }
        (None, None) => return Ok(()),
        (Some("application/json"), None) => At::new(Format::JsonObject, config.at(&mime_key)),
        (Some("text/plain"), None) => At::new(Format::Text, config.at(&mime_key)),
        (Some(mime), schema) => {
            let mut opaque = Map::new();
            opaque.insert("responseMimeType".to_owned(), json!(mime));
            opaque.extend(schema);
            At::new(Format::Opaque(Value::Object(opaque)), config.at(&mime_key))
        }
    };
    request.format = Some(format);
    Ok(())
}

pub fn render(request: &Request, target: &Target, body: &mut Map<String, Value>, losses: &mut Losses) {
    let mut config = Map::new();
    let same = request.source == Dialect::Gemini;
    let mut put = |name: &str, value: Option<Value>| {
        config.extend(value.map(|value| (name.to_owned(), value)));
    };
    let number = |at: &Option<At<Number>>| at.as_ref().map(|at| Value::Number(at.value.clone()));
    put("temperature", number(&request.temperature));
    put("topP", number(&request.top_p));
    put("topK", number(&request.top_k));
    put("frequencyPenalty", number(&request.frequency_penalty));
    put("presencePenalty", number(&request.presence_penalty));
    put("seed", seed(request, losses));
    put("maxOutputTokens", max_tokens(request, target, losses));
    put("candidateCount", request.n.as_ref().map(|n| json!(n.value)));
    put("stopSequences", stop(request, losses));
    if let Some(logprobs) = &request.logprobs {
        put("responseLogprobs", Some(Value::Bool(true)));
        put("logprobs", logprobs.value.top.filter(|top| same || *top > 0).map(Value::from));
    }
    if let Some(modalities) = &request.modalities {
        let upper: Vec<String> = modalities.value.iter().map(|word| word.to_ascii_uppercase()).collect();
        let lower = |word: &Value| word.as_str().map(str::to_ascii_lowercase);
        let original = request
            .form(&modalities.at)
            .and_then(Value::as_array)
            .filter(|list| list.iter().map(lower).eq(modalities.value.iter().map(|word| Some(word.clone()))));
        put("responseModalities", Some(original.map_or_else(|| json!(upper), |list| json!(list))));
    }
    render_format(request, &mut config, losses);
    thinking::render(request, target, &mut config, losses);
    if same {
        for at in places(&Pointer::ROOT, "generationConfig") {
            for nested in request.nested.iter().filter(|nested| nested.at == at) {
                merge(&mut config, &nested.value);
            }
            if config.is_empty() && request.form(&at).is_some() {
                body.insert("generationConfig".to_owned(), json!({}));
            }
        }
    }
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
}

/// Google's seed has 32 bits.
fn seed(request: &Request, losses: &mut Losses) -> Option<Value> {
    let seed = request.seed.as_ref()?;
    match seed.value.as_i64() {
        Some(number) if i32::try_from(number).is_err() => {
            losses.approximated(&seed.at);
            Some(json!(number & i64::from(i32::MAX)))
        }
        _ => Some(Value::Number(seed.value.clone())),
    }
}

fn max_tokens(request: &Request, target: &Target, losses: &mut Losses) -> Option<Value> {
    let wanted = request.max_tokens.as_ref()?;
    match target.rules.max_output_tokens {
        Some(most) if wanted.value > most && request.source != Dialect::Gemini => {
            losses.approximated(&wanted.at);
            Some(json!(most))
        }
        _ => Some(json!(wanted.value)),
    }
}

fn stop(request: &Request, losses: &mut Losses) -> Option<Value> {
    let stop = request.stop.as_ref()?;
    if request.source != Dialect::Gemini && stop.value.len() > MAX_STOPS {
        losses.approximated(&stop.at);
        return Some(json!(stop.value[..MAX_STOPS]));
    }
    Some(json!(stop.value))
}

fn render_format(request: &Request, config: &mut Map<String, Value>, losses: &mut Losses) {
    let Some(format) = &request.format else { return };
    let same = request.source == Dialect::Gemini;
    let mut put = |name: &str, value: Value| config.insert(name.to_owned(), value);
    match &format.value {
        Format::Text => {
            put("responseMimeType", json!("text/plain"));
        }
        Format::JsonObject => {
            put("responseMimeType", json!("application/json"));
        }
        Format::JsonSchema(schema) if same => {
            if !request.forms.iter().any(|form| form.value.is_null() && last(&form.at) == "responseMimeType")
            {
                put("responseMimeType", json!("application/json"));
            }
            match request.form(&format.at) {
                Some(original) if schema::from_gemini(original) == schema.schema => {
                    put("responseSchema", original.clone())
                }
                _ if last(&format.at) == "_responseJsonSchema" => {
                    put("_responseJsonSchema", schema.schema.clone())
                }
                _ => put("responseJsonSchema", schema.schema.clone()),
            };
        }
        Format::JsonSchema(schema) => {
            let chat = request.source == Dialect::OpenaiChat && last(&format.at) != "json_schema";
            let at = if chat { format.at.key("json_schema") } else { format.at.clone() };
            put("responseMimeType", json!("application/json"));
            // A name says nothing, and Gemini is always strict.
            if !schema.schema.is_null() {
                let mut limited = schema::limited(&schema.schema, &at.key("schema"), losses);
                describe(&mut limited, schema, &at, losses);
                put("responseJsonSchema", limited);
            } else if schema.description.is_some() {
                losses.unsupported(&at.key("description"));
            }
        }
        Format::Opaque(Value::Object(opaque)) if same => merge(config, opaque),
        Format::Opaque(_) => losses.unsupported(&format.at),
    }
}

/// A description of the whole may stand in the schema, where it has none of its own.
fn describe(limited: &mut Value, schema: &Schema, at: &Pointer, losses: &mut Losses) {
    let Some(description) = &schema.description else { return };
    let free = limited.get("description").is_none() && limited.get("$ref").is_none();
    if free && limited.is_object() {
        limited["description"] = json!(description);
    } else if limited.get("description").and_then(Value::as_str) != Some(description) {
        losses.unsupported(&at.key("description"));
    }
}
