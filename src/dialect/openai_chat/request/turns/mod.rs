//! Writing the messages of a Chat Completions request.

mod assistant;
mod input;
mod restore;

use serde_json::{Value, json};
use tollgate_filters::chat::{Content, Losses, Message, Part, Quirks, Request, Role, Target, ToolResult};
use tollgate_filters::exchange::Dialect;

use super::tools::fitted;

pub(super) fn render(request: &Request, target: &Target, losses: &mut Losses) -> Vec<Value> {
    let same = request.source == Dialect::OpenaiChat;
    let mut writer =
        Writer { request, target, quirks: target.quirks, same, losses, out: Vec::new(), media: Vec::new() };
    if same {
        for message in &request.messages {
            writer.restore(message);
        }
        return writer.out;
    }
    let (first, rest) = writer.order();
    for message in first {
        writer.instruction(message);
    }
    let mut turns = rest.into_iter().peekable();
    while let Some(message) = turns.next() {
        match message.role {
            Role::System | Role::Developer => {
                writer.flush(Vec::new());
                writer.instruction(message);
            }
            Role::User => writer.user(message),
            Role::Assistant => {
                writer.flush(Vec::new());
                let mut parts: Vec<&Part> = message.parts.iter().collect();
                writer.losses.extra(&message.at, &message.extra);
                // One answer that came in several items is one message here.
                while let Some(next) = turns.next_if(|next| next.role == Role::Assistant) {
                    parts.extend(&next.parts);
                    writer.losses.extra(&next.at, &next.extra);
                }
                let message = writer.assistant(&parts);
                writer.out.extend(message);
            }
        }
    }
    writer.flush(Vec::new());
    writer.out
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target,
    quirks: Quirks,
    same: bool,
    losses: &'a mut Losses,
    out: Vec<Value>,
    /// Media out of tools' results, which go into the next message of the user's.
    media: Vec<Value>,
}

impl<'a> Writer<'a> {
    /// Instructions that have to stand first, and all the rest.
    fn order(&mut self) -> (Vec<&'a Message>, Vec<&'a Message>) {
        let messages = &self.request.messages;
        if !self.quirks.strict_order {
            return (Vec::new(), messages.iter().collect());
        }
        let instructs = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
        let leading = messages.iter().take_while(instructs).count();
        for message in messages[leading..].iter().filter(instructs) {
            self.losses.approximated(&message.at);
        }
        messages.iter().partition(instructs)
    }

    fn instruction(&mut self, message: &Message) {
        let developer = message.role == Role::Developer && self.quirks.developer_role;
        let mut parts = Vec::new();
        for part in &message.parts {
            if let Content::Text(text) = &part.content {
                parts.push(self.text(part, &text.text));
            } else {
                self.losses.unsupported(&part.at);
            }
        }
        self.losses.extra(&message.at, &message.extra);
        if let Some(content) = joined(parts) {
            let role = if developer { "developer" } else { "system" };
            self.out.push(json!({ "role": role, "content": content }));
        }
    }

    /// A turn of the user's: the results of tools first, as messages of their own.
    fn user(&mut self, message: &Message) {
        let mut parts = Vec::new();
        for part in &message.parts {
            if let Content::ToolResult(result) = &part.content {
                self.result(part, result);
            } else if let Some(value) = self.input(part) {
                parts.push(value);
            }
        }
        self.losses.extra(&message.at, &message.extra);
        let only_results = message.parts.iter().all(|part| matches!(part.content, Content::ToolResult(_)));
        if !only_results {
            self.flush(parts);
        }
    }

    /// Writes a message of the user's out of what waits and `parts`.
    fn flush(&mut self, mut parts: Vec<Value>) {
        let mut all = std::mem::take(&mut self.media);
        all.append(&mut parts);
        let Some(content) = joined(all) else { return };
        let after_tool = self.out.last().is_some_and(|last| last["role"] == "tool");
        if self.quirks.strict_order && after_tool {
            self.out.push(json!({ "role": "assistant", "content": "OK." }));
        }
        self.out.push(json!({ "role": "user", "content": content }));
    }
    fn result(&mut self, part: &Part, result: &ToolResult) {
        let mut texts = Vec::new();
        for inner in &result.parts {
            match &inner.content {
                Content::Text(text) => texts.push(self.text(inner, &text.text)),
                Content::Media(media) => match self.media(inner, media) {
                    Some(value) => {
                        self.losses.approximated(&inner.at);
                        let value = self.dress(inner, value);
                        self.media.push(value);
                    }
                    None => self.losses.unsupported(&inner.at),
                },
                _ => self.losses.unsupported(&inner.at),
            }
        }
        if result.is_error {
            // Gemini says it by the name of the result's only member.
            match self.request.source {
                Dialect::Gemini => self.losses.approximated(&part.at),
                _ => self.losses.unsupported(&part.at.key("is_error")),
            }
        }
        if let Some(cache) = &part.cache {
            // The breakpoint stands behind the result's last text.
            match texts.last_mut() {
                Some(last) if self.quirks.cache_control => last["cache_control"] = cache.raw.clone(),
                _ => self.losses.unsupported(&cache.at),
            }
        }
        self.losses.extra(&part.at, &part.extra);
        let content = joined(texts).unwrap_or_else(|| json!(""));
        let mut message =
            json!({ "role": "tool", "tool_call_id": self.id(&result.call), "content": content });
        if self.quirks.mistral
            && let Some(name) = result.name.as_deref().or_else(|| self.request.tool_name(&result.call))
        {
            message["name"] = json!(fitted(name, self.target));
        }
        self.out.push(message);
    }
}

/// A list of parts; one text alone is a plain string.
fn joined(mut parts: Vec<Value>) -> Option<Value> {
    match parts.as_mut_slice() {
        [] => None,
        [Value::Object(only)] if only.len() == 2 && only.get("type") == Some(&json!("text")) => {
            only.remove("text")
        }
        _ => Some(Value::Array(parts)),
    }
}
