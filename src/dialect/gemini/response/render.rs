//! Writing an answer.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Choice, Client, Content, Losses, Pointer, Response, ServerTool};
use tollgate_filters::exchange::Dialect;

use super::stamp;
use crate::dialect::gemini::grounding::{Sources, restore};
use crate::dialect::gemini::part::write::{Writer, merge};
use crate::dialect::gemini::{finish, logprobs, tokens};

/// Writes an answer for `client`, and says in `losses` what of it is left behind.
pub fn render(response: &Response, client: &Client, losses: &mut Losses) -> Value {
    let same = response.source == Dialect::Gemini;
    let mut body = Map::new();
    let blocked = |choice: &Choice| choice.finish.as_ref().is_some_and(|f| same && f.at == finish::BLOCKED);
    let candidates: Vec<Value> = response
        .choices
        .iter()
        .filter(|choice| !blocked(choice))
        .map(|choice| candidate(choice, response.source, losses))
        .collect();
    if !candidates.is_empty() {
        body.insert("candidates".to_owned(), Value::Array(candidates));
    }
    let usage =
        tokens::write(response.usage.as_ref(), response.service_tier.as_ref(), response.source, losses);
    body.extend(usage.map(|usage| ("usageMetadata".to_owned(), usage)));
    let model = response.model.as_deref().unwrap_or(&client.model);
    body.insert("modelVersion".to_owned(), json!(model));
    if let Some(created) = response.created {
        body.insert("createTime".to_owned(), json!(stamp(created)));
    }
    let id = response.id.as_ref().filter(|_| !client.own_id).unwrap_or(&client.id);
    body.insert("responseId".to_owned(), json!(id));
    if same {
        merge(&mut body, &response.extra);
    } else {
        losses.extra(&Pointer::ROOT, &response.extra);
    }
    Value::Object(body)
}

fn candidate(choice: &Choice, source: Dialect, losses: &mut Losses) -> Value {
    let same = source == Dialect::Gemini;
    let mut out = Map::new();
    let mut sources = Sources::default();
    let mut writer = Writer::new(source, None, losses);
    for part in &choice.parts {
        match &part.content {
            Content::Server(used) if !same && used.tool == ServerTool::WebSearch => {
                sources.query(&used.input);
                writer.losses.approximated(&part.at);
                continue;
            }
            _ => {}
        }
        writer.part(part);
        if let (Content::Text(text), false) = (&part.content, same) {
            let number = writer.parts.len().saturating_sub(1);
            for annotation in &text.annotations {
                sources.add(annotation, &text.text, number, 0, writer.losses);
            }
        }
    }
    let parts = writer.finish();
    let mut content = Map::new();
    if !parts.is_empty() {
        content.insert("parts".to_owned(), Value::Array(parts));
    }
    content.insert("role".to_owned(), json!("model"));
    out.insert("content".to_owned(), Value::Object(content));
    if let Some(finish) = &choice.finish {
        out.insert("finishReason".to_owned(), json!(finish::write(finish, same, losses)));
    }
    out.insert("index".to_owned(), json!(choice.index));
    if let Some(found) = &choice.logprobs {
        out.extend(logprobs::write(&found.value).map(|result| ("logprobsResult".to_owned(), result)));
        if logprobs::has_refusal(&found.value) {
            losses.unsupported(&found.at.key("refusal"));
        }
    }
    if same {
        restore(&mut out, &choice.extra);
    } else {
        out.extend(sources.finish().map(|metadata| ("groundingMetadata".to_owned(), metadata)));
        losses.extra(&choice.at, &choice.extra);
    }
    Value::Object(out)
}
