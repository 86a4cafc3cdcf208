//! Reading a Chat Completions request.

use serde_json::Value;
use tollgate_filters::chat::{At, Extra, Format, LogProbs, Pointer, Request, Schema};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::{message, thinking, tools};
use crate::dialect::fields::{Fields, missing, wrong_type};
use crate::dialect::openai_chat::content::keep;

/// Reads the body of a request.
pub fn parse(body: Value) -> Result<Request, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = Request::new(Dialect::OpenaiChat);
    let mut nested = Vec::new();
    request.model = fields.string("model")?;
    request.stream = fields.boolean("stream")?.unwrap_or_default();
    let messages = fields.list("messages")?.ok_or_else(|| missing(&fields.at("messages")))?;
    request.messages = message::parse(messages, &mut nested)?;
    tools::parse(&mut fields, &mut request, &mut nested)?;
    request.format = format(&mut fields, &mut nested)?;
    request.thinking = thinking::parse(&mut fields, &mut nested)?;
    sampling(&mut fields, &mut request)?;
    stream_options(&mut fields, &mut request, &mut nested)?;
    about(&mut fields, &mut request)?;
    request.extra = fields.rest();
    request.nested = nested;
    Ok(request)
}

fn sampling(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    // Where both are sent, the newer name counts and the older stays an extra member.
    let limit = fields.either("max_completion_tokens", "max_tokens");
    let tokens = fields.unsigned(limit)?;
    request.max_tokens = fields.placed(limit, tokens);
    let seed = fields.either("seed", "random_seed");
    for (key, place) in [
        ("temperature", &mut request.temperature),
        ("top_p", &mut request.top_p),
        ("top_k", &mut request.top_k),
        (seed, &mut request.seed),
        ("frequency_penalty", &mut request.frequency_penalty),
        ("presence_penalty", &mut request.presence_penalty),
    ] {
        let number = fields.number(key)?;
        *place = fields.placed(key, number);
    }
    let n = fields.unsigned("n")?;
    request.n = fields.placed("n", n);
    let stop = fields.strings("stop")?.filter(|stop| !stop.is_empty());
    request.stop = fields.placed("stop", stop);
    if fields.boolean("logprobs")?.unwrap_or_default() {
        let top = fields.unsigned("top_logprobs")?;
        request.logprobs = fields.placed("logprobs", Some(LogProbs { top }));
    }
    Ok(())
}

fn about(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    for (key, place) in [
        ("verbosity", &mut request.verbosity),
        ("user", &mut request.user),
        ("safety_identifier", &mut request.safety_identifier),
        ("prompt_cache_key", &mut request.prompt_cache_key),
        ("prompt_cache_retention", &mut request.prompt_cache_retention),
        ("service_tier", &mut request.service_tier),
    ] {
        let text = fields.string(key)?;
        *place = fields.placed(key, text);
    }
    let store = fields.boolean("store")?;
    request.store = fields.placed("store", store);
    let modalities = fields.strings("modalities")?;
    request.modalities = fields.placed("modalities", modalities);
    let metadata = fields.object("metadata")?.map(Fields::rest);
    request.metadata = fields.placed("metadata", metadata);
    Ok(())
}

fn stream_options(
    fields: &mut Fields,
    request: &mut Request,
    nested: &mut Vec<At<Extra>>,
) -> Result<(), Error> {
    if let Some(mut options) = fields.object("stream_options")? {
        let usage = options.boolean("include_usage")?;
        request.stream_usage = options.placed("include_usage", usage);
        keep(options, nested);
    }
    Ok(())
}

fn format(fields: &mut Fields, nested: &mut Vec<At<Extra>>) -> Result<Option<At<Format>>, Error> {
    let at = fields.at("response_format");
    let Some(value) = fields.take("response_format") else { return Ok(None) };
    let kind = match value.get("type") {
        _ if !value.is_object() => return Err(wrong_type(&at, "an object")),
        Some(Value::String(kind)) => kind.clone(),
        _ => return Err(missing(&at.key("type"))),
    };
    if !matches!(kind.as_str(), "text" | "json_object" | "json_schema") {
        return Ok(Some(At::new(Format::Opaque(value), at)));
    }
    let mut object = Fields::new(value, at.clone())?;
    object.take("type");
    let format = match kind.as_str() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        _ => {
            let mut inner = object.object("json_schema")?.ok_or_else(|| missing(&at.key("json_schema")))?;
            let schema = Schema {
                name: inner.string("name")?,
                description: inner.string("description")?,
                schema: inner.take("schema").unwrap_or_default(),
                strict: inner.boolean("strict")?,
            };
            keep(inner, nested);
            Format::JsonSchema(schema)
        }
    };
    keep(object, nested);
    Ok(Some(At::new(format, at)))
}
