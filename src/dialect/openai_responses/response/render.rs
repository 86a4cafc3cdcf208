//! Answers, written.

use serde_json::Value;
use tollgate_filters::chat::{Choice, Client, Content, Losses, Part, Pointer, Response};
use tollgate_filters::exchange::Dialect;

use super::{finish, skeleton::skeleton};
use crate::dialect::openai_responses::item::{Side, Writer, envelope, item_of};
use crate::dialect::openai_responses::{tier, usage};

/// Writes an answer for `client`, and says in `losses` what of it is left behind.
pub fn render(response: &Response, client: &Client, losses: &mut Losses) -> Value {
    let own = response.source == Dialect::OpenaiResponses;
    let mut object = skeleton(client, response.id.as_deref(), envelope(&response.extra));
    object.insert("created_at".to_owned(), response.created.unwrap_or(client.created).into());
    let model = response.model.as_deref().unwrap_or(&client.model);
    object.insert("model".to_owned(), model.into());
    let (first, others) = match response.choices.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, [].as_slice()),
    };
    for choice in others {
        losses.unsupported(&choice.at);
    }
    let outcome = finish::outcome(first.and_then(|choice| choice.finish.as_ref()), own, losses);
    let mut items = first.map(|choice| output(choice, client, losses)).unwrap_or_default();
    if !own
        && outcome.status == "incomplete"
        && let Some(last) = items.last_mut()
    {
        mark_incomplete(last);
    }
    object.insert("output".to_owned(), items.into());
    object.insert("status".to_owned(), outcome.status.into());
    object.insert("incomplete_details".to_owned(), outcome.incomplete_details);
    object.insert("error".to_owned(), outcome.error);
    if let Some(report) = &response.usage {
        object.insert("usage".to_owned(), usage::render(report, losses));
    }
    let tier = response.service_tier.as_ref().and_then(|tier| tier::word(tier, own, losses));
    if let Some(tier) = tier {
        object.insert("service_tier".to_owned(), tier.into());
    } else if own {
        object.shift_remove("service_tier");
    }
    if own {
        let extra = response.extra.iter().filter(|(key, _)| !key.starts_with('~'));
        object.extend(extra.map(|(key, value)| (key.clone(), value.clone())));
    } else {
        losses.extra(&Pointer::ROOT, &response.extra);
    }
    Value::Object(object)
}

/// The last message of an answer that was cut off.
pub(super) fn mark_incomplete(item: &mut Value) {
    if item.get("type").and_then(Value::as_str) == Some("message") {
        item["status"] = "incomplete".into();
    }
}

fn output(choice: &Choice, client: &Client, losses: &mut Losses) -> Vec<Value> {
    let own = choice.parts.iter().any(|part| item_of(&part.at).is_some());
    if !own {
        losses.extra(&choice.at, &choice.extra);
    }
    let mut tokens = Vec::new();
    if let Some(logprobs) = &choice.logprobs {
        if let Some(Value::Array(list)) = logprobs.value.get("content") {
            tokens.clone_from(list);
        }
        let refusal = logprobs.value.get("refusal").and_then(Value::as_array);
        if refusal.is_some_and(|list| !list.is_empty()) {
            losses.unsupported(&logprobs.at.key("refusal"));
        }
    }
    let texts = choice.parts.iter().filter(|part| matches!(part.content, Content::Text(_))).count();
    if texts == 0
        && !tokens.is_empty()
        && let Some(logprobs) = &choice.logprobs
    {
        losses.unsupported(&logprobs.at);
    }
    let mut tokens = tokens.into_iter();
    let mut left = texts;
    let mut writer = Writer::new(Side::Answer, &client.id, losses);
    for part in &choice.parts {
        left -= usize::from(matches!(part.content, Content::Text(_)));
        let mine = tokens_of(part, left == 0, &mut tokens);
        writer.part(part, mine);
    }
    writer.finish()
}

/// The tokens of one text; the last text has all that are left.
fn tokens_of(part: &Part, last: bool, tokens: &mut std::vec::IntoIter<Value>) -> Vec<Value> {
    let Content::Text(text) = &part.content else { return Vec::new() };
    if last {
        return tokens.collect();
    }
    let mut mine = Vec::new();
    let mut length = 0;
    while length < text.text.len()
        && let Some(token) = tokens.next()
    {
        let bytes = token.get("bytes").and_then(Value::as_array).map(Vec::len);
        let word = token.get("token").and_then(Value::as_str).map(str::len);
        length += bytes.or(word).unwrap_or_default().max(1);
        mine.push(token);
    }
    mine
}
