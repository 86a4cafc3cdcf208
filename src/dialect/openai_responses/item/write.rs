//! Items, written: from the parts of an assistant's turn.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Content, Losses, Maker, Part, Reasoning, ServerTool, ServerUse, Stage, Text, ToolCall, Why,
};

use super::{Side, item_members, item_of, media, message, restore};

/// Writes the parts of a turn as items, in order. Adjacent texts of one message become one item.
#[derive(Debug)]
pub struct Writer<'a> {
    side: Side,
    /// What the ids of items that have none are made of.
    id: &'a str,
    losses: &'a mut Losses,
    items: Vec<Value>,
    /// The message that further texts may go into.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    item: Option<String>,
    members: Map<String, Value>,
    content: Vec<Value>,
}

impl<'a> Writer<'a> {
    pub fn new(side: Side, id: &'a str, losses: &'a mut Losses) -> Self {
        Self { side, id, losses, items: Vec::new(), message: None }
    }

    /// Writes one part. `logprobs` are those of its tokens.
    pub fn part(&mut self, part: &Part, logprobs: Vec<Value>) {
        let own = item_of(&part.at).is_some();
        if !own {
            self.losses.extra(&part.at, &part.extra);
            if let Some(cache) = &part.cache {
                self.losses.unsupported(&cache.at);
            }
        }
        match &part.content {
            Content::Text(text) => self.text(part, text, own, logprobs),
            Content::Refusal(refusal) => {
                let mut object = json!({"type": "refusal", "refusal": refusal});
                if let (true, Some(object)) = (own, object.as_object_mut()) {
                    let mut extra = part.extra.clone();
                    extra.retain(|key, _| !key.starts_with("~/"));
                    restore(object, &extra);
                }
                self.content(part, object);
            }
            // A part of a message that nobody knows, and no item.
            Content::Opaque(raw) if own && item_of(&part.at) != Some(part.at.as_str()) => {
                self.content(part, raw.clone());
            }
            content => {
                self.close();
                if let Some(item) = self.item(part, content, own) {
                    self.items.push(item);
                }
            }
        }
    }

    fn text(&mut self, part: &Part, text: &Text, own: bool, logprobs: Vec<Value>) {
        if self.side == Side::Answer {
            let list = text.annotations.iter();
            let list = list.filter_map(|a| message::annotation(a, &text.text, own, self.losses)).collect();
            let mut object = message::output_text(&text.text, list, logprobs);
            if own {
                let mut extra = part.extra.clone();
                extra.retain(|key, _| !key.starts_with("~/"));
                restore(&mut object, &extra);
            }
            self.content(part, Value::Object(object));
            return;
        }
        if !own && text.text.is_empty() && text.annotations.is_empty() {
            return;
        }
        let plain = if own { part.at.as_str().ends_with("/content") } else { text.annotations.is_empty() };
        if plain {
            self.close();
            let mut item = json!({"role": "assistant", "content": text.text});
            if let (true, Some(item)) = (own, item.as_object_mut()) {
                restore(item, &part.extra);
            }
            self.items.push(item);
        } else {
            let object = message::assistant_text(part, text, own, self.losses);
            self.content(part, object);
        }
    }

    /// A part of a message's content.
    fn content(&mut self, part: &Part, object: Value) {
        let item = item_of(&part.at).map(str::to_owned);
        if self.message.as_ref().is_some_and(|message| message.item != item) {
            self.close();
        }
        let message = self.message.get_or_insert_with(|| {
            let members = item_members(&part.extra).cloned().unwrap_or_default();
            Message { item, members, content: Vec::new() }
        });
        message.content.push(object);
    }

    fn close(&mut self) {
        let Some(message) = self.message.take() else { return };
        let mut item = Map::new();
        if self.side == Side::Answer || message.item.is_none() {
            let id = format!("msg_{}_{}", self.id, self.items.len());
            item.insert("id".to_owned(), id.into());
            item.insert("type".to_owned(), "message".into());
            item.insert("status".to_owned(), "completed".into());
        }
        item.insert("role".to_owned(), "assistant".into());
        item.insert("content".to_owned(), Value::Array(message.content));
        item.extend(message.members);
        self.items.push(Value::Object(item));
    }

