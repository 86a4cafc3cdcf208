//! Noting what a stream thinks, while it passes: of the text only a hash is kept, and thoughts within a bound.

use super::Remembered;
use super::key::{Asked, Key, Said};
use super::note::{Piece, Turn};
use crate::chat::{Delta, Event, Opening, Reasoning, Thought};

/// The most that one answer may think and be remembered, in bytes.
const MOST: usize = 4 * 1024 * 1024;
/// The most parts of one answer.
const PARTS: usize = 4096;

/// Hears the events of one answer. Does for a stream what [`note`](super::note) does for a document.
#[derive(Debug)]
pub struct Listener {
    asked: Asked,
    turns: Vec<Turn>,
    bytes: usize,
    parts: usize,
    /// It thought more than can be kept: a part of it would be refused.
    over: bool,
}

impl Listener {
    /// `asked` is what the stream answers.
    pub fn new(asked: Asked) -> Self {
        Self { asked, turns: Vec::new(), bytes: 0, parts: 0, over: false }
    }

    pub fn hear(&mut self, event: &Event) {
        if self.over {
            return;
        }
        match event {
            Event::Open { choice, opening, .. } => self.open(*choice, opening),
            Event::Delta { choice, part, delta } => self.add(*choice, *part, delta),
            _ => {}
        }
        if self.bytes > MOST || self.parts > PARTS {
            self.over = true;
            self.turns = Vec::new();
        }
    }

    /// The stream has ended. `answer` as for [`note`](super::note).
    pub fn note(self, answer: &str, mut remember: impl FnMut(Key, Vec<Remembered>)) {
        for turn in self.turns {
            turn.note(&self.asked, answer, &mut remember);
        }
    }

    fn open(&mut self, choice: u32, opening: &Opening) {
        let piece = match opening {
            Opening::Reasoning { id } => Piece::Thought(Reasoning { id: id.clone(), ..Reasoning::default() }),
            Opening::Text | Opening::Refusal => Piece::Words(0),
            Opening::ToolCall(call) => {
                self.bytes += call.id.len() + call.name.len();
                Piece::Call { id: call.id.clone(), name: call.name.clone() }
            }
            Opening::Server(_) | Opening::Media(_) | Opening::Opaque(_) => Piece::Act,
        };
        self.parts += 1;
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.choice == choice) {
            turn.pieces.push(piece);
        } else {
            self.turns.push(Turn { choice, pieces: vec![piece], said: Said::new(&self.asked) });
        }
    }

    fn add(&mut self, choice: u32, part: u32, delta: &Delta) {
        let Some(turn) = self.turns.iter_mut().find(|turn| turn.choice == choice) else { return };
        match (turn.pieces.get_mut(part as usize), delta) {
            (Some(Piece::Words(length)), Delta::Text(text)) => {
                let before = turn.said.length;
                turn.said.add(text);
                *length += turn.said.length - before;
            }
            (Some(Piece::Thought(reasoning)), Delta::Thought { summary, new, text }) => {
                self.bytes += text.len();
                match reasoning.thoughts.last_mut() {
                    Some(last) if !new && last.summary == *summary => last.text.push_str(text),
                    _ => {
                        self.bytes += size_of::<Thought>();
                        reasoning.thoughts.push(Thought { summary: *summary, text: text.clone() });
                    }
                }
            }
            (Some(Piece::Thought(reasoning)), Delta::Seal(seal)) => {
                self.bytes += seal.data.len();
                reasoning.seal = Some(seal.clone());
            }
            _ => {}
        }
    }
}
