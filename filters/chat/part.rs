//! What messages consist of: text, media, tool calls and their results, reasoning.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loss::{Extra, Pointer};

/// One piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub content: Content,
    /// Where it stood.
    pub at: Pointer,
    /// A prompt-cache breakpoint behind this part.
    pub cache: Option<Cache>,
    /// Members of the part's object that only its own dialect knows.
    pub extra: Extra,
}

impl Part {
    pub fn new(content: Content, at: Pointer) -> Self {
        Self { content, at, cache: None, extra: Extra::new() }
    }

    pub fn text(text: impl Into<String>, at: Pointer) -> Self {
        Self::new(Content::Text(Text { text: text.into(), annotations: Vec::new() }), at)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(Text),
    /// The model declined, in its own words.
    Refusal(String),
    Media(Media),
    Reasoning(Reasoning),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    /// A tool that the provider runs itself was used.
    Server(ServerUse),
    /// A block that only its own dialect knows, whole.
    Opaque(Value),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    pub text: String,
    pub annotations: Vec<Annotation>,
}

/// A citation: what a stretch of text rests on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotation {
    pub url: Option<String>,
    pub title: Option<String>,
    /// The stretch of the part's text that it is about, in Unicode characters.
    pub start: Option<u64>,
    pub end: Option<u64>,
    /// The words of the source.
    pub cited: Option<String>,
    /// The whole annotation as its own dialect wrote it; `null` where the dialect has none by itself.
    pub raw: Value,
    pub at: Pointer,
}

/// How long what stands before a breakpoint is to be kept by the provider: the dialect's own object, such as
/// `{"type":"ephemeral","ttl":"1h"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    pub raw: Value,
    pub at: Pointer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    /// PDF, plain text and other files that are read as documents.
    Document,
}

/// A picture, a recording, a film or a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    pub kind: MediaKind,
    pub source: MediaSource,
    /// `image/png`, where it is known.
    pub mime: Option<String>,
    /// A file name or title.
    pub name: Option<String>,
    /// OpenAI's `detail` of an image: `low`, `high`, `auto`, `original`.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource {
    Url(String),
    /// Standard base64, without a `data:` prefix.
    Base64(String),
    /// The text of a plain-text document.
    Text(String),
    /// A file that was uploaded to a provider: its id or URI there. Nobody else can read it.
    File(String),
}

/// Who made a piece of sealed reasoning, and so who alone can read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    Anthropic,
    Openai,
    Gemini,
}

/// What the model thought before it spoke.
///
/// Gemini signs the part that follows (a function call, a text): there this has a seal and no thoughts, and
/// stands directly before the part that it signs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    /// The item's id (OpenAI Responses: `rs_…`).
    pub id: Option<String>,
    pub thoughts: Vec<Thought>,
    pub seal: Option<Seal>,
}

impl Reasoning {
    /// Everything that can be read of it.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.thoughts.iter().map(|t| t.text.as_str()).collect();
        texts.join("\n\n")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Thought {
    /// A summary made for the reader; otherwise the thinking itself.
    pub summary: bool,
    pub text: String,
}

/// A signature or an encrypted copy of reasoning, which its maker wants back on the next turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seal {
    pub maker: Maker,
    pub data: String,
    /// The thoughts are in the seal alone (Anthropic's `redacted_thinking`).
    #[serde(default)]
    pub redacted: bool,
}

/// The prefix of a seal that travels through a dialect whose own provider did not make it.
const FOREIGN: &str = "tollgate.";

impl Seal {
    /// The seal as it is written in a dialect whose own provider is `home`: its data, or, where somebody else
    /// made it, the data behind a word that says who.
    pub fn travelling(&self, home: Maker) -> String {
        if self.maker == home && !self.data.starts_with(FOREIGN) {
            return self.data.clone();
        }
        let maker = match self.maker {
            Maker::Anthropic => "anthropic",
            Maker::Openai => "openai",
            Maker::Gemini => "gemini",
        };
        let redacted = if self.redacted { "-redacted" } else { "" };
        format!("{FOREIGN}{maker}{redacted}.{}", self.data)
    }

    /// Reads what [`Seal::travelling`] wrote, or what `home`'s own provider did.
    pub fn arriving(text: &str, home: Maker, redacted: bool) -> Self {
        let foreign = text.strip_prefix(FOREIGN).and_then(|rest| rest.split_once('.'));
        let known = foreign.and_then(|(word, data)| {
            let (maker, redacted) = match word.strip_suffix("-redacted") {
                Some(maker) => (maker, true),
                None => (word, false),
            };
            let maker = match maker {
                "anthropic" => Maker::Anthropic,
                "openai" => Maker::Openai,
                "gemini" => Maker::Gemini,
                _ => return None,
            };
            Some(Self { maker, data: data.to_owned(), redacted })
        });
        known.unwrap_or_else(|| Self { maker: home, data: text.to_owned(), redacted })
    }
}

/// The model asks the client to run a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCall {
    /// What the result refers to. Empty where the dialect gave none (older Gemini models).
    pub id: String,
    pub name: String,
    /// JSON, as it was written; for a custom tool, free text.
    pub arguments: String,
    /// A custom tool (OpenAI), whose input is free text.
    pub custom: bool,
    /// The item's own id (OpenAI Responses: `fc_…`).
    pub item_id: Option<String>,
}

/// What came of running a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolResult {
    /// The id of the call. Empty where the dialect gave none.
    pub call: String,
    /// The tool's name, where the dialect says it (Gemini); otherwise it is that of the call.
    pub name: Option<String>,
    /// Text and media.
    pub parts: Vec<Part>,
    pub is_error: bool,
    /// The result of a custom tool (OpenAI).
    pub custom: bool,
    /// The result came as a JSON object (Gemini's `response`). The parts then hold its text.
    pub object: bool,
}

/// Which of its own tools a provider used.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerUse {
    pub tool: super::request::ServerTool,
    pub stage: Stage,
    /// The id that call and result share.
    pub id: Option<String>,
    /// What was searched for, fetched, or run (the query, the URL, the code); empty for a result.
    pub input: String,
    /// What came of it, as text, where it is text (the output of code).
    pub output: Option<String>,
    /// The whole block as its own dialect wrote it.
    pub raw: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Call,
    Result,
    /// Call and result in one item (OpenAI Responses).
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_survives_a_dialect_of_somebody_else() {
        for redacted in [false, true] {
            let seal = Seal { maker: Maker::Anthropic, data: "Ab.c==".to_owned(), redacted };
            for home in [Maker::Openai, Maker::Gemini] {
                assert_eq!(Seal::arriving(&seal.travelling(home), home, false), seal);
            }
            assert_eq!(seal.travelling(Maker::Anthropic), "Ab.c==");
            assert_eq!(Seal::arriving("Ab.c==", Maker::Anthropic, redacted), seal);
        }
    }

    #[test]
    fn what_only_looks_foreign_is_its_own() {
        let odd = "tollgate.somebody.x";
        assert_eq!(Seal::arriving(odd, Maker::Openai, false).data, odd);
    }
}
