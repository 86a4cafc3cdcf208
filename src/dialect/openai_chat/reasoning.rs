//! Reasoning in chat messages: `OpenRouter`'s `reasoning_details`, and the plain `reasoning_content` and `reasoning`.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{Content, ENVELOPE, Extra, Maker, Part, Pointer, Reasoning, Seal, Thought};

/// One element of `reasoning_details`, or a plain string of reasoning.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub text: Option<String>,
    pub summary: bool,
    pub seal: Option<Seal>,
    /// Of the reasoning item, or of the tool call that a Gemini signature belongs to.
    pub id: Option<String>,
    pub index: Option<u64>,
    pub extra: Extra,
}

/// Reads one element; gives it back where its form, or who made its seal, is not known.
pub(super) fn detail(value: Value) -> Result<Detail, Value> {
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    let format = word("format");
    let maker = format.and_then(maker_of);
    let mut detail = Detail {
        id: word("id").map(str::to_owned),
        index: value.get("index").and_then(Value::as_u64),
        ..Detail::default()
    };
    let sealed = |data: &str, maker, redacted| Seal { maker, data: data.to_owned(), redacted };
    match word("type") {
        Some("reasoning.text") => {
            detail.text = Some(word("text").unwrap_or_default().to_owned());
            if let Some(signature) = word("signature").filter(|s| !s.is_empty()) {
                // A signature without a format is Anthropic's, who had them first.
                let maker = if format.is_none() { Some(Maker::Anthropic) } else { maker };
                match maker {
                    Some(maker) => detail.seal = Some(sealed(signature, maker, false)),
                    None => return Err(value),
                }
            }
        }
        Some("reasoning.summary") => {
            detail.summary = true;
            detail.text = Some(word("summary").unwrap_or_default().to_owned());
        }
        Some("reasoning.encrypted") => match (word("data"), maker) {
            (Some(data), Some(maker)) => {
                detail.seal = Some(sealed(data, maker, maker == Maker::Anthropic));
            }
            _ => return Err(value),
        },
        _ => return Err(value),
    }
    let known = ["type", "text", "summary", "data", "signature", "format", "id", "index", ENVELOPE];
    let form = form(&detail, &value);
    if let Value::Object(map) = value {
        detail.extra =
            map.into_iter().filter(|(k, v)| !v.is_null() && !known.contains(&k.as_str())).collect();
    }
    if !form.is_empty() {
        detail.extra.insert(ENVELOPE.to_owned(), Value::Object(form));
    }
    Ok(detail)
}

/// What of a detail's form the seal does not tell.
fn form(detail: &Detail, value: &Value) -> Map<String, Value> {
    let mut form = Map::new();
    let mut keep = |key: &str| {
        if let Some(word) = value.get(key).filter(|word| word.is_string()) {
            form.insert(key.to_owned(), word.clone());
        }
    };
    let thoughts = detail.text.as_ref().is_some_and(|text| !text.is_empty());
    match &detail.seal {
        None => keep("format"),
        Some(seal) if value.get("signature").is_some() && !signs(seal, thoughts) => keep("type"),
        Some(_) => {}
    }
    form
}

fn maker_of(format: &str) -> Option<Maker> {
    if format.contains("anthropic") {
        Some(Maker::Anthropic)
    } else if format.contains("openai") {
        Some(Maker::Openai)
    } else if format.contains("gemini") || format.contains("google") {
        Some(Maker::Gemini)
    } else {
        None
    }
}

pub(super) fn format_of(maker: Maker) -> &'static str {
    match maker {
        Maker::Anthropic => "anthropic-claude-v1",
        Maker::Openai => "openai-responses-v1",
        Maker::Gemini => "google-gemini-v1",
    }
}

/// Adds up the reasoning of one message.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    parts: Vec<Part>,
    /// The index of the last detail; a plain string has none.
    index: Option<u64>,
}

impl Gathered {
    /// A plain string of reasoning.
    pub fn string(&mut self, text: String, at: Pointer) {
        let thoughts = vec![Thought { summary: false, text }];
        self.parts.push(Part::new(Content::Reasoning(Reasoning { thoughts, ..Reasoning::default() }), at));
    }

