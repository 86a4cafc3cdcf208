//! Embedding requests in the form of OpenAI and of Mistral.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Extra, Losses, Pointer};
use tollgate_filters::error::Error;

use super::{Api, Content, EmbeddingRequest, Encoding, Input};
use crate::dialect::count::{Tokens, decode_tokens};
use crate::dialect::fields::{Fields, missing, wrong_type};

pub(super) fn parse(source: Api, body: Value) -> Result<EmbeddingRequest, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let model = fields.string("model")?;
    let name = fields.either("dimensions", "output_dimension");
    let dimensions = fields.unsigned(name)?;
    let dimensions = fields.placed(name, dimensions);
    let encoding = match fields.word("encoding_format") {
        Some("float") => Some(Encoding::Float),
        Some("base64") => Some(Encoding::Base64),
        None if fields.peek("encoding_format").is_none() => None,
        _ => return Err(wrong_type(&fields.at("encoding_format"), "`float` or `base64`")),
    };
    fields.take("encoding_format");
    let encoding = fields.placed("encoding_format", encoding);
    let user = fields.string("user")?;
    let user = fields.placed("user", user);
    let output_dtype = fields.string("output_dtype")?;
    let output_dtype = fields.placed("output_dtype", output_dtype);
    let at = fields.at("input");
    let input = fields.take("input").ok_or_else(|| missing(&at))?;
    let (contents, batch) = contents(input, &at)?;
    let inputs = contents
        .into_iter()
        .enumerate()
        .map(|(i, content)| Input {
            content,
            at: if batch { at.index(i) } else { at.clone() },
            dimensions: dimensions.clone(),
            task_type: None,
            title: None,
            nested: Vec::new(),
        })
        .collect();
    Ok(EmbeddingRequest { source, model, inputs, batch, encoding, user, output_dtype, extra: fields.rest() })
}

/// One text, a list of them, one list of tokens, or a list of those. Says whether it was a list of inputs.
fn contents(input: Value, at: &Pointer) -> Result<(Vec<Content>, bool), Error> {
    match input {
        Value::String(text) => Ok((vec![Content::Text(text)], false)),
        Value::Array(list) if list.is_empty() => {
            Err(Error::invalid(format!("`{at}` is empty.")).param(at.to_string()).code("empty_array"))
        }
        Value::Array(list) if list.iter().all(Value::is_u64) => {
            Ok((vec![Content::Tokens(list.iter().filter_map(Value::as_u64).collect())], false))
        }
        Value::Array(list) => {
            let each = list.into_iter().enumerate().map(|(i, value)| one(value, &at.index(i)));
            Ok((each.collect::<Result<_, _>>()?, true))
        }
        object @ Value::Object(_) => Ok((vec![Content::Opaque(object)], false)),
        _ => Err(wrong_type(at, "a text, a list of texts, or tokens")),
    }
}

fn one(value: Value, at: &Pointer) -> Result<Content, Error> {
    match value {
        Value::String(text) => Ok(Content::Text(text)),
        Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => {
            Ok(Content::Tokens(ids.iter().filter_map(Value::as_u64).collect()))
        }
        object @ Value::Object(_) => Ok(Content::Opaque(object)),
        _ => Err(wrong_type(at, "a text or a list of tokens")),
    }
}

pub(super) fn render(
    api: Api,
    request: &EmbeddingRequest,
    model: &str,
    losses: &mut Losses,
) -> Result<Value, Error> {
    let mut inputs = Vec::with_capacity(request.inputs.len());
    for input in &request.inputs {
        inputs.push(content(api, request.source, input, losses)?);
        for lost in [&input.task_type, &input.title].into_iter().flatten() {
            losses.unsupported(&lost.at);
        }
        for nested in &input.nested {
            // A role says nothing where there is but one.
            let told = nested.value.iter().filter(|(key, value)| *key != "role" || *value != "user");
            told.for_each(|(key, _)| losses.unsupported(&nested.at.key(key)));
        }
    }
    let input = match inputs.pop() {
        Some(one) if inputs.is_empty() && !request.batch => one,
        Some(last) => {
            inputs.push(last);
            Value::Array(inputs)
        }
        None => return Err(missing(&Pointer::of("/input"))),
    };
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("input".to_owned(), input);
    if let Some(dimensions) = dimensions(request, losses) {
        let name = if api == Api::Mistral { "output_dimension" } else { "dimensions" };
        body.insert(name.to_owned(), json!(dimensions));
    }
    options(api, request, &mut body, losses);
    Ok(Value::Object(body))
}

