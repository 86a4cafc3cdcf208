//! Requests, read.

use serde_json::{Map, Value};
use tollgate_filters::chat::{
    At, ENVELOPE, Effort, Format, LogProbs, Message, Part, Pointer, Request, Role, Schema, Summary,
};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::{input, tools};
use crate::dialect::fields::{Fields, missing};

/// What `include` may ask for without being a loss elsewhere: every other dialect seals its reasoning unasked, and
/// log-probabilities are asked for otherwise.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Reads the body of a request.
pub fn parse(body: Value) -> Result<Request, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    let mut request = Request::new(Dialect::OpenaiResponses);
    let mut envelope = Map::new();
    request.model = fields.string("model")?;
    if let Some(stream) = fields.boolean("stream")? {
        request.stream = stream;
        envelope.insert("stream".to_owned(), stream.into());
    }
    if let Some(text) = fields.string("instructions")? {
        let at = Pointer::of("/instructions");
        let mut message = Message::new(Role::System, vec![Part::text(text, at.clone())], at);
        message.plain = true;
        request.messages.push(message);
    }
    input::read(&mut fields, &mut request)?;
    if let Some(Value::Array(list)) = fields.peek("tools")
        && list.is_empty()
    {
        envelope.insert("tools".to_owned(), Value::Array(Vec::new()));
    }
    let brought = std::mem::replace(&mut request.tools, tools::read(&mut fields)?);
    request.tools.extend(brought);
    request.tool_choice = tools::choice(&mut fields, &request.tools)?;
    reasoning(&mut fields, &mut request)?;
    text(&mut fields, &mut request)?;
    include(&mut fields, &mut request, &mut envelope)?;
    parameters(&mut fields, &mut request)?;
    request.extra = fields.rest();
    for (name, usual) in [
        ("background", Value::Bool(false)),
        ("truncation", "disabled".into()),
        ("metadata", Map::new().into()),
    ] {
        if request.extra.get(name) == Some(&usual) {
            request.extra.shift_remove(name);
            envelope.insert(name.to_owned(), usual);
        }
    }
    if !envelope.is_empty() {
        request.extra.insert(ENVELOPE.to_owned(), Value::Object(envelope));
    }
    Ok(request)
}

fn parameters(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    macro_rules! take {
        ($($field:ident: $getter:ident($name:literal)),* $(,)?) => {
            $(let value = fields.$getter($name)?;
            request.$field = fields.placed($name, value);)*
        };
    }
    take! {
        parallel_tool_calls: boolean("parallel_tool_calls"),
        max_tokens: unsigned("max_output_tokens"),
        temperature: number("temperature"),
        top_p: number("top_p"),
        user: string("user"),
        safety_identifier: string("safety_identifier"),
        prompt_cache_key: string("prompt_cache_key"),
        prompt_cache_retention: string("prompt_cache_retention"),
        service_tier: string("service_tier"),
        store: boolean("store"),
    }
    let previous = fields.string("previous_response_id")?;
    request.state.previous_response_id = fields.placed("previous_response_id", previous);
    let filled = fields.peek("metadata").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    if filled && let Some(Value::Object(map)) = fields.take("metadata") {
        request.metadata = Some(At::new(map, fields.at("metadata")));
    }
    Ok(())
}

fn reasoning(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let Some(mut inner) = fields.object("reasoning")? else { return Ok(()) };
    let effort = inner.string("effort")?.map(|word| Effort::parse(&word));
    request.thinking.effort = inner.placed("effort", effort);
    let summary = inner.string("summary")?.map(Summary::Detail);
    request.thinking.summary = inner.placed("summary", summary);
    nested(inner, request);
    Ok(())
}

fn nested(fields: Fields, request: &mut Request) {
    let at = fields.here().clone();
    let rest = fields.rest();
    if !rest.is_empty() {
        request.nested.push(At::new(rest, at));
    }
}

fn text(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let Some(mut inner) = fields.object("text")? else { return Ok(()) };
    let verbosity = inner.string("verbosity")?;
    request.verbosity = inner.placed("verbosity", verbosity);
    if let Some(format) = inner.object("format")? {
        let at = format.here().clone();
        request.format = Some(At::new(read_format(format, request)?, at));
    }
    nested(inner, request);
    Ok(())
}

fn read_format(mut format: Fields, request: &mut Request) -> Result<Format, Error> {
    let known = match format.word("type") {
        Some("text") => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => {
            let name = format.string("name")?;
            let description = format.string("description")?;
            let strict = format.boolean("strict")?;
            let Some(schema) = format.take("schema") else { return Err(missing(&format.at("schema"))) };
            Format::JsonSchema(Schema { name, description, schema, strict })
        }
        _ => return Ok(Format::Opaque(Value::Object(format.rest()))),
    };
    format.take("type");
    nested(format, request);
    Ok(known)
}

fn include(
    fields: &mut Fields,
    request: &mut Request,
    envelope: &mut Map<String, Value>,
) -> Result<(), Error> {
    let include = fields.strings("include")?;
    let top = fields.unsigned("top_logprobs")?;
    let list = include.as_deref().unwrap_or_default();
    let place = fields.at("include");
    if let Some(asked) = list.iter().position(|word| word == LOGPROBS) {
        let at = if top.is_some() { fields.at("top_logprobs") } else { place.index(asked) };
        request.logprobs = Some(At::new(LogProbs { top }, at));
    } else if top.is_some() {
        request.logprobs = Some(At::new(LogProbs { top }, fields.at("top_logprobs")));
    }
    let Some(include) = include else { return Ok(()) };
    if include.iter().all(|word| word == LOGPROBS || word == ENCRYPTED) {
        envelope.insert("include".to_owned(), include.into());
    } else {
        request.state.include = Some(At::new(include, place));
    }
    Ok(())
}