    pub fn detail(&mut self, value: Value, at: Pointer) {
        let detail = match detail(value) {
            Ok(detail) => detail,
            Err(value) => return self.parts.push(Part::new(Content::Opaque(value), at)),
        };
        let goes_on = self.goes_on(&detail);
        self.index = detail.index;
        if !goes_on {
            let reasoning = Reasoning { id: detail.id.clone(), ..Reasoning::default() };
            self.parts.push(Part::new(Content::Reasoning(reasoning), at));
        }
        let Some(part) = self.parts.last_mut() else { return };
        for (key, value) in detail.extra {
            match (part.extra.get_mut(&key), value) {
                (Some(Value::Object(form)), Value::Object(more)) if key == ENVELOPE => form.extend(more),
                (_, value) => drop(part.extra.insert(key, value)),
            }
        }
        let Content::Reasoning(reasoning) = &mut part.content else { return };
        if let Some(text) = detail.text.filter(|text| !text.is_empty()) {
            reasoning.thoughts.push(Thought { summary: detail.summary, text });
        }
        reasoning.id = reasoning.id.take().or(detail.id);
        reasoning.seal = reasoning.seal.take().or(detail.seal);
    }

    /// No plain string tells the same again.
    fn only_details(&mut self) {
        for part in self.parts.iter_mut().filter(|part| matches!(part.content, Content::Reasoning(_))) {
            let form = part.extra.entry(ENVELOPE).or_insert_with(|| json!({}));
            form[PLAIN] = json!(false);
        }
    }

    /// Whether a detail belongs to the reasoning before it.
    fn goes_on(&self, detail: &Detail) -> bool {
        let Some(Part { content: Content::Reasoning(last), .. }) = self.parts.last() else { return false };
        last.seal.is_none() && belongs(last.id.as_deref(), self.index, detail)
    }

    /// The reasoning, without the signatures of tool calls: those come with the id of their call.
    pub fn finish(self, calls: &[Part]) -> (Vec<Part>, Vec<(String, Part)>) {
        let mut signatures = Vec::new();
        let mut rest = Vec::new();
        for mut part in self.parts {
            if let Content::Reasoning(reasoning) = &mut part.content
                && reasoning.thoughts.is_empty()
                && reasoning.seal.as_ref().is_some_and(|seal| seal.maker == Maker::Gemini)
                && let Some(id) = reasoning.id.clone()
                && calls.iter().any(|call| matches!(&call.content, Content::ToolCall(call) if call.id == id))
            {
                reasoning.id = None;
                signatures.push((id, part));
            } else {
                rest.push(part);
            }
        }
        (rest, signatures)
    }
}

/// Whether a detail goes on with reasoning that has this id and index and no seal yet.
pub(super) fn belongs(id: Option<&str>, index: Option<u64>, detail: &Detail) -> bool {
    // The id of a Gemini signature is that of the tool call that it stands before.
    if detail.id.is_some() && detail.seal.as_ref().is_some_and(|seal| seal.maker == Maker::Gemini) {
        return false;
    }
    match (id, detail.id.as_deref()) {
        (Some(one), Some(other)) => one == other,
        _ => index.is_none() || detail.index.is_none() || index == detail.index,
    }
}

/// Whether reasoning is nothing but Gemini's signature of the part behind it, and that part has no place here.
pub(super) fn of_nothing(reasoning: &Reasoning, next: Option<&Part>) -> bool {
    let bare = reasoning.thoughts.is_empty()
        && reasoning.seal.as_ref().is_some_and(|seal| seal.maker == Maker::Gemini);
    bare && next.is_some_and(|next| matches!(next.content, Content::Server(_) | Content::Opaque(_)))
}

/// Whether a seal is the signature of thoughts that stand beside it, and not an encrypted copy.
pub(super) fn signs(seal: &Seal, thoughts: bool) -> bool {
    match seal.maker {
        Maker::Anthropic => !seal.redacted,
        Maker::Gemini => thoughts,
        Maker::Openai => false,
    }
}

