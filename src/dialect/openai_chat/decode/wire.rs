//! The chunks of a stream as they are written: typed where they are many, and forgiving where a vendor is odd.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tollgate_filters::chat::Extra;

/// A member that is nearly always a string.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Word {
    #[default]
    Absent,
    Text(String),
    Other(Value),
}

impl Word {
    /// The text, if there is any.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Word, E> {
        Ok(Word::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Word, E> {
        Ok(Word::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Word, E> {
        Ok(Word::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Word, E> {
        Ok(Word::Other(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Word, E> {
        Ok(Word::Other(Value::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Word, E> {
        Ok(Word::Other(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Word, E> {
        Ok(Word::Other(Value::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Word, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Word::Other(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
        let mut object = Extra::new();
        while let Some((key, value)) = map.next_entry()? {
            object.insert(key, value);
        }
        Ok(Word::Other(Value::Object(object)))
    }
}

/// An object that takes its members one by one.
pub(super) trait Members: Default {
    /// Reads the value of the member `key`.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads an object as its [`Members`] say. `null` is an object without members.
#[derive(Debug, Default)]
pub(super) struct Whole<T>(pub T);

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, T: Members> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor(PhantomData))
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<'de, T: Members> Visitor<'de> for WholeVisitor<T> {
    type Value = Whole<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Whole<T>, E> {
        Ok(Whole(T::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole<T>, A::Error> {
        let mut whole = T::default();
        while let Some(Key(key)) = map.next_key()? {
            whole.member(&key, &mut map)?;
        }
        Ok(Whole(whole))
    }
}

/// Keeps a member that nobody knows, unless it says nothing.
fn keep<'de, A: MapAccess<'de>>(extra: &mut Extra, key: &str, map: &mut A) -> Result<(), A::Error> {
    let value: Value = map.next_value()?;
    let empty = match &value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    if !empty {
        extra.insert(key.to_owned(), value);
    }
    Ok(())
}

fn list<'de, T: Members, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<Whole<T>>, A::Error> {
    Ok(map.next_value::<Option<_>>()?.unwrap_or_default())
}

#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub id: Word,
    pub model: Word,
    pub created: Word,
    pub choices: Vec<Whole<Choice>>,
    pub usage: Value,
    pub service_tier: Word,
    pub error: Value,
    pub extra: Extra,
}

impl Members for Chunk {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "id" => self.id = map.next_value()?,
            "model" => self.model = map.next_value()?,
            "created" => self.created = map.next_value()?,
            "choices" => self.choices = list(map)?,
            "usage" => self.usage = map.next_value()?,
            "service_tier" => self.service_tier = map.next_value()?,
            "error" => self.error = map.next_value()?,
            // The last two pad the chunk to a length that tells nothing (OpenAI, Mistral).
            "object" | "obfuscation" | "p" => drop(map.next_value::<IgnoredAny>()?),
            _ => keep(&mut self.extra, key, map)?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Choice {
    pub index: Word,
    pub delta: Whole<Delta>,
    pub finish_reason: Word,
    pub logprobs: Value,
    pub error: Value,
    pub extra: Extra,
}

impl Members for Choice {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "index" => self.index = map.next_value()?,
            "delta" => self.delta = map.next_value()?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            "logprobs" => self.logprobs = map.next_value()?,
            "error" => self.error = map.next_value()?,
            _ => keep(&mut self.extra, key, map)?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Delta {
    pub content: Word,
    pub refusal: Word,
    pub reasoning: Word,
    pub reasoning_content: Word,
    pub reasoning_details: Word,
    pub tool_calls: Vec<Whole<Call>>,
    pub function_call: Option<Whole<Inner>>,
    pub annotations: Word,
    pub images: Word,
    pub audio: Word,
    pub extra: Extra,
}

impl Members for Delta {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "content" => self.content = map.next_value()?,
            "role" => drop(map.next_value::<IgnoredAny>()?),
            "refusal" => self.refusal = map.next_value()?,
            "reasoning" => self.reasoning = map.next_value()?,
            "reasoning_content" => self.reasoning_content = map.next_value()?,
            "reasoning_details" => self.reasoning_details = map.next_value()?,
            "tool_calls" => self.tool_calls = list(map)?,
            "function_call" => self.function_call = map.next_value()?,
            "annotations" => self.annotations = map.next_value()?,
            "images" => self.images = map.next_value()?,
            "audio" => self.audio = map.next_value()?,
            _ => keep(&mut self.extra, key, map)?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Call {
    pub index: Word,
    pub id: Word,
    pub function: Whole<Inner>,
    /// The call of a custom tool, if that is what it is.
    pub custom: Option<Whole<Inner>>,
    pub extra: Extra,
}

impl Members for Call {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "index" => self.index = map.next_value()?,
            "id" => self.id = map.next_value()?,
            "function" => self.function = map.next_value()?,
            "custom" => self.custom = map.next_value()?,
            "type" => drop(map.next_value::<IgnoredAny>()?),
            _ => keep(&mut self.extra, key, map)?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub name: Word,
    /// `arguments`; of a custom tool, `input`.
    pub arguments: Word,
}

impl Members for Inner {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value()?,
            "arguments" | "input" => self.arguments = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}
