//! Lists of models, written as each dialect's own API writes them.

mod anthropic;
mod gemini;
mod openai;

use std::borrow::Cow;

use serde_json::{Map, Value};
use tollgate_filters::catalogue::{Capability, Kind, Model};
use tollgate_filters::error::Error;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::price::Rates;

use super::path::percent_decode;

/// One model that the caller may use.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// What the caller calls it: `provider/model`, a bare name, an alias.
    pub id: String,
    /// Whose it is.
    pub provider: &'a str,
    /// When it appeared, in seconds since 1970.
    pub created: Option<u64>,
    /// A name for people; otherwise it is the id.
    pub name: Option<String>,
    pub model: Option<&'a Model>,
    pub prices: Option<Rates>,
}

/// The page of `entries`, in their order, that `query` asks for (the part of the URL behind `?`). A limit or a cursor
/// that cannot be is an error.
pub fn list(dialect: Dialect, entries: &[Entry], query: &str) -> Result<Value, Error> {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => Ok(openai::list(entries)),
        Dialect::Anthropic => anthropic::list(entries, query),
        Dialect::Gemini => gemini::list(entries, query),
    }
}

/// One model by itself.
pub fn one(dialect: Dialect, entry: &Entry) -> Value {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => openai::model(entry),
        Dialect::Anthropic => anthropic::model(entry),
        Dialect::Gemini => gemini::model(entry),
    }
}

impl Entry<'_> {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn kind(&self) -> Kind {
        self.model.map(Model::kind).unwrap_or_default()
    }

    fn can(&self, capability: Capability) -> Option<bool> {
        self.model?.can(capability)
    }

    fn thinks(&self) -> Option<bool> {
        self.model?.thinks()
    }
}

/// Puts a member into an object where there is something to put.
fn put(object: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}

/// The first value of `name` in a query, with its escapes undone. An empty one counts as absent.
fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| percent_decode(value))
        .filter(|value| !value.is_empty())
}

/// How many models a page may have.
fn page_size(query: &str, name: &'static str, default: usize) -> Result<usize, Error> {
    let Some(text) = parameter(query, name) else { return Ok(default) };
    match text.parse::<usize>() {
        Ok(size) if (1..=1000).contains(&size) => Ok(size),
        _ => Err(Error::invalid(format!("`{name}` must be a number from 1 to 1000."))
            .param(name)
            .code("invalid_value")),
    }
}

/// Where the model stands that a cursor names.
fn position(entries: &[Entry], id: &str, parameter: &'static str) -> Result<usize, Error> {
    entries.iter().position(|entry| entry.id == id).ok_or_else(|| {
        Error::invalid(format!("`{parameter}` names no model of this list."))
            .param(parameter)
            .code("invalid_value")
    })
}

#[cfg(test)]
mod tests;
