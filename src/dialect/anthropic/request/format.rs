//! Structured output: `output_config.format`, its older name `output_format`, and the schemas that they take.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{At, Effort, Format, Losses, Pointer, Request, Schema};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;

use super::parse::keep;
use crate::dialect::fields::Fields;

const OLDER: &str = "/output_format";

/// Reads `output_config`, the effort in it included, and `output_format`.
pub fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    if let Some(mut config) = fields.object("output_config")? {
        let at = config.at("format");
        request.format = config.take("format").map(|raw| At::new(one(raw), at));
        let effort = config.string("effort")?;
        let effort = effort.map(|word| Effort::parse(&word));
        request.thinking.effort = config.placed("effort", effort);
        keep(request, config);
    }
    if request.format.is_none() {
        let at = fields.at("output_format");
        request.format = fields.take("output_format").map(|raw| At::new(one(raw), at));
    }
    Ok(())
}

fn one(raw: Value) -> Format {
    let known = raw.get("type").and_then(Value::as_str) == Some("json_schema")
        && raw.as_object().is_some_and(|format| format.keys().all(|key| key == "type" || key == "schema"));
    match raw.get("schema") {
        Some(schema) if known => Format::JsonSchema(Schema { schema: schema.clone(), ..Schema::default() }),
        _ => Format::Opaque(raw),
    }
}

/// Writes the format into `config`, or into the body where the client used the older name.
pub fn write(
    request: &Request,
    body: &mut Map<String, Value>,
    config: &mut Map<String, Value>,
    losses: &mut Losses,
) {
    let Some(format) = &request.format else { return };
    let own = request.source == Dialect::Anthropic;
    let written = match &format.value {
        Format::Text => return,
        Format::JsonSchema(schema) if own => json!({"type": "json_schema", "schema": schema.schema}),
        Format::JsonSchema(schema) => {
            let at = schema_place(request.source, &format.at);
            let mut narrowed = schema.schema.clone();
            if let (Some(text), Value::Object(top)) = (&schema.description, &mut narrowed)
                && !top.contains_key("description")
            {
                top.insert("description".into(), text.as_str().into());
            }
            narrow(&mut narrowed, &at, losses);
            json!({"type": "json_schema", "schema": narrowed})
        }
        Format::Opaque(raw) if own => raw.clone(),
        Format::JsonObject | Format::Opaque(_) => return losses.unsupported(&format.at),
    };
    if own && format.at.as_str() == OLDER {
        body.insert("output_format".into(), written);
    } else {
        config.insert("format".into(), written);
    }
}

/// Where the schema itself stood.
fn schema_place(source: Dialect, format: &Pointer) -> Pointer {
    match source {
        Dialect::OpenaiChat => format.key("json_schema").key("schema"),
        Dialect::OpenaiResponses | Dialect::Anthropic => format.key("schema"),
        Dialect::Gemini => format.clone(),
    }
}

/// Keywords that the provider refuses in a schema that binds the model's output.
const REFUSED: [&str; 22] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "not",
    "if",
    "unevaluatedProperties",
];

/// Formats of strings that the provider takes.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Makes a schema one that binds the model's output there: every object is closed, and what refused keywords say moves
/// into the description, where the model reads it.
pub fn narrow(schema: &mut Value, at: &Pointer, losses: &mut Losses) {
    let Value::Object(map) = schema else { return };
    let mut told = Vec::new();
    for key in REFUSED.iter().chain(&["then", "else", "minItems", "format"]) {
        let refused = match *key {
            "minItems" => map.get(*key).is_some_and(|least| least.as_u64().is_none_or(|least| least > 1)),
            "format" => map.get(*key).and_then(Value::as_str).is_some_and(|of| !FORMATS.contains(&of)),
            _ => map.get(*key).is_some_and(|value| !value.is_null()),
        };
        if refused && let Some(value) = map.remove(*key) {
            losses.approximated(&at.key(key));
            told.push(format!("{key}: {value}"));
        }
    }
    if !told.is_empty() {
        let told = format!("{{{}}}", told.join(", "));
        let text = match map.get("description").and_then(Value::as_str) {
            Some(text) => format!("{text}\n\n{told}"),
            None => told,
        };
        map.insert("description".into(), text.into());
    }
    if let Some(choices) = map.remove("oneOf") {
        losses.approximated(&at.key("oneOf"));
        map.entry("anyOf").or_insert(choices);
    }
    let is_object = match map.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => map.contains_key("properties"),
    };
    if is_object {
        let before = map.insert("additionalProperties".into(), false.into());
        if before.is_some_and(|before| before != false) {
            losses.approximated(&at.key("additionalProperties"));
        }
    }
    for (key, value) in map.iter_mut() {
        let at = at.key(key);
        match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    narrow(schema, &at.key(name), losses);
                }
            }
            ("anyOf" | "allOf", Value::Array(schemas)) => {
                for (i, schema) in schemas.iter_mut().enumerate() {
                    narrow(schema, &at.index(i), losses);
                }
            }
            ("items", schema) => narrow(schema, &at, losses),
            _ => {}
        }
    }
}