    fn item(&mut self, part: &Part, content: &Content, own: bool) -> Option<Value> {
        let n = self.items.len();
        match content {
            Content::ToolCall(call) => {
                let answer = self.side == Side::Answer;
                Some(Value::Object(call_item(call, part, answer.then_some((self.id, n)))))
            }
            Content::Reasoning(reasoning) if self.side == Side::Answer => {
                Some(Value::Object(reasoning_item(reasoning, part, Some((self.id, n)))))
            }
            Content::Reasoning(reasoning) => {
                if reasoning.seal.as_ref().is_some_and(|seal| seal.maker != Maker::Openai) {
                    self.losses.push(&part.at, Why::Foreign);
                    return None;
                }
                if reasoning.seal.is_none() && !own {
                    self.losses.unsupported(&part.at);
                    return None;
                }
                // No id is made up: OpenAI seals the item's own id in with it and refuses another, but not none.
                Some(Value::Object(reasoning_item(reasoning, part, None)))
            }
            // The API knows only ids that it made itself.
            _ if self.side == Side::Request && !own => {
                self.losses.unsupported(&part.at);
                None
            }
            _ => whole_item(part, self.id, n, self.losses),
        }
    }

    pub fn finish(mut self) -> Vec<Value> {
        self.close();
        self.items
    }
}

/// Writes a call. `made` is what the item's id is made of where it has none, and says that this is an answer.
pub fn call_item(call: &ToolCall, part: &Part, made: Option<(&str, usize)>) -> Map<String, Value> {
    let (kind, arguments, prefix) =
        if call.custom { ("custom_tool_call", "input", "ctc") } else { ("function_call", "arguments", "fc") };
    let mut item = Map::new();
    let id = call.item_id.clone().or_else(|| made.map(|(id, n)| format!("{prefix}_{id}_{n}")));
    if let Some(id) = id {
        item.insert("id".to_owned(), id.into());
    }
    item.insert("type".to_owned(), kind.into());
    if made.is_some() {
        item.insert("status".to_owned(), "completed".into());
    }
    item.insert(arguments.to_owned(), call.arguments.clone().into());
    let call_id = match made {
        Some((id, n)) if call.id.is_empty() => format!("call_tg_{id}_{n}"),
        _ => call.id.clone(),
    };
    item.insert("call_id".to_owned(), call_id.into());
    item.insert("name".to_owned(), call.name.clone().into());
    if item_of(&part.at).is_some() {
        restore(&mut item, &part.extra);
    }
    item
}

/// Writes reasoning; `made` as in [`call_item`].
pub fn reasoning_item(reasoning: &Reasoning, part: &Part, made: Option<(&str, usize)>) -> Map<String, Value> {
    let mut item = Map::new();
    let id = reasoning.id.clone().or_else(|| made.map(|(id, n)| format!("rs_{id}_{n}")));
    if let Some(id) = id {
        item.insert("id".to_owned(), id.into());
    }
    item.insert("type".to_owned(), "reasoning".into());
    // OpenAI refuses thinking itself in the input, and knows it only of models that others serve.
    let asked = made.is_none() && item_of(&part.at).is_none();
    let list = |summary: bool, kind: &str| -> Vec<Value> {
        let thoughts = reasoning.thoughts.iter().filter(|thought| (asked || thought.summary) == summary);
        thoughts.map(|thought| json!({"type": kind, "text": thought.text})).collect()
    };
    item.insert("summary".to_owned(), list(true, "summary_text").into());
    let content = list(false, "reasoning_text");
    if !content.is_empty() {
        item.insert("content".to_owned(), content.into());
    }
    if let Some(seal) = &reasoning.seal {
        item.insert("encrypted_content".to_owned(), seal.travelling(Maker::Openai).into());
    }
    if item_of(&part.at).is_some() {
        restore(&mut item, &part.extra);
    }
    item
}

/// Writes a part that is an item by itself and comes whole. `None` (and a loss) where there is no such item.
pub fn whole_item(part: &Part, id: &str, n: usize, losses: &mut Losses) -> Option<Value> {
    let own = item_of(&part.at).is_some();
    let item = match &part.content {
        Content::Opaque(raw) if own => return Some(raw.clone()),
        Content::Server(used) if own => return Some(used.raw.clone()),
        Content::Server(used) => {
            let item = server_item(used, id, n);
            if item.is_some() {
                losses.approximated(&part.at);
                return item;
            }
            None
        }
        Content::Media(media) => media::write_generated(part, media, format!("ig_{id}_{n}")),
        _ => None,
    };
    if item.is_none() {
        losses.unsupported(&part.at);
    }
    item
}

/// What another provider's tool did, as the item of the like tool here.
fn server_item(used: &ServerUse, id: &str, n: usize) -> Option<Value> {
    if used.stage == Stage::Result || id.is_empty() {
        return None;
    }
    match used.tool {
        ServerTool::WebSearch => Some(json!({
            "id": format!("ws_{id}_{n}"),
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": used.input},
        })),
        ServerTool::CodeExecution => Some(json!({
            "id": format!("ci_{id}_{n}"),
            "type": "code_interpreter_call",
            "status": "completed",
            "code": used.input,
            "container_id": "",
            "outputs": used.output.as_ref().map(|logs| json!([{"type": "logs", "logs": logs}])),
        })),
        _ => None,
    }
}