/// Writes reasoning as elements of `reasoning_details`. `call` is the id of the tool call that a bare Gemini
/// signature stands before.
pub(super) fn details(reasoning: &Reasoning, index: usize, call: Option<&str>) -> Vec<Value> {
    let mut list = Vec::new();
    let seal = reasoning.seal.as_ref();
    let format = seal.map(|seal| format_of(seal.maker));
    let mut push = |mut element: Value, id: Option<&str>| {
        if let Some(format) = format {
            element["format"] = json!(format);
        }
        if let Some(id) = id {
            element["id"] = json!(id);
        }
        element["index"] = json!(index);
        list.push(element);
    };
    let id = reasoning.id.as_deref();
    if let Some(seal) = seal.filter(|seal| signs(seal, !reasoning.thoughts.is_empty())) {
        push(json!({"type": "reasoning.text", "text": reasoning.text(), "signature": seal.data}), id);
        return list;
    }
    // The sealed element says whose they are.
    let own = id.filter(|_| seal.is_none());
    for thought in &reasoning.thoughts {
        push(
            if thought.summary {
                json!({"type": "reasoning.summary", "summary": thought.text})
            } else {
                json!({"type": "reasoning.text", "text": thought.text})
            },
            own,
        );
    }
    if let Some(seal) = seal {
        let call = call.filter(|_| seal.maker == Maker::Gemini);
        push(json!({"type": "reasoning.encrypted", "data": seal.data}), id.or(call));
    }
    list
}

/// Gives the elements that [`details`] wrote of `part` the form in which they were read from this dialect.
pub(super) fn restore(list: &mut [Value], part: &Part) {
    let mut extra = part.extra.clone();
    let form = extra.shift_remove(ENVELOPE).unwrap_or_default();
    for element in list.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(format) = form.get("format") {
            element.entry("format").or_insert_with(|| format.clone());
        }
        if let Some(kind) = form.get("type")
            && let Some(data) = element.shift_remove("data")
        {
            element.insert("type".to_owned(), kind.clone());
            element.insert("signature".to_owned(), data);
        }
    }
    if let Some(Value::Object(first)) = list.first_mut() {
        first.extend(extra);
    }
}

/// Whether the message had the thoughts in `reasoning_details` alone, and not as a plain string as well.
pub(super) fn only_details(part: &Part) -> bool {
    part.extra.get(ENVELOPE).and_then(|form| form.get(PLAIN)) == Some(&Value::Bool(false))
}

/// Whether there was a plain string beside the details.
const PLAIN: &str = "plain";

/// Reads what a message holds of reasoning out of the object of the message.
pub(super) fn gather(fields: &mut crate::dialect::fields::Fields) -> Gathered {
    let mut gathered = Gathered::default();
    let details = fields.list("reasoning_details").unwrap_or_default().unwrap_or_default();
    let mut told: String = details.iter().filter_map(readable).flat_map(letters).collect();
    // Whether nothing but the details tells the thoughts.
    let mut alone = !told.is_empty();
    for key in ["reasoning_content", "reasoning"] {
        let Some(text) = fields.word(key) else { continue };
        // What was told under another name as well is not read twice; what differs from it stays as it is.
        let same = letters(text).eq(told.chars());
        alone &= !same;
        if !told.is_empty() && !same {
            continue;
        }
        if let Ok(Some(text)) = fields.string(key)
            && told.is_empty()
            && !text.is_empty()
        {
            told.extend(letters(&text));
            gathered.string(text, fields.at(key));
        }
    }
    let at = fields.at("reasoning_details");
    for (i, value) in details.into_iter().enumerate() {
        gathered.detail(value, at.index(i));
    }
    if alone {
        gathered.only_details();
    }
    gathered
}

/// The thoughts in a detail that can be read.
fn readable(detail: &Value) -> Option<&str> {
    let text = |key| detail.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("text").or_else(|| text("summary"))
}

/// Whether a detail holds thoughts that can be read.
pub(super) fn tells(detail: &Value) -> bool {
    readable(detail).is_some()
}

/// A text without its white space: vendors join thoughts with more or less of it.
fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace())
}

/// Sets the signatures of tool calls directly before their calls.
pub(super) fn sign(calls: Vec<Part>, mut signatures: Vec<(String, Part)>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(calls.len() + signatures.len());
    for call in calls {
        if let Content::ToolCall(tool) = &call.content
            && let Some(found) = signatures.iter().position(|(id, _)| *id == tool.id)
        {
            parts.push(signatures.swap_remove(found).1);
        }
        parts.push(call);
    }
    parts
}
