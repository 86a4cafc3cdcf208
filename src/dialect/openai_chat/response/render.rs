//! Writing a Chat Completions answer.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Choice, Client, Content, Finish, FinishKind, Losses, Maker, Media, MediaKind, MediaSource, Part, Pointer,
    Response, Text, ToolCall,
};
use tollgate_filters::exchange::Dialect;

use crate::dialect::openai_chat::content::{citation, url_of};
use crate::dialect::openai_chat::{reasoning, usage};

/// Writes an answer for `client`, and says in `losses` what of it is left behind.
pub fn render(response: &Response, client: &Client, losses: &mut Losses) -> Value {
    let same = response.source == Dialect::OpenaiChat;
    let id = response.id.as_ref().filter(|_| !client.own_id);
    let mut body = json!({
        "id": id.map_or_else(|| format!("chatcmpl-{}", client.id), Clone::clone),
        "object": "chat.completion",
        "created": response.created.unwrap_or(client.created),
        "model": response.model.as_ref().unwrap_or(&client.model),
    });
    let mut calls = 0;
    let mut choices = Vec::with_capacity(response.choices.len());
    for choice in &response.choices {
        let mut writer = Writer { same, client, losses, calls, message: Map::new() };
        choices.push(writer.choice(choice));
        calls = writer.calls;
    }
    if choices.is_empty() && !same {
        choices.push(refused());
    }
    body["choices"] = Value::Array(choices);
    if let Some(report) = &response.usage {
        body["usage"] = usage::render(report, same, losses);
    }
    if let Some(tier) = &response.service_tier
        && !(same && usage::restore_tier(&mut body["usage"], tier))
    {
        body["service_tier"] = json!(tier.value);
    }
    if same {
        if let Some(object) = body.as_object_mut() {
            object.extend(response.extra.clone());
        }
    } else {
        losses.extra(&Pointer::ROOT, &response.extra);
    }
    body
}

/// The provider refused the prompt as a whole: a chat client expects a choice all the same.
fn refused() -> Value {
    let message = json!({ "role": "assistant", "content": null, "refusal": null });
    json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "content_filter" })
}

/// Where another dialect's answer says which stop sequence was met.
const STOP_SEQUENCE: Pointer = Pointer::of("/stop_sequence");

/// The word for why generation ended.
pub(in crate::dialect::openai_chat) fn word<'a>(
    finish: &'a Finish,
    same: bool,
    losses: &mut Losses,
) -> &'a str {
    if finish.stop_sequence.is_some() {
        losses.unsupported(&STOP_SEQUENCE);
    }
    let (word, exact) = match finish.kind {
        _ if same => (finish.word.as_str(), true),
        FinishKind::Stop => ("stop", true),
        FinishKind::Length => ("length", true),
        FinishKind::ToolCalls => ("tool_calls", true),
        FinishKind::ContentFilter => ("content_filter", true),
        FinishKind::ContextWindow => ("length", false),
        FinishKind::Refusal => ("content_filter", false),
        FinishKind::StopSequence | FinishKind::Pause | FinishKind::Error | FinishKind::Other => {
            ("stop", false)
        }
    };
    if !exact {
        losses.approximated(&finish.at);
    }
    word
}

struct Writer<'a> {
    same: bool,
    client: &'a Client,
    losses: &'a mut Losses,
    /// How many tool calls were given an id.
    calls: usize,
    message: Map<String, Value>,
}

/// What a message holds beside plain members, on its way into it.
#[derive(Default)]
struct Body {
    text: String,
    /// Characters of `text`.
    length: u64,
    any: bool,
    list: Vec<Value>,
    annotations: Vec<Value>,
    thoughts: Vec<String>,
    details: Vec<Value>,
    blocks: usize,
    /// `reasoning` or `reasoning_content`.
    named: Option<&'static str>,
    calls: Vec<Value>,
    images: Vec<Value>,
}

