//! Noting what an answer thought.

use super::key::{Asked, Key, Said};
use super::{Place, Remembered, length, words};
use crate::chat::{Choice, Content, Maker, Part, Reasoning, Response};

/// Hands what `response` thought to `remember`, stretch by stretch. `asked` is what it answers, and `answer` the id that
/// the gateway made for it ([`Client::id`](crate::chat::Client)), which stands in the ids of calls that had none.
/// Streams have [`Listener`](super::Listener).
pub fn note(
    response: &Response,
    asked: &Asked,
    answer: &str,
    mut remember: impl FnMut(Key, Vec<Remembered>),
) {
    for choice in &response.choices {
        let mut said = Said::new(asked);
        choice.parts.iter().for_each(|part| said.add(words(part)));
        let turn = Turn { choice: choice.index, pieces: pieces(choice), said };
        turn.note(asked, answer, &mut remember);
    }
}

fn pieces(choice: &Choice) -> Vec<Piece> {
    let piece = |part: &Part| match &part.content {
        Content::Reasoning(reasoning) => Piece::Thought(reasoning.clone()),
        Content::Text(_) | Content::Refusal(_) => Piece::Words(length(part)),
        Content::ToolCall(call) => Piece::Call { id: call.id.clone(), name: call.name.clone() },
        _ => Piece::Act,
    };
    choice.parts.iter().map(piece).collect()
}

/// What of a part matters for remembering.
#[derive(Debug)]
pub(super) enum Piece {
    Thought(Reasoning),
    /// So much text.
    Words(usize),
    Call {
        id: String,
        name: String,
    },
    /// The model used a tool of its provider's, or drew a picture: blocks that do not come back.
    Act,
}

/// One choice of an answer.
#[derive(Debug)]
pub(super) struct Turn {
    pub choice: u32,
    pub pieces: Vec<Piece>,
    pub said: Said,
}

impl Turn {
    pub(super) fn note(self, asked: &Asked, answer: &str, remember: &mut impl FnMut(Key, Vec<Remembered>)) {
        let mut stretch = Stretch::default();
        let (mut calls, mut nameless) = (0, 0);
        for piece in self.pieces {
            match piece {
                Piece::Thought(reasoning) => stretch.think(reasoning),
                Piece::Words(length) => stretch.speak(length),
                Piece::Act => stretch.act(),
                Piece::Call { id, name } => {
                    calls += 1;
                    let thought = stretch.end();
                    let key = if id.is_empty() {
                        nameless += 1;
                        // Which choice the client went on with cannot be told from such ids.
                        (self.choice == 0).then(|| Key::nameless(answer, nameless - 1))
                    } else {
                        Some(Key::call(&id, &name, asked))
                    };
                    if let Some(key) = key.filter(|_| !thought.is_empty()) {
                        remember(key, thought);
                    }
                }
            }
        }
        let thought = stretch.end();
        if calls == 0
            && !thought.is_empty()
            && let Some(key) = self.said.key()
        {
            remember(key, thought);
        }
    }
}

/// What was thought and said since the last tool call.
#[derive(Default)]
struct Stretch {
    thought: Vec<Remembered>,
    said: usize,
    /// How many of the thoughts something else has followed.
    settled: usize,
}

impl Stretch {
    fn think(&mut self, reasoning: Reasoning) {
        if reasoning.seal.is_some() || reasoning.thoughts.iter().any(|thought| !thought.text.is_empty()) {
            self.thought.push(Remembered { reasoning, place: Place::Text(self.said) });
        }
    }

    fn speak(&mut self, length: usize) {
        if length > 0 {
            self.said += length;
            self.settled = self.thought.len();
        }
    }

    /// OpenAI wants reasoning to be followed by what it led to, and Gemini's signature is that of the next part:
    /// without it they are worth nothing. Anthropic's thinking stands for itself.
    fn act(&mut self) {
        let mut at = 0;
        self.thought.retain(|remembered| {
            let maker = remembered.reasoning.seal.as_ref().map(|seal| seal.maker);
            let bound = matches!(maker, Some(Maker::Openai | Maker::Gemini));
            at += 1;
            at <= self.settled || !bound
        });
        self.settled = self.thought.len();
    }

    /// Ends the stretch and gives out what was thought in it.
    fn end(&mut self) -> Vec<Remembered> {
        let Self { mut thought, said, .. } = std::mem::take(self);
        for remembered in &mut thought {
            // Where nothing was said, the start of the stretch is meant: a client may show an empty text there.
            if said > 0 && remembered.place == Place::Text(said) {
                remembered.place = Place::Close;
            }
        }
        thought
    }
}
