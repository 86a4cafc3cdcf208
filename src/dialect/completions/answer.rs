//! Legacy completions: a `text_completion` object out of an answer.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Choice, Client, Content, Losses, Pointer, Response};
use tollgate_filters::exchange::Dialect;

use super::{Wanted, finish_word, logprobs, usage};

/// Writes an answer for `client`, and says in `losses` what of it is left behind.
pub fn render(response: &Response, client: &Client, wanted: &Wanted, losses: &mut Losses) -> Value {
    let choices: Vec<Value> = response.choices.iter().map(|choice| one(choice, wanted, losses)).collect();
    let mut body = Map::new();
    let id = response.id.clone().unwrap_or_else(|| format!("cmpl-{}", client.id));
    body.insert("id".to_owned(), json!(id));
    body.insert("object".to_owned(), json!("text_completion"));
    body.insert("created".to_owned(), json!(response.created.unwrap_or(client.created)));
    body.insert("model".to_owned(), json!(response.model.as_ref().unwrap_or(&client.model)));
    body.insert("choices".to_owned(), Value::Array(choices));
    if let Some(report) = &response.usage {
        body.insert("usage".to_owned(), usage(report, response.source, losses));
    }
    if let Some(tier) = &response.service_tier {
        losses.unsupported(&tier.at);
    }
    for (key, value) in &response.extra {
        if key == "system_fingerprint" && response.source == Dialect::OpenaiChat {
            body.insert(key.clone(), value.clone());
        } else {
            losses.unsupported(&Pointer::ROOT.key(key));
        }
    }
    Value::Object(body)
}

fn one(choice: &Choice, wanted: &Wanted, losses: &mut Losses) -> Value {
    let mut text = wanted.echoed().to_owned();
    let mut offset = text.chars().count() as u64;
    for part in &choice.parts {
        match &part.content {
            Content::Text(more) => {
                text.push_str(&more.text);
                more.annotations.iter().for_each(|annotation| losses.unsupported(&annotation.at));
            }
            Content::Refusal(more) => {
                text.push_str(more);
                losses.approximated(&part.at);
            }
            _ => losses.unsupported(&part.at),
        }
        losses.extra(&part.at, &part.extra);
    }
    losses.extra(&choice.at, &choice.extra);
    let logprobs = choice.logprobs.as_ref().map(|chat| logprobs(chat, &mut offset, losses));
    json!({
        "text": text,
        "index": choice.index,
        "logprobs": logprobs,
        "finish_reason": choice.finish.as_ref().map(|finish| finish_word(finish, losses)),
    })
}
