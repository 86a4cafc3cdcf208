//! Going through everything in a request that is text, twice: to see what is in it, and to edit it.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::edit::edit_as;
use super::kind::Findings;
use super::originals::Originals;
use super::ruling::Input;
use super::{Checked, Guardrail, Refusal};

/// What kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    /// JSON in a string: it stays JSON.
    Json,
    /// A name, in which brackets are not allowed.
    Name,
    /// It cannot be changed without breaking it: a link.
    Fixed,
    /// It is the developer's and stays as it is. What looks like a placeholder in it is noted.
    Declared,
}

/// What is done with each text.
pub struct Visitor<'a> {
    guardrail: &'a Guardrail,
    originals: &'a mut Originals,
    findings: &'a mut Findings,
    /// The first time nothing is changed.
    survey: bool,
    edited: bool,
}

impl Guardrail {
    /// Goes through a request by `walk`: once to see what is in it, which is all if there is nothing to change.
    pub(super) fn survey_and_edit(
        &self,
        mut walk: impl FnMut(&mut Visitor<'_>) -> Result<(), Box<Refusal>>,
    ) -> Result<Checked, Box<Refusal>> {
        let mut checked = Checked::default();
        if !self.checks_input() {
            return Ok(checked);
        }
        let Checked { edited, findings, originals } = &mut checked;
        let mut visitor = Visitor { guardrail: self, originals, findings, survey: true, edited: false };
        walk(&mut visitor)?;
        if visitor.edited {
            visitor.survey = false;
            walk(&mut visitor)?;
            *edited = true;
        }
        Ok(checked)
    }
}

impl Visitor<'_> {
    /// Looks at one text, or edits it. `context` is what announces it: the key of a member.
    pub fn text(
        &mut self,
        text: &mut String,
        form: Form,
        context: &str,
        at: &dyn Display,
    ) -> Result<(), Box<Refusal>> {
        if let Some(edited) = self.changed(text, form, context, at)?
            && !self.survey
        {
            *text = edited;
        }
        Ok(())
    }

    /// What becomes of a text, if anything changes. The first time, that is not yet what it will be.
    pub fn changed(
        &mut self,
        text: &str,
        form: Form,
        context: &str,
        at: &dyn Display,
    ) -> Result<Option<String>, Box<Refusal>> {
        if self.survey {
            self.originals.take(text);
        }
        if form == Form::Declared || text.is_empty() || is_blob(text) {
            return Ok(None);
        }
        let mut scratch = Originals::default();
        let mut ruling = Input {
            guardrail: self.guardrail,
            originals: if self.survey { &mut scratch } else { self.originals },
            findings: self.survey.then_some(&mut *self.findings),
            name: form == Form::Name,
            fixed: form == Form::Fixed,
        };
        match edit_as(form, text, context, &mut ruling) {
            Ok(edited) => {
                self.edited |= edited.is_some();
                Ok(edited)
            }
            Err(blocked) => {
                let findings = std::mem::take(self.findings);
                Err(self.guardrail.refusal(blocked.0, Some(&at.to_string()), findings))
            }
        }
    }

    /// Every string in a value that is not somebody's seal, id or name for a type.
    pub fn value(&mut self, value: &mut Value, key: &str, at: &dyn Display) -> Result<(), Box<Refusal>> {
        match value {
            Value::String(text) if !is_kept(key) => self.text(text, form(key), key, at),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item, key, at)),
            Value::Object(members) if !is_sealed(members) => {
                members.iter_mut().try_for_each(|(key, value)| self.value(value, key, at))
            }
            _ => Ok(()),
        }
    }

    /// A declaration, such as a tool's schema.
    pub fn declared(&mut self, value: &Value) {
        match value {
            Value::String(text) if self.survey => self.originals.take(text),
            Value::Array(items) => items.iter().for_each(|item| self.declared(item)),
            Value::Object(members) => members.values().for_each(|member| self.declared(member)),
            _ => {}
        }
    }

    /// A description of a tool.
    pub fn described(&mut self, text: Option<&String>) {
        if let Some(text) = text.filter(|_| self.survey) {
            self.originals.take(text);
        }
    }
}

/// What a member of that name holds.
pub fn form(key: &str) -> Form {
    match key {
        "arguments" | "partial_json" => Form::Json,
        "filename" | "file_name" => Form::Name,
        "url" | "image_url" | "file_url" | "file_uri" | "fileUri" | "uri" => Form::Fixed,
        _ => Form::Text,
    }
}

/// Members that name things and sign them. No text of anybody's is in them, and to change them is to break them.
pub fn is_kept(key: &str) -> bool {
    const KEPT: &[&str] = &[
        "id",
        "type",
        "role",
        "object",
        "model",
        "status",
        "signature",
        "thoughtSignature",
        "thought_signature",
        "encrypted_content",
        "encrypted_index",
        "b64_json",
        "mimeType",
        "mime_type",
        "media_type",
    ];
    KEPT.contains(&key) || key.ends_with("_id")
}

/// Something that its maker wants back letter by letter.
pub fn is_sealed(members: &Map<String, Value>) -> bool {
    let seals = ["signature", "thoughtSignature", "thought_signature", "encrypted_content"];
    seals.iter().any(|key| members.get(*key).and_then(Value::as_str).is_some_and(|seal| !seal.is_empty()))
}

/// Base64: a picture, a recording. Text has spaces.
pub fn is_blob(text: &str) -> bool {
    const LEAST: usize = 256;
    let text = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((kind, data)) if kind.len() < 128 => data,
        _ => text,
    };
    text.len() >= LEAST
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}
