//! Schemas: Gemini's own kind turned into JSON Schema, and JSON Schema cut down to what Gemini knows of it.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Losses, Pointer};

use super::spelling::camel;

/// Turns Gemini's `Schema` (an `OpenAPI` 3.0 subset with upper-case types) into JSON Schema.
///
/// `nullable` becomes a second type, `example` becomes `examples`, counts that came as strings become numbers, and
/// `propertyOrdering` becomes the order of `properties`.
pub fn from_gemini(schema: &Value) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let mut out = Map::with_capacity(map.len());
    let mut nullable = false;
    let mut ordering: Option<&Vec<Value>> = None;
    for (name, value) in map {
        let name = if name.starts_with('$') { name.clone() } else { camel(name) };
        match (name.as_str(), value) {
            (_, Value::Null) if name != "default" => {}
            ("type", Value::String(word)) if word.eq_ignore_ascii_case("TYPE_UNSPECIFIED") => {}
            ("type", Value::String(word)) => {
                out.insert(name, json!(word.to_ascii_lowercase()));
            }
            ("nullable", Value::Bool(flag)) => nullable = *flag,
            ("propertyOrdering", Value::Array(names)) => ordering = Some(names),
            ("format", Value::String(word)) if word == "enum" => {}
            ("example", value) => {
                out.insert("examples".to_owned(), json!([value]));
            }
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
                Value::String(count),
            ) => {
                let number = count.parse::<u64>().map_or_else(|_| value.clone(), Value::from);
                out.insert(name, number);
            }
            ("properties" | "$defs" | "defs", Value::Object(members)) => {
                let members = members.iter().map(|(name, schema)| (name.clone(), from_gemini(schema)));
                out.insert(name, Value::Object(members.collect()));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                out.insert(name, list.iter().map(from_gemini).collect());
            }
            ("items" | "additionalProperties" | "not", value) => {
                out.insert(name, from_gemini(value));
            }
            _ => {
                out.insert(name, value.clone());
            }
        }
    }
    if let (Some(names), Some(Value::Object(properties))) = (ordering, out.get_mut("properties")) {
        order(properties, names);
    }
    numbers(&mut out);
    if nullable {
        admit_null(&mut out);
    }
    Value::Object(out)
}

fn order(properties: &mut Map<String, Value>, names: &[Value]) {
    let mut old = std::mem::take(properties);
    for name in names.iter().filter_map(Value::as_str) {
        if let Some(schema) = old.shift_remove(name) {
            properties.insert(name.to_owned(), schema);
        }
    }
    properties.extend(old);
}

/// Gemini writes the values of a numeric enumeration as strings.
fn numbers(schema: &mut Map<String, Value>) {
    let numeric = schema.get("type").and_then(Value::as_str).is_some_and(|t| t == "integer" || t == "number");
    if let (true, Some(Value::Array(values))) = (numeric, schema.get_mut("enum")) {
        for value in values {
            let number =
                value.as_str().and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok());
            if let Some(number) = number {
                *value = Value::Number(number);
            }
        }
    }
}

