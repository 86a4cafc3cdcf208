//! Taking a JSON object apart field by field, so that what nobody took is known by name.

use serde_json::{Map, Number, Value};
use tollgate_filters::chat::{At, ENVELOPE, ESCAPE, Extra, Pointer};
use tollgate_filters::error::Error;

/// An object that is being read. What has been taken is gone from it; [`Fields::rest`] is what nobody asked for.
///
/// The typed getters answer `Ok(None)` for what is absent or `null`, and an error for what has another type. The value then stays
/// where it is: a reader that is to be lenient (of answers) uses `unwrap_or_default()` and finds it in the rest.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    at: Pointer,
}

impl Fields {
    /// `value` stands at `at` and must be an object.
    pub fn new(value: Value, at: Pointer) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Self { map, at }),
            _ => Err(wrong_type(&at, "an object")),
        }
    }

    /// Where this object stands.
    pub fn here(&self) -> &Pointer {
        &self.at
    }

    /// Where the member `key` stands.
    pub fn at(&self, key: &str) -> Pointer {
        self.at.key(key)
    }

    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The text of a member, without taking it.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.map.get_mut(key).map(Value::take).filter(|value| !value.is_null())
    }

    /// The member under the first of two names that is there: Gemini takes `generationConfig` and
    /// `generation_config` alike. Gives the name as well.
    pub fn either<'a>(&self, one: &'a str, other: &'a str) -> &'a str {
        if self.peek(one).is_none() && self.peek(other).is_some() { other } else { one }
    }

    pub fn string(&mut self, key: &str) -> Result<Option<String>, Error> {
        match self.peek(key) {
            None => Ok(None),
            Some(Value::String(_)) => match self.take(key) {
                Some(Value::String(text)) => Ok(Some(text)),
                _ => Ok(None),
            },
            Some(_) => Err(wrong_type(&self.at(key), "a string")),
        }
    }

    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.peek(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => {
                let flag = *flag;
                self.take(key);
                Ok(Some(flag))
            }
            Some(_) => Err(wrong_type(&self.at(key), "true or false")),
        }
    }

    pub fn number(&mut self, key: &str) -> Result<Option<Number>, Error> {
        match self.peek(key) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let number = number.clone();
                self.take(key);
                Ok(Some(number))
            }
            Some(_) => Err(wrong_type(&self.at(key), "a number")),
        }
    }

    /// A number that is whole and not negative; `8.0` is one.
    pub fn unsigned(&mut self, key: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.peek(key) else { return Ok(None) };
        let whole = |n: f64| (n >= 0.0 && n.fract() == 0.0 && n < 1e15).then_some(n);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked on the line above
        let number = value.as_u64().or_else(|| value.as_f64().and_then(whole).map(|n| n as u64));
        match number {
            Some(number) => {
                self.take(key);
                Ok(Some(number))
            }
            None => Err(wrong_type(&self.at(key), "a whole number that is not negative")),
        }
    }

    pub fn list(&mut self, key: &str) -> Result<Option<Vec<Value>>, Error> {
        match self.peek(key) {
            None => Ok(None),
            Some(Value::Array(_)) => match self.take(key) {
                Some(Value::Array(list)) => Ok(Some(list)),
                _ => Ok(None),
            },
            Some(_) => Err(wrong_type(&self.at(key), "a list")),
        }
    }

    pub fn object(&mut self, key: &str) -> Result<Option<Fields>, Error> {
        match self.peek(key) {
            None => Ok(None),
            Some(Value::Object(_)) => {
                let at = self.at(key);
                Ok(self.take(key).and_then(|value| Fields::new(value, at).ok()))
            }
            Some(_) => Err(wrong_type(&self.at(key), "an object")),
        }
    }

    /// A list of strings; a single string counts as a list of one.
    pub fn strings(&mut self, key: &str) -> Result<Option<Vec<String>>, Error> {
        match self.peek(key) {
            Some(Value::String(_)) => Ok(self.string(key)?.map(|one| vec![one])),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                let list = self.list(key)?.unwrap_or_default();
                let text = |value| if let Value::String(text) = value { Some(text) } else { None };
                Ok(Some(list.into_iter().filter_map(text).collect()))
            }
            None => Ok(None),
            Some(_) => Err(wrong_type(&self.at(key), "a string or a list of strings")),
        }
    }

    /// What nobody took, without what is `null`. A key that begins with `~` is [escaped](ESCAPE): what is kept under such
    /// keys overrides members that were checked, so nobody from outside may write them. [`unescape`] undoes it.
    pub fn rest(self) -> Extra {
        let filled = self.map.into_iter().filter(|(_, value)| !value.is_null());
        let own = |key: String| if is_reserved(&key) { format!("{ESCAPE}{key}") } else { key };
        filled.map(|(key, value)| (own(key), value)).collect()
    }

    /// What nobody took of an object whose keys are the client's own.
    pub fn entries(self) -> Map<String, Value> {
        self.map.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// A value with the place of the member `key`.
    pub fn placed<T>(&self, key: &str, value: Option<T>) -> Option<At<T>> {
        value.map(|value| At::new(value, self.at(key)))
    }
}

/// Whether a key means something else than a member, or is escaped already.
fn is_reserved(key: &str) -> bool {
    key.trim_start_matches(ESCAPE).starts_with(ENVELOPE)
}

/// Gives the members of a document that is done their own keys.
pub fn unescape(document: &mut Value) {
    match document {
        Value::Object(map) => {
            let escaped = |key: &String| key.starts_with(ESCAPE) && is_reserved(key);
            if map.keys().any(escaped) {
                let own = |key: String| if escaped(&key) { key[1..].to_owned() } else { key };
                *map = std::mem::take(map).into_iter().map(|(key, value)| (own(key), value)).collect();
            }
            map.values_mut().for_each(unescape);
        }
        Value::Array(list) => list.iter_mut().for_each(unescape),
        _ => {}
    }
}

pub fn wrong_type(at: &Pointer, expected: &str) -> Error {
    Error::invalid(format!("`{at}` must be {expected}.")).param(at.to_string()).code("invalid_type")
}

/// A required member is not there.
pub fn missing(at: &Pointer) -> Error {
    Error::invalid(format!("`{at}` is missing.")).param(at.to_string()).code("missing_required_parameter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tollgate_filters::chat::Losses;

    #[test]
    fn what_nobody_took_is_known_by_name() {
        let mut fields =
            Fields::new(json!({"a": "x", "b": null, "c": 1.5, "d": 8.0}), Pointer::ROOT).unwrap();
        assert_eq!(fields.string("a").unwrap().as_deref(), Some("x"));
        assert_eq!(fields.string("b").unwrap(), None);
        assert_eq!(fields.unsigned("d").unwrap(), Some(8));
        assert!(fields.string("c").unwrap_err().message.contains("`/c` must be a string"));
        assert_eq!(Value::from(fields.rest()), json!({"c": 1.5}));
    }

    #[test]
    fn a_key_of_the_clients_is_not_taken_for_one_of_ours() {
        let body = json!({"~": {"model": "dear"}, "\u{1}~/x": 1, "a": [{"~/y": 2}]});
        let rest = Fields::new(body.clone(), Pointer::ROOT).unwrap().rest();
        assert!(!rest.keys().any(|key| key.starts_with(ENVELOPE)));
        let mut losses = Losses::default();
        losses.extra(&Pointer::ROOT, &rest);
        assert_eq!(losses.iter().next().unwrap().at.as_str(), "/~0");
        let mut back = Value::Object(rest);
        unescape(&mut back);
        assert_eq!(back, body);
    }
}