impl Writer<'_> {
    fn choice(&mut self, choice: &Choice) -> Value {
        self.message.insert("role".to_owned(), json!("assistant"));
        let mut body = Body::default();
        for (i, part) in choice.parts.iter().enumerate() {
            self.part(part, choice.parts.get(i + 1), &mut body);
        }
        self.finish(body);
        let mut value = json!({ "index": choice.index, "message": std::mem::take(&mut self.message) });
        value["logprobs"] = choice.logprobs.as_ref().map_or(Value::Null, |logprobs| logprobs.value.clone());
        value["finish_reason"] = Value::Null;
        if let Some(finish) = &choice.finish {
            value["finish_reason"] = json!(word(finish, self.same, self.losses));
        }
        if !self.same {
            self.losses.extra(&choice.at, &choice.extra);
        } else if let Some(object) = value.as_object_mut() {
            object.extend(choice.extra.clone());
        }
        value
    }

    fn finish(&mut self, mut body: Body) {
        let quiet = body.calls.is_empty()
            && !["refusal", "audio", "function_call"].iter().any(|key| self.message.contains_key(*key));
        let content = if body.list.is_empty() {
            if body.any || quiet { json!(body.text) } else { Value::Null }
        } else {
            body.flush();
            Value::Array(std::mem::take(&mut body.list))
        };
        self.message.insert("content".to_owned(), content);
        self.message.entry("refusal").or_insert(Value::Null);
        if !body.thoughts.is_empty() {
            let key = body.named.unwrap_or("reasoning_content");
            // A text that differs from the details stands there already.
            self.message.entry(key).or_insert_with(|| json!(body.thoughts.join("\n\n")));
        }
        for (key, list) in [
            ("reasoning_details", body.details),
            ("annotations", body.annotations),
            ("images", body.images),
            ("tool_calls", body.calls),
        ] {
            if !list.is_empty() {
                self.message.insert(key.to_owned(), Value::Array(list));
            }
        }
    }

    fn part(&mut self, part: &Part, next: Option<&Part>, body: &mut Body) {
        match &part.content {
            Content::Text(text) => self.text(text, body),
            Content::Refusal(text) => match self.message.get_mut("refusal") {
                Some(Value::String(all)) => all.push_str(text),
                _ => drop(self.message.insert("refusal".to_owned(), json!(text))),
            },
            Content::Reasoning(_) => return self.reasoning(part, next, body),
            Content::ToolCall(call) => return self.call(part, call, body),
            Content::Media(media) => return self.media(part, media, body),
            Content::Opaque(value) if self.same => return self.opaque(part, value, body),
            Content::Opaque(_) | Content::Server(_) | Content::ToolResult(_) => {
                return self.losses.unsupported(&part.at);
            }
        }
        self.rest(part);
    }

    /// Reports what a part has beside its content.
    fn rest(&mut self, part: &Part) {
        if !self.same {
            self.losses.extra(&part.at, &part.extra);
        }
    }

    fn text(&mut self, text: &Text, body: &mut Body) {
        body.any = true;
        for annotation in &text.annotations {
            match citation(annotation, body.length, self.losses) {
                Some(value) => body.annotations.push(value),
                None if self.same => body.annotations.push(annotation.raw.clone()),
                None => self.losses.unsupported(&annotation.at),
            }
        }
        body.text.push_str(&text.text);
        body.length += u64::try_from(text.text.chars().count()).unwrap_or_default();
    }

    fn reasoning(&mut self, part: &Part, next: Option<&Part>, body: &mut Body) {
        let Content::Reasoning(reasoning) = &part.content else { return };
        if !self.same && reasoning::of_nothing(reasoning, next) {
            return self.losses.unsupported(&part.at);
        }
        let own = self
            .same
            .then(|| part.at.as_str().rsplit('/').find(|key| key.parse::<usize>().is_err()))
            .flatten();
        if own == Some("content") {
            body.flush();
            let thinking = [json!({ "type": "text", "text": reasoning.text() })];
            let mut value = json!({ "type": "thinking", "thinking": thinking, "closed": true });
            if let Value::Object(value) = &mut value {
                value.extend(part.extra.clone());
            }
            body.list.push(value);
            return;
        }
        if matches!(own, Some("reasoning" | "reasoning_details")) {
            body.named = Some("reasoning");
        }
        let told = self.same && reasoning::only_details(part);
        if !told && !reasoning.thoughts.is_empty() {
            body.thoughts.push(reasoning.text());
        }
        let plain = matches!(own, Some("reasoning" | "reasoning_content"));
        if !plain || reasoning.seal.is_some() {
            let call = self.signed(reasoning.seal.as_ref().map(|seal| seal.maker), next);
            let mut list = reasoning::details(reasoning, body.blocks, call.as_deref());
            if self.same {
                reasoning::restore(&mut list, part);
            }
            body.blocks += 1;
            body.details.append(&mut list);
        }
        self.rest(part);
    }

    /// The id of the tool call that Gemini's signature is of.
    fn signed(&self, maker: Option<Maker>, next: Option<&Part>) -> Option<String> {
        match next.map(|next| &next.content) {
            Some(Content::ToolCall(call)) if maker == Some(Maker::Gemini) => Some(self.id(call)),
            _ => None,
        }
    }

    fn id(&self, call: &ToolCall) -> String {
        if call.id.is_empty() {
            format!("call_tg_{}_{}", self.client.id, self.calls)
        } else {
            call.id.clone()
        }
    }

    fn call(&mut self, part: &Part, call: &ToolCall, body: &mut Body) {
        if self.same && part.at.as_str().ends_with("/function_call") {
            let value = json!({ "name": call.name, "arguments": call.arguments });
            self.message.insert("function_call".to_owned(), value);
            return;
        }
        let id = self.id(call);
        self.calls += 1;
        let mut value = if call.custom {
            json!({ "id": id, "type": "custom", "custom": { "name": call.name, "input": call.arguments } })
        } else {
            let empty = call.arguments.is_empty() && !self.same;
            let arguments = if empty { "{}" } else { call.arguments.as_str() };
            json!({ "id": id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
        };
        if let (true, Some(object)) = (self.same, value.as_object_mut()) {
            object.extend(part.extra.clone());
        }
        self.rest(part);
        body.calls.push(value);
    }

    fn media(&mut self, part: &Part, media: &Media, body: &mut Body) {
        match (media.kind, &media.source) {
            (MediaKind::Image, _) if let Some(url) = url_of(media) => {
                body.images.push(json!({ "type": "image_url", "image_url": { "url": url } }));
            }
            (MediaKind::Audio, MediaSource::Base64(data)) => {
                let mut audio = if self.same {
                    json!({ "data": data })
                } else {
                    // The client cannot refer to it, so it is gone at once.
                    let expires = self.client.created;
                    json!({ "id": format!("audio_{}", self.client.id), "data": data, "expires_at": expires, "transcript": "" })
                };
                if let (true, Some(object)) = (self.same, audio.as_object_mut()) {
                    object.extend(part.extra.clone());
                }
                self.message.insert("audio".to_owned(), audio);
            }
            _ => return self.losses.unsupported(&part.at),
        }
        self.rest(part);
    }

    /// What only this dialect knows goes back to where it stood.
    fn opaque(&mut self, part: &Part, value: &Value, body: &mut Body) {
        let at = part.at.as_str();
        if at.contains("/message/content/") {
            body.flush();
            body.list.push(value.clone());
        } else if at.contains("/message/reasoning_details/") {
            body.details.push(value.clone());
        } else if at.contains("/message/images/") {
            body.images.push(value.clone());
        } else if let Some(key) = at.rsplit('/').next() {
            self.message.insert(key.replace("~1", "/").replace("~0", "~"), value.clone());
        }
    }
}

impl Body {
    /// Moves the text into the list of parts.
    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.list.push(json!({ "type": "text", "text": text }));
        }
    }
}
