//! Messages answers: read into the neutral conversation, and written from it.

use serde_json::{Map, Value};
use tollgate_filters::chat::{Choice, Client, Content, Losses, Maker, Part, Pointer, Response};
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Dialect;

use super::block::{self, Aim, Writer};
use super::{report, stop};
use crate::dialect::fields::Fields;

/// Reads an answer that is no stream. What is not as it should be stays as an extra member.
pub fn parse(body: Value) -> Result<Response, Error> {
    let mut fields = Fields::new(body, Pointer::ROOT)?;
    if fields.word("type") == Some("error") {
        return Err(Error::new(Kind::BadGateway, "The provider's answer is an error."));
    }
    for (key, word) in [("type", "message"), ("role", "assistant")] {
        if fields.word(key) == Some(word) {
            fields.take(key);
        }
    }
    let id = fields.string("id").unwrap_or_default();
    let model = fields.string("model").unwrap_or_default();
    let place = fields.at("content");
    let content = fields.list("content").unwrap_or_default().unwrap_or_default();
    let parts =
        content.into_iter().enumerate().map(|(i, value)| block::lenient(value, place.index(i))).collect();
    let finish = fields.string("stop_reason").unwrap_or_default();
    let finish = finish.map(|word| stop::read(word, fields.string("stop_sequence").unwrap_or_default()));
    let (mut usage, mut service_tier) = (None, None);
    if let Some(Value::Object(block)) = fields.peek("usage") {
        (usage, service_tier) = report::read(block);
    }
    if usage.is_some() {
        fields.take("usage");
    }
    Ok(Response {
        source: Dialect::Anthropic,
        id,
        model,
        created: None,
        choices: vec![Choice { parts, finish, ..Choice::default() }],
        usage,
        service_tier,
        extra: fields.rest(),
    })
}

/// Writes an answer for `client`, and says in `losses` what of it is left behind.
pub fn render(response: &Response, client: &Client, losses: &mut Losses) -> Value {
    let own = response.source == Dialect::Anthropic;
    let mut body = Map::new();
    body.insert("id".into(), id(response.id.as_deref(), client).into());
    body.insert("type".into(), "message".into());
    body.insert("role".into(), "assistant".into());
    body.insert("model".into(), response.model.as_ref().unwrap_or(&client.model).as_str().into());
    let mut content = Vec::new();
    let mut seen = stop::Seen::default();
    if let Some(choice) = response.choices.first() {
        let mut writer = Writer::new(response.source, Aim::Answer(client), losses);
        let mut parts = choice.parts.iter().peekable();
        while let Some(part) = parts.next() {
            seen.calls |= matches!(part.content, Content::ToolCall(_));
            seen.refusal |= matches!(part.content, Content::Refusal(_));
            match parts.next_if(|next| signs(part, next)) {
                Some(signature) => writer.part(&signed(part, signature), &mut content),
                None => writer.part(part, &mut content),
            }
        }
        losses.extra(&choice.at, &choice.extra);
        if let Some(logprobs) = &choice.logprobs {
            losses.unsupported(&logprobs.at);
        }
    }
    for choice in response.choices.iter().skip(1) {
        losses.unsupported(&choice.at);
    }
    body.insert("content".into(), Value::Array(content));
    let finish = response.choices.first().and_then(|choice| choice.finish.as_ref());
    let word = match finish {
        Some(finish) => Value::from(stop::word(finish, own, seen, losses)),
        // The provider refused the prompt as a whole.
        None if response.choices.is_empty() => "refusal".into(),
        None if own => Value::Null,
        None => stop::unsaid(seen).into(),
    };
    body.insert("stop_reason".into(), word);
    body.insert("stop_sequence".into(), finish.and_then(|finish| finish.stop_sequence.clone()).into());
    body.insert(
        "usage".into(),
        report::write(response.usage.as_ref(), response.service_tier.as_ref(), losses),
    );
    if own {
        body.extend(response.extra.clone());
    } else {
        losses.extra(&Pointer::ROOT, &response.extra);
    }
    Value::Object(body)
}

/// Gemini signs the part behind the thoughts, and an Anthropic client knows no thoughts without a signature.
fn signs(part: &Part, next: &Part) -> bool {
    match (&part.content, &next.content) {
        (Content::Reasoning(thoughts), Content::Reasoning(next)) => {
            let seal = next.seal.as_ref().filter(|_| next.thoughts.is_empty());
            !thoughts.thoughts.is_empty()
                && thoughts.seal.is_none()
                && seal.is_some_and(|seal| seal.maker == Maker::Gemini)
        }
        _ => false,
    }
}

fn signed(part: &Part, signature: &Part) -> Part {
    let mut part = part.clone();
    if let (Content::Reasoning(thoughts), Content::Reasoning(of)) = (&mut part.content, &signature.content) {
        thoughts.seal.clone_from(&of.seal);
    }
    part
}

/// The provider's id of the answer, or one of the gateway's.
pub(super) fn id(provider: Option<&str>, client: &Client) -> String {
    match provider {
        Some(id) if !client.own_id && !id.is_empty() => id.to_owned(),
        _ => format!("msg_{}", client.id),
    }
}
