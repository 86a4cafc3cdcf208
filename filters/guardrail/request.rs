//! A conversation on its way to a provider.

use serde_json::Value;

use super::walk::{Form, Visitor, is_kept};
use super::{Checked, Guardrail, Refusal};
use crate::chat::{
    Annotation, At, Content, Extra, Format, Media, MediaSource, Part, Pointer, Request, Schema, Tool,
    ToolKind,
};

type Walked = Result<(), Box<Refusal>>;

impl Guardrail {
    /// Checks a conversation and edits it in place. Where it is refused it may have been edited in part.
    pub fn check_request(&self, request: &mut Request) -> Result<Checked, Box<Refusal>> {
        self.survey_and_edit(|visitor| walk(request, visitor))
    }
}

fn walk(request: &mut Request, visitor: &mut Visitor<'_>) -> Walked {
    for tool in &request.tools {
        declared(tool, visitor);
    }
    match request.format.as_ref().map(|format| &format.value) {
        Some(Format::JsonSchema(Schema { description, schema, .. })) => {
            visitor.described(description.as_ref());
            visitor.declared(schema);
        }
        Some(Format::Opaque(value)) => visitor.declared(value),
        _ => {}
    }
    for message in &mut request.messages {
        if let Some(name) = &mut message.name {
            visitor.text(name, Form::Name, "", &message.at)?;
        }
        extra(&mut message.extra, &message.at, visitor)?;
        message.parts.iter_mut().try_for_each(|part| walk_part(part, visitor))?;
    }
    let names = [&mut request.user, &mut request.safety_identifier, &mut request.prompt_cache_key];
    for At { value, at } in names.into_iter().flatten() {
        visitor.text(value, Form::Name, "", at)?;
    }
    if let Some(At { value, at }) = &mut request.metadata {
        for (key, value) in value.iter_mut() {
            visitor.value(value, key, &at)?;
        }
    }
    if let Some(At { value, at }) = &mut request.stop {
        value.iter_mut().try_for_each(|text| visitor.text(text, Form::Text, "", &at))?;
    }
    extra(&mut request.extra, &Pointer::ROOT, visitor)?;
    for At { value, at } in &mut request.nested {
        extra(value, at, visitor)?;
    }
    for At { value, at } in &mut request.forms {
        let key = at.as_str().rsplit('/').next().unwrap_or_default();
        // Another spelling of a schema is a schema.
        if at.as_str().starts_with("/tools") || key.to_ascii_lowercase().contains("schema") {
            visitor.declared(value);
        } else if !is_kept(key) {
            visitor.value(value, "", at)?;
        }
    }
    Ok(())
}

fn declared(tool: &Tool, visitor: &mut Visitor<'_>) {
    match &tool.kind {
        ToolKind::Function { description, parameters, .. } => {
            visitor.described(description.as_ref());
            visitor.declared(parameters.as_ref().unwrap_or(&Value::Null));
        }
        ToolKind::Custom { description, format, .. } => {
            visitor.described(description.as_ref());
            visitor.declared(format.as_ref().unwrap_or(&Value::Null));
        }
        ToolKind::Server { raw, .. } => visitor.declared(raw),
    }
}

fn extra(members: &mut Extra, at: &Pointer, visitor: &mut Visitor<'_>) -> Walked {
    members.iter_mut().try_for_each(|(key, value)| visitor.value(value, key, at))
}

fn walk_part(part: &mut Part, visitor: &mut Visitor<'_>) -> Walked {
    let Part { content, at, extra: members, .. } = part;
    match content {
        Content::Reasoning(reasoning) if reasoning.seal.is_some() => return Ok(()),
        Content::Text(text) => {
            visitor.text(&mut text.text, Form::Text, "", at)?;
            text.annotations.iter_mut().try_for_each(|annotation| walk_annotation(annotation, visitor))?;
        }
        Content::Refusal(text) => visitor.text(text, Form::Text, "", at)?,
        Content::Media(media) => walk_media(media, at, visitor)?,
        Content::Reasoning(reasoning) => {
            for thought in &mut reasoning.thoughts {
                visitor.text(&mut thought.text, Form::Text, "", at)?;
            }
        }
        Content::ToolCall(call) => {
            let form = if call.custom { Form::Text } else { Form::Json };
            visitor.text(&mut call.arguments, form, "", at)?;
        }
        Content::ToolResult(result) => {
            let object = result.object;
            for part in &mut result.parts {
                match &mut part.content {
                    // It is written as the object that it was.
                    Content::Text(text) if object => {
                        visitor.text(&mut text.text, Form::Json, "", &part.at)?;
                    }
                    _ => walk_part(part, visitor)?,
                }
            }
        }
        Content::Server(used) => {
            visitor.text(&mut used.input, Form::Json, "", at)?;
            if let Some(output) = &mut used.output {
                visitor.text(output, Form::Text, "", at)?;
            }
            visitor.value(&mut used.raw, "", at)?;
        }
        Content::Opaque(value) => visitor.value(value, "", at)?,
    }
    extra(members, at, visitor)
}

fn walk_media(media: &mut Media, at: &Pointer, visitor: &mut Visitor<'_>) -> Walked {
    if let Some(name) = &mut media.name {
        visitor.text(name, Form::Name, "", at)?;
    }
    match &mut media.source {
        MediaSource::Text(text) => visitor.text(text, Form::Text, "", at),
        MediaSource::Url(url) => visitor.text(url, Form::Fixed, "", at),
        MediaSource::Base64(_) | MediaSource::File(_) => Ok(()),
    }
}

fn walk_annotation(annotation: &mut Annotation, visitor: &mut Visitor<'_>) -> Walked {
    let Annotation { title, cited, url, raw, at, .. } = annotation;
    for text in [title, cited].into_iter().flatten() {
        visitor.text(text, Form::Text, "", at)?;
    }
    if let Some(url) = url {
        visitor.text(url, Form::Fixed, "", at)?;
    }
    visitor.value(raw, "", at)
}
