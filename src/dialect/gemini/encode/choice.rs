//! One candidate of a stream, as it is written.

use serde_json::{Map, Value, json};
use tollgate_filters::chat::{
    Annotation, Content, Delta, Extra, Losses, Opening, Part, Pointer, ServerTool, ToolCall,
};
use tollgate_filters::exchange::Dialect;

use super::document::Documents;
use super::is_own;
use crate::dialect::gemini::grounding::{Sources, restore};
use crate::dialect::gemini::part::write::Writer;
use crate::dialect::gemini::seal;

#[derive(Debug)]
enum Open {
    Nothing,
    Text {
        own: bool,
    },
    /// Whether a thought has been written, and the seal where none has.
    Thought {
        any: bool,
        seal: Option<String>,
    },
    /// Gemini has no piece of a call, so the arguments wait until they are whole.
    Call(ToolCall, Pointer),
}

#[derive(Debug)]
pub struct Choice {
    pub index: u32,
    open: Open,
    /// A signature for the next part.
    pending: Option<String>,
    /// The text that is open, how many bytes of text there were before it, and the citations in it: they are
    /// counted in the bytes of all the text, as Google does in a stream.
    text: String,
    before: usize,
    citations: Vec<Annotation>,
    sources: Sources,
    pub finish: Option<String>,
    pub extra: Extra,
}

impl Choice {
    pub fn new(index: u32) -> Self {
        Self {
            index,
            open: Open::Nothing,
            pending: None,
            text: String::new(),
            before: 0,
            citations: Vec::new(),
            sources: Sources::default(),
            finish: None,
            extra: Extra::new(),
        }
    }

    pub fn at(&self) -> Pointer {
        Pointer::of("/candidates").index(self.index as usize)
    }

    pub fn open(
        &mut self,
        opening: &Opening,
        at: &Pointer,
        documents: &mut Documents,
        out: &mut Vec<u8>,
        losses: &mut Losses,
    ) {
        let content = match opening {
            Opening::Text => {
                self.open = Open::Text { own: is_own(at) };
                return;
            }
            Opening::Refusal => {
                losses.approximated(at);
                self.open = Open::Text { own: is_own(at) };
                return;
            }
            Opening::Reasoning { .. } => {
                self.open = Open::Thought { any: false, seal: None };
                return;
            }
            Opening::ToolCall(call) => {
                self.open = Open::Call(call.clone(), at.clone());
                return;
            }
            Opening::Server(used) if used.tool == ServerTool::WebSearch && !is_own(at) => {
                losses.approximated(at);
                self.sources.query(&used.input);
                return;
            }
            Opening::Server(used) => Content::Server((**used).clone()),
            Opening::Media(media) => Content::Media((**media).clone()),
            Opening::Opaque(value) => Content::Opaque(value.clone()),
        };
        self.whole(&Part::new(content, at.clone()), documents, out, losses);
    }

    pub fn delta(&mut self, delta: &Delta, documents: &mut Documents, out: &mut Vec<u8>) {
        match (delta, &mut self.open) {
            (Delta::Text(text), Open::Text { .. }) if !text.is_empty() => {
                self.text.push_str(text);
                documents.text(text, false, self.pending.take().as_deref(), self.index, out);
            }
            // Gemini's own come as `groundingMetadata` at the end.
            (Delta::Annotation(annotation), Open::Text { own: false }) => {
                self.citations.push((**annotation).clone());
            }
            (Delta::Thought { new, text, .. }, Open::Thought { any, .. }) => {
                let waiting = self.pending.take();
                if let Some(waiting) = waiting {
                    documents.text("", false, Some(&waiting), self.index, out);
                }
                if *new && *any {
                    documents.text(&format!("\n\n{text}"), true, None, self.index, out);
                } else {
                    documents.text(text, true, None, self.index, out);
                }
                *any = true;
            }
            (Delta::Seal(sealed), Open::Thought { any, seal }) => {
                let signature = seal::write(sealed);
                if *any {
                    documents.text("", true, Some(&signature), self.index, out);
                } else {
                    *seal = Some(signature);
                }
            }
            (Delta::Arguments(more), Open::Call(call, _)) => call.arguments.push_str(more),
            _ => {}
        }
    }

    pub fn close(&mut self, documents: &mut Documents, out: &mut Vec<u8>, losses: &mut Losses) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Thought { seal: Some(seal), .. } => {
                if let Some(waiting) = self.pending.replace(seal) {
                    documents.text("", false, Some(&waiting), self.index, out);
                }
            }
            Open::Call(call, at) => {
                self.whole(&Part::new(Content::ToolCall(call), at), documents, out, losses);
            }
            Open::Text { .. } => {
                for annotation in std::mem::take(&mut self.citations) {
                    self.sources.add(&annotation, &self.text, 0, self.before, losses);
                }
                self.before += self.text.len();
                self.text.clear();
            }
            _ => {}
        }
    }

    /// A part that is written at once.
    fn whole(&mut self, part: &Part, documents: &mut Documents, out: &mut Vec<u8>, losses: &mut Losses) {
        let mut writer = Writer::new(source(&part.at), None, losses);
        writer.part(part);
        for mut value in writer.finish() {
            if let (Value::Object(value), Some(signature)) = (&mut value, self.pending.take()) {
                value.insert("thoughtSignature".to_owned(), Value::String(signature));
            }
            documents.part(value, self.index, out);
        }
    }

    /// The candidate in the last document.
    pub fn last(&mut self) -> Value {
        let mut part = json!({ "text": "" });
        if let Some(signature) = self.pending.take() {
            part["thoughtSignature"] = Value::String(signature);
        }
        let mut candidate = Map::new();
        candidate.insert("content".to_owned(), json!({ "parts": [part], "role": "model" }));
        if let Some(word) = &self.finish {
            candidate.insert("finishReason".to_owned(), json!(word));
        }
        candidate.insert("index".to_owned(), json!(self.index));
        let sources = std::mem::take(&mut self.sources).finish();
        candidate.extend(sources.map(|metadata| ("groundingMetadata".to_owned(), metadata)));
        self.extra.retain(|key, _| !matches!(key.as_str(), "finishReason" | "index"));
        restore(&mut candidate, &self.extra);
        Value::Object(candidate)
    }
}

/// The dialect that a pointer leads into.
pub fn source(at: &Pointer) -> Dialect {
    let at = at.as_str();
    if at.starts_with("/candidates") {
        Dialect::Gemini
    } else if at.starts_with("/choices") {
        Dialect::OpenaiChat
    } else if at.starts_with("/output") || at.starts_with("/response") {
        Dialect::OpenaiResponses
    } else {
        Dialect::Anthropic
    }
}