/// The vectors' length is said once: that of the first input. Others that want another are reported.
fn dimensions(request: &EmbeddingRequest, losses: &mut Losses) -> Option<u64> {
    let first = request.inputs.first().and_then(|input| input.dimensions.as_ref()).map(|d| d.value);
    for input in &request.inputs {
        match &input.dimensions {
            Some(own) if Some(own.value) != first => losses.approximated(&own.at),
            None if first.is_some() => losses.approximated(&input.at),
            _ => {}
        }
    }
    first
}

fn options(api: Api, request: &EmbeddingRequest, body: &mut Map<String, Value>, losses: &mut Losses) {
    match (&request.encoding, api, request.source) {
        // What Mistral's base64 holds depends on the type; numbers are the same for all, and written anew.
        (None, ..) | (_, Api::Mistral, Api::Openai | Api::Gemini) => {}
        (Some(encoding), ..) => {
            let word = if encoding.value == Encoding::Base64 { "base64" } else { "float" };
            body.insert("encoding_format".to_owned(), json!(word));
        }
    }
    if let Some(dtype) = &request.output_dtype {
        match api {
            Api::Mistral => drop(body.insert("output_dtype".to_owned(), json!(dtype.value))),
            _ if dtype.value == "float" => {}
            _ => losses.unsupported(&dtype.at),
        }
    }
    if let Some(user) = &request.user {
        match api {
            Api::Openai => drop(body.insert("user".to_owned(), json!(user.value))),
            _ => losses.unsupported(&user.at),
        }
    }
    let known = |key: &str| match api {
        Api::Openai => request.source != Api::Gemini,
        _ => request.source == api || (request.source == Api::Openai && key == "metadata"),
    };
    for (key, value) in &request.extra {
        if known(key) {
            body.insert(key.clone(), value.clone());
        } else {
            losses.unsupported(&Pointer::ROOT.key(key));
        }
    }
}

/// An input as a text, or as tokens where the target is OpenAI's own.
fn content(api: Api, source: Api, input: &Input, losses: &mut Losses) -> Result<Value, Error> {
    match &input.content {
        Content::Text(text) => Ok(json!(text)),
        Content::Tokens(ids) if api == Api::Openai => Ok(json!(ids)),
        Content::Tokens(ids) => token_text(ids, &input.at, losses).map(Value::String),
        Content::Opaque(value) if api == source || api == Api::Openai => Ok(value.clone()),
        Content::Opaque(_) => Err(no_place(&input.at)),
        Content::Parts(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            for (i, part) in parts.iter().enumerate() {
                let at = input.at.key("content").key("parts").index(i);
                match part.as_object() {
                    Some(part) if part.contains_key("text") => {
                        let rest = part.iter().filter(|(key, _)| *key != "text");
                        losses.extra(&at, &rest.map(|(k, v)| (k.clone(), v.clone())).collect::<Extra>());
                        if texts.len() > 1 {
                            losses.approximated(&at);
                        }
                    }
                    _ => losses.unsupported(&at),
                }
            }
            if texts.is_empty() {
                Err(no_place(&input.at.key("content")))
            } else {
                Ok(json!(texts.join("\n")))
            }
        }
    }
}

/// OpenAI's embedding models share one vocabulary; libraries that cut texts to length send its tokens.
pub(super) fn token_text(ids: &[u64], at: &Pointer, losses: &mut Losses) -> Result<String, Error> {
    let text = decode_tokens(Tokens::Cl100k, ids).ok_or_else(|| no_place(at))?;
    losses.approximated(at);
    Ok(text)
}

pub(super) fn no_place(at: &Pointer) -> Error {
    Error::invalid(format!("`{at}` holds nothing that this model's provider can embed. Send text."))
        .param(at.to_string())
        .code("unsupported_input")
}
