//! Writes a value that a JSON schema accepts: the arguments of a tool call, or a structured answer.

use serde_json::{Map, Value, json};

/// How deep a sample goes; schemas may refer to themselves.
const DEPTH: usize = 8;
/// How many values a sample holds at most; a wide schema that refers to itself would have no end.
const VALUES: usize = 256;

/// The value this schema always gets: `"demo"`, `1`, `true`, the first of an enum, one element of an array,
/// the required properties of an object.
pub(super) fn sample(schema: &Value) -> Value {
    let mut sampler = Sampler { root: schema, left: VALUES };
    sampler.value(schema, DEPTH)
}

/// The same, for a place where only an object will do.
pub(super) fn object(schema: &Value) -> Value {
    Some(sample(schema)).filter(Value::is_object).unwrap_or_else(|| json!({}))
}

struct Sampler<'a> {
    /// Where `#/$defs/…` points to.
    root: &'a Value,
    left: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let (Some(left), Some(depth)) = (self.left.checked_sub(1), depth.checked_sub(1)) else {
            return Value::Null;
        };
        self.left = left;
        if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return fixed.clone();
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let root = self.root;
            let target = root.pointer(reference.trim_start_matches('#'));
            return target.map_or(Value::Null, |target| self.value(target, depth));
        }
        if let Some(variant) = variant(schema) {
            return self.value(variant, depth);
        }
        match kind(schema).as_str() {
            "integer" | "number" => json!(1),
            "boolean" => json!(true),
            "null" => Value::Null,
            "array" => match schema.get("items") {
                Some(items) => json!([self.value(items, depth)]),
                None => json!(["demo"]),
            },
            "object" => self.object(schema, depth),
            _ => json!("demo"),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        for name in super::items(&schema["required"]) {
            if let Some(name) = name.as_str() {
                let value = self.value(&schema["properties"][name], depth);
                object.insert(name.to_owned(), value);
            }
        }
        Value::Object(object)
    }
}

/// The first alternative that says more than "or nothing".
fn variant(schema: &Value) -> Option<&Value> {
    let variants = ["anyOf", "any_of", "oneOf", "allOf"].iter().find_map(|key| schema.get(key))?;
    let variants = super::items(variants);
    let solid = variants.iter().find(|variant| kind(variant) != "null");
    solid.or(variants.first())
}

/// The schema's type in lower case (Gemini writes `STRING`); of several the first that is not null.
fn kind(schema: &Value) -> String {
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.as_str(),
    };
    match named {
        Some(name) => name.to_ascii_lowercase(),
        None if schema.get("properties").is_some() => "object".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_value() {
        let schema = json!({"type": "object", "required": ["s", "n", "b", "e", "a", "o", "u", "c", "t"], "properties": {
            "s": {"type": "string"}, "n": {"type": "INTEGER"}, "b": {"type": "boolean"},
            "e": {"type": "string", "enum": ["first", "second"]},
            "a": {"type": "array", "items": {"type": "number"}},
            "o": {"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}, "y": {}}},
            "u": {"anyOf": [{"type": "null"}, {"type": "integer"}]}, "c": {"const": 7},
            "t": {"type": ["null", "boolean"]}, "left_out": {"type": "string"},
        }});
        let expected = json!({"s": "demo", "n": 1, "b": true, "e": "first", "a": [1], "o": {"x": "demo"},
            "u": 1, "c": 7, "t": true});
        assert_eq!(sample(&schema), expected);
    }

    #[test]
    fn references_are_followed_and_do_not_run_away() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {
            "node": {"type": "object", "required": ["name", "children"], "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}},
            "loop": {"$ref": "#/$defs/loop"}}});
        assert_eq!(sample(&schema)["children"][0]["name"], "demo");
        let names: Vec<String> = (0..64).map(|index| format!("p{index}")).collect();
        let properties: Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!({"$ref": "#"}))).collect();
        let wide = json!({"type": "object", "required": names, "properties": properties});
        assert!(sample(&wide).to_string().len() < 64 * 1024);
        assert_eq!(object(&json!({"$ref": "#"})), json!({}));
    }
}