fn admit_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::String(word)) if word != "null" => {
            let both = json!([word, "null"]);
            schema.insert("type".to_owned(), both);
        }
        _ => {
            if let Some(Value::Array(list)) = schema.get_mut("anyOf") {
                list.push(json!({"type": "null"}));
            }
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// Cuts the JSON Schema that stood at `at` down to what `parametersJsonSchema` and `responseJsonSchema` know. The
/// keywords are those that the reference of `responseJsonSchema` lists.
pub fn limited(schema: &Value, at: &Pointer, losses: &mut Losses) -> Value {
    let Value::Object(map) = schema else {
        // `true` and `false` are schemas; Gemini has no word for either.
        if *schema != Value::Bool(true) {
            losses.unsupported(at);
        }
        return json!({});
    };
    let mut out = Map::with_capacity(map.len());
    let reference = map.contains_key("$ref");
    for (name, value) in map {
        let at = at.key(name);
        if reference && !name.starts_with('$') {
            // Google: beside `$ref` there may be nothing but what begins with `$`.
            losses.unsupported(&at);
            continue;
        }
        keyword(name, value, &at, &mut out, losses);
    }
    if !reference && out.contains_key("$ref") {
        out.retain(|name, _| {
            let stays = name.starts_with('$');
            if !stays {
                losses.unsupported(&at.key(name));
            }
            stays
        });
    }
    Value::Object(out)
}

fn keyword(name: &str, value: &Value, at: &Pointer, out: &mut Map<String, Value>, losses: &mut Losses) {
    match (name, value) {
        // Says which draft it is written in, and nothing about the data.
        ("$schema", _) => {}
        ("$ref", Value::String(target)) => {
            let target = target.strip_prefix("#/definitions/").map(|rest| format!("#/$defs/{rest}"));
            out.insert(name.to_owned(), target.map_or_else(|| value.clone(), Value::String));
        }
        ("properties" | "$defs", Value::Object(members)) => {
            insert(out, name, members_of(members, at, losses));
        }
        ("definitions", Value::Object(members)) => {
            losses.approximated(at);
            insert(out, "$defs", members_of(members, at, losses));
        }
        ("anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
            let list = list.iter().enumerate().map(|(i, schema)| limited(schema, &at.index(i), losses));
            insert(out, name, list.collect());
        }
        ("allOf", Value::Array(list)) => all_of(list, at, out, losses),
        ("items" | "additionalProperties", Value::Object(_)) => {
            insert(out, name, limited(value, at, losses));
        }
        ("enum", Value::Array(values)) => {
            let known: Vec<Value> =
                values.iter().filter(|v| v.is_string() || v.is_number()).cloned().collect();
            if known.len() < values.len() {
                losses.approximated(at);
            }
            if !known.is_empty() {
                insert(out, name, Value::Array(known));
            }
        }
        ("const", Value::String(_) | Value::Number(_)) => {
            losses.approximated(at);
            insert(out, "enum", json!([value]));
        }
        (
            "$id" | "$anchor" | "type" | "format" | "title" | "description" | "minItems" | "maxItems"
            | "minimum" | "maximum" | "required" | "propertyOrdering",
            _,
        )
        | ("additionalProperties", Value::Bool(_)) => insert(out, name, value.clone()),
        _ => losses.unsupported(at),
    }
}

/// A member that is there already (out of `allOf`, or `const` beside `enum`) stays.
fn insert(out: &mut Map<String, Value>, name: &str, value: Value) {
    out.entry(name).or_insert(value);
}

fn members_of(members: &Map<String, Value>, at: &Pointer, losses: &mut Losses) -> Value {
    let members = members.iter().map(|(name, schema)| (name.clone(), limited(schema, &at.key(name), losses)));
    Value::Object(members.collect())
}

/// One schema in `allOf` may as well stand where `allOf` stands; several cannot.
fn all_of(list: &[Value], at: &Pointer, out: &mut Map<String, Value>, losses: &mut Losses) {
    let [one] = list else { return losses.unsupported(at) };
    let Value::Object(one) = limited(one, &at.index(0), losses) else { return losses.unsupported(at) };
    losses.approximated(at);
    for (name, value) in one {
        insert(out, &name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geminis_schema_becomes_json_schema() {
        let gemini = json!({
            "type": "OBJECT",
            "property_ordering": ["b", "a"],
            "properties": {
                "a": {"type": "STRING", "nullable": true, "format": "enum", "enum": ["x"], "example": "x"},
                "b": {"type": "ARRAY", "minItems": "2", "items": {"any_of": [{"type": "INTEGER", "enum": ["1"]}]}},
            },
        });
        let schema = from_gemini(&gemini);
        let wanted = json!({
            "type": "object",
            "properties": {
                "b": {"type": "array", "minItems": 2, "items": {"anyOf": [{"type": "integer", "enum": [1]}]}},
                "a": {"type": ["string", "null"], "enum": ["x", null], "examples": ["x"]},
            },
        });
        assert_eq!(schema.to_string(), wanted.to_string());
    }

    #[test]
    fn what_gemini_does_not_know_is_left_out_and_named() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "n": {"type": "string", "pattern": "^a", "const": "a"},
                "pattern": {"$ref": "#/definitions/T", "description": "T"},
            },
            "definitions": {"T": {"type": "string", "enum": ["a", null]}},
            "additionalProperties": false,
        });
        let mut losses = Losses::default();
        let cut = limited(&schema, &Pointer::of("/s"), &mut losses);
        assert_eq!(
            cut,
            json!({
                "type": "object",
                "properties": {"n": {"type": "string", "enum": ["a"]}, "pattern": {"$ref": "#/$defs/T"}},
                "$defs": {"T": {"type": "string", "enum": ["a"]}},
                "additionalProperties": false,
            })
        );
        let at: Vec<&str> = losses.iter().map(|l| l.at.as_str()).collect();
        assert_eq!(
            at,
            [
                "/s/properties/n/pattern",
                "/s/properties/n/const",
                "/s/properties/pattern/description",
                "/s/definitions",
                "/s/definitions/T/enum"
            ]
        );
    }
}
