//! An incremental reader of JSON that looks for a handful of fields and keeps only those.
//!
//! It takes bytes in any pieces, never fails (what is not JSON yields nothing), and knows where it is
//! by a small automaton over the keys that lead to the fields it wants.

use memchr::memchr2;

/// The longest usage block that is kept. Real ones stay under 2 KiB.
pub(super) const MAX_USAGE: usize = 16 * 1024;
/// The longest model name, finish reason or tier that is kept.
const MAX_NAME: usize = 256;
/// The longest key that leads anywhere.
const MAX_KEY: usize = 24;
/// Containers nested deeper than this hold nothing that is looked for.
const MAX_DEPTH: usize = 24;

/// Where in a document the reader is: what kind of object or array is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Leads nowhere.
    #[default]
    Elsewhere,
    /// The document itself, or an element of the array that it is.
    Root,
    /// `response`, `message`, `x_groq`, `interaction`: an answer inside an event.
    Inner,
    Choice,
    Candidate,
    /// What the model generated: text, thoughts, arguments.
    Generated,
    IncompleteDetails,
}

/// What the value at hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Slot {
    #[default]
    Nothing,
    Enter(Place),
    Choices,
    Usage,
    Model,
    Tier,
    Finish,
    /// Says more than the finish reason beside it.
    FinishDetail,
    /// Generated text where it is a string; a container may hold some.
    Text,
    Error,
}

/// What the last document's `choices` were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Choices {
    #[default]
    Absent,
    Empty,
    Some,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Lexeme {
    #[default]
    Between,
    Text,
    Escape,
}

#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    place: Place,
    array: bool,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // an automaton's registers
pub(super) struct Json {
    // where the reader is in the current document
    lexeme: Lexeme,
    frames: [Frame; MAX_DEPTH],
    depth: usize,
    /// The next string of the open object is a key.
    key_next: bool,
    /// The string being read is a key.
    in_key: bool,
    slot: Slot,
    /// The key or name being read; `None` where it is too long or escaped to be one that matters.
    word: Option<Vec<u8>>,
    /// The depth at which the usage block being kept closes.
    usage_depth: Option<usize>,
    document_has_usage: bool,
    choices: Choices,
    // what was found so far
    first_usage: Option<Vec<u8>>,
    last_usage: Vec<u8>,
    usage_is_whole: bool,
    model: Option<String>,
    tier: Option<String>,
    finish: Option<String>,
    finish_detail: Option<String>,
    errored: bool,
    text_bytes: u64,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            lexeme: Lexeme::Between,
            frames: [Frame::default(); MAX_DEPTH],
            depth: 0,
            key_next: false,
            in_key: false,
            slot: Slot::Enter(Place::Root),
            word: Some(Vec::new()),
            usage_depth: None,
            document_has_usage: false,
            choices: Choices::Absent,
            first_usage: None,
            last_usage: Vec::new(),
            usage_is_whole: false,
            model: None,
            tier: None,
            finish: None,
            finish_detail: None,
            errored: false,
            text_bytes: 0,
        }
    }
}

impl Json {
    /// The current document is over; what follows is the next one.
    pub(super) fn next_document(&mut self) {
        self.lexeme = Lexeme::Between;
        self.depth = 0;
        self.key_next = false;
        self.slot = Slot::Enter(Place::Root);
        self.usage_depth = None;
        self.document_has_usage = false;
        self.choices = Choices::Absent;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        // A usage block that goes on from an earlier piece is kept from this piece's start.
        let mut usage_from = self.usage_depth.map(|_| 0);
        let mut at = 0;
        while at < bytes.len() {
            match self.lexeme {
                Lexeme::Between => {
                    match bytes[at] {
                        b'"' => self.open_string(),
                        b'{' => {
                            if self.slot == Slot::Usage {
                                usage_from = Some(at);
                            }
                            self.open(false);
                        }
                        b'[' => self.open(true),
                        b'}' | b']' => {
                            self.close();
                            if self.usage_depth.is_some_and(|depth| self.depth < depth) {
                                self.keep_usage(&bytes[usage_from.unwrap_or(at)..=at]);
                                self.end_usage();
                                usage_from = None;
                            }
                        }
                        b':' => self.key_next = false,
                        b',' => self.next_member(),
                        _ => {}
                    }
                    at += 1;
                }
                Lexeme::Text => {
                    let rest = &bytes[at..];
                    let end = memchr2(b'"', b'\\', rest);
                    let text = &rest[..end.unwrap_or(rest.len())];
                    self.text(text);
                    at += text.len();
                    if let Some(end) = end {
                        at += 1;
                        if rest[end] == b'"' {
                            self.close_string();
                        } else {
                            self.word = None;
                            self.lexeme = Lexeme::Escape;
                        }
                    }
                }
                Lexeme::Escape => {
                    at += 1;
                    self.lexeme = Lexeme::Text;
                }
            }
        }
        if let Some(from) = usage_from {
            self.keep_usage(&bytes[from..]);
        }
    }

    fn open(&mut self, array: bool) {
        let place = match self.slot {
            Slot::Enter(place) => place,
            Slot::Text => Place::Generated,
            Slot::Choices => {
                self.choices = Choices::Empty;
                Place::Choice
            }
            Slot::Usage if !array => {
                self.usage_depth = Some(self.depth + 1);
                self.last_usage.clear();
                self.usage_is_whole = false;
                Place::Elsewhere
            }
            Slot::Error if !array => {
                self.errored = true;
                Place::Elsewhere
            }
            _ => Place::Elsewhere,
        };
        if place == Place::Choice && !array {
            self.choices = Choices::Some;
        }
        if let Some(frame) = self.frames.get_mut(self.depth) {
            *frame = Frame { place, array };
        }
        self.depth += 1;
        self.next_member();
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.slot = Slot::Nothing;
        self.key_next = false;
    }

    fn top(&self) -> Frame {
        self.depth.checked_sub(1).and_then(|top| self.frames.get(top)).copied().unwrap_or_default()
    }

    /// A member of the open object or an element of the open array is next.
    fn next_member(&mut self) {
        let Frame { place, array } = self.top();
        self.key_next = !array;
        self.slot = match place {
            Place::Elsewhere => Slot::Nothing,
            _ if !array => Slot::Nothing,
            Place::Generated => Slot::Text,
            place => Slot::Enter(place),
        };
    }

    fn open_string(&mut self) {
        self.lexeme = Lexeme::Text;
        let frame = self.top();
        self.in_key = self.key_next && !frame.array;
        let wanted = (self.in_key && frame.place != Place::Elsewhere)
            || matches!(self.slot, Slot::Model | Slot::Tier | Slot::Finish | Slot::FinishDetail);
        match (&mut self.word, wanted) {
            (Some(word), true) => word.clear(),
            (word @ None, true) => *word = Some(Vec::new()),
            _ => {}
        }
    }

    fn text(&mut self, text: &[u8]) {
        if !self.in_key && self.slot == Slot::Text {
            self.text_bytes += text.len() as u64;
            return;
        }
        let limit = if self.in_key { MAX_KEY } else { MAX_NAME };
        match &mut self.word {
            Some(word) if word.len() + text.len() <= limit => word.extend_from_slice(text),
            word => *word = None,
        }
    }

    fn close_string(&mut self) {
        self.lexeme = Lexeme::Between;
        if self.in_key {
            self.in_key = false;
            let place = self.top().place;
            self.slot = match &self.word {
                Some(key) if place != Place::Elsewhere => slot(place, key),
                _ => Slot::Nothing,
            };
            return;
        }
        let kept = match self.slot {
            Slot::Model if self.model.is_none() => &mut self.model,
            Slot::Tier => &mut self.tier,
            Slot::Finish => &mut self.finish,
            Slot::FinishDetail => &mut self.finish_detail,
            Slot::Error => {
                self.errored = true;
                return;
            }
            _ => return,
        };
        let Some(word) = &self.word else { return };
        if kept.as_ref().is_none_or(|old| old.as_bytes() != word) {
            *kept = Some(String::from_utf8_lossy(word).into_owned());
        }
    }

    fn keep_usage(&mut self, bytes: &[u8]) {
        // One byte over the limit is kept, so that a cut block is never taken for a whole one.
        let room = (MAX_USAGE + 1).saturating_sub(self.last_usage.len());
        self.last_usage.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_usage(&mut self) {
        self.usage_depth = None;
        self.usage_is_whole = self.last_usage.len() <= MAX_USAGE;
        self.document_has_usage = true;
        if self.first_usage.is_none() && self.usage_is_whole {
            self.first_usage = Some(self.last_usage.clone());
        }
    }

    pub(super) fn document_has_usage(&self) -> bool {
        self.document_has_usage
    }

    pub(super) fn document_choices(&self) -> Choices {
        self.choices
    }

    /// The first usage block and the last whole one.
    pub(super) fn usage(&self) -> Option<(&[u8], &[u8])> {
        let first = self.first_usage.as_deref()?;
        Some((first, if self.usage_is_whole { &self.last_usage } else { first }))
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    pub(super) fn finish_reason(&self) -> Option<&str> {
        if self.errored {
            return Some("error");
        }
        self.finish_detail.as_deref().or(self.finish.as_deref())
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}

/// What stands under `key` in an object of the kind `place`.
fn slot(place: Place, key: &[u8]) -> Slot {
    match (place, key) {
        (Place::Root, b"usageMetadata") | (Place::Root | Place::Inner, b"usage") => Slot::Usage,
        (Place::Root, b"response" | b"message" | b"x_groq" | b"interaction") => Slot::Enter(Place::Inner),
        (Place::Root, b"choices") => Slot::Choices,
        (Place::Root, b"candidates") => Slot::Enter(Place::Candidate),
        (Place::Root, b"modelVersion") | (Place::Root | Place::Inner, b"model") => Slot::Model,
        (Place::Root | Place::Inner, b"service_tier") => Slot::Tier,
        (Place::Root | Place::Inner, b"status")
        | (Place::Root | Place::Inner | Place::Generated, b"stop_reason")
        | (Place::Choice, b"finish_reason")
        | (Place::Candidate, b"finishReason") => Slot::Finish,
        (Place::Root | Place::Inner, b"incomplete_details") => Slot::Enter(Place::IncompleteDetails),
        (Place::IncompleteDetails, b"reason") => Slot::FinishDetail,
        (Place::Root | Place::Inner, b"error") => Slot::Error,
        // What was generated: Responses and Anthropic stream it under `delta`; whole answers have it
        // in `content` (Anthropic) and `output` (Responses).
        (Place::Root, b"delta" | b"content" | b"output")
        | (Place::Choice, b"delta" | b"message" | b"text")
        | (Place::Candidate, b"content")
        | (
            Place::Generated,
            b"content" | b"text" | b"thinking" | b"partial_json" | b"arguments" | b"reasoning"
            | b"reasoning_content" | b"refusal",
        ) => Slot::Text,
        (Place::Generated, _) => Slot::Enter(Place::Generated),
        _ => Slot::Nothing,
    }
}
