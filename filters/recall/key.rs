//! What reasoning is remembered under.

use sha2::{Digest as _, Sha256};

use super::words;
use crate::chat::{Content, Message, Part, Request, Role};

/// What reasoning is remembered under, within one organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The id of a tool call, which no other call has.
    Call(String),
    /// A hash of what the model said and what it was an answer to.
    Content([u8; 32]),
}

impl Key {
    /// The key of a call that has an id. Ids that are counted (`call_0`, `functions.search:0`) come back in every
    /// conversation; under them alone, one would get the thoughts of another.
    pub(super) fn call(id: &str, name: &str, asked: &Asked) -> Self {
        let unique = is_unique(id, name);
        let id = spelled(id);
        if unique {
            return Self::Call(id);
        }
        let mut hash = asked.begin("call");
        hash.update(id.as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        Self::Content(hash.finalize().into())
    }

    /// The key of the call without an id that is number `nth` of such calls in the answer to which the gateway gave
    /// the id `answer`.
    pub(super) fn nameless(answer: &str, nth: usize) -> Self {
        Self::Call(format!("{}/{nth}", spelled(answer)))
    }

    /// The key of a turn without calls; `None` if it says nothing.
    pub(super) fn turn<'a>(parts: impl Iterator<Item = &'a Part>, asked: &Asked) -> Option<Self> {
        let mut said = Said::new(asked);
        parts.for_each(|part| said.add(words(part)));
        said.key()
    }
}

/// What the model says in a turn, as it comes. White space does not count.
#[derive(Debug)]
pub(super) struct Said {
    hash: Sha256,
    pub(super) length: usize,
}

impl Said {
    pub(super) fn new(asked: &Asked) -> Self {
        Self { hash: asked.begin("assistant"), length: 0 }
    }

    pub(super) fn add(&mut self, text: &str) {
        self.length += squeeze(&mut self.hash, text);
    }

    pub(super) fn key(self) -> Option<Key> {
        (self.length > 0).then(|| Key::Content(self.hash.finalize().into()))
    }
}

/// What the model was asked last: a hash of the user's words and the tools' results since it spoke before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked([u8; 32]);

impl Asked {
    /// What `request` asks. To be kept until the answer is there.
    pub fn of(request: &Request) -> Self {
        Self::before(&request.messages)
    }

    /// What stood last in `messages`.
    pub(super) fn before(messages: &[Message]) -> Self {
        let last =
            messages.iter().rposition(|message| message.role == Role::Assistant).map_or(0, |at| at + 1);
        let mut hash = Sha256::new();
        for message in messages[last..].iter().filter(|message| message.role == Role::User) {
            for part in &message.parts {
                match &part.content {
                    Content::ToolResult(result) => result.parts.iter().for_each(|part| add(&mut hash, part)),
                    _ => add(&mut hash, part),
                }
            }
        }
        Self(hash.finalize().into())
    }

    fn begin(&self, role: &str) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(role.as_bytes());
        hash.update(self.0);
        hash
    }
}

fn add(hash: &mut Sha256, part: &Part) {
    squeeze(hash, words(part));
}

/// Hashes `text` without its white space; says how much that was. A long conversation is hashed on every turn, so
/// this collects a block before it bothers the hash.
fn squeeze(hash: &mut Sha256, text: &str) -> usize {
    let mut block = [0; 512];
    let (mut held, mut length) = (0, 0);
    for byte in text.bytes() {
        block[held] = byte;
        held += usize::from(!byte.is_ascii_whitespace());
        if held == block.len() {
            hash.update(block);
            length += held;
            held = 0;
        }
    }
    hash.update(&block[..held]);
    length + held
}

/// The id of an answer whose calls had none, in the id that the client got for one of them: `call_tg_<answer>_<n>`.
pub(super) fn answer_of(id: &str) -> Option<&str> {
    let (answer, number) = id.strip_prefix("call_tg_")?.rsplit_once('_')?;
    let counted = !answer.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    counted.then_some(answer)
}

/// An id as the strictest dialect (Anthropic) writes it: the client may have got it that way.
fn spelled(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// Whether an id has a part that is neither a number, nor a word that many ids have, nor the tool's name.
fn is_unique(id: &str, name: &str) -> bool {
    const SHORTEST: usize = 8;
    const WORDS: [&str; 6] = ["chatcmpl", "function", "functions", "functioncall", "toolcall", "toolcalls"];
    id.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|token| token.len() >= SHORTEST && !name.contains(token) && !WORDS.contains(&token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_counted_is_no_key_by_itself() {
        for (id, name) in [
            ("call_0", "search"),
            ("functions.search_everything:12", "search_everything"),
            ("chatcmpl-tool-1", "f"),
            ("getWeather-3", "getWeather"),
        ] {
            assert!(!is_unique(id, name), "{id}");
        }
        for id in [
            "toolu_01A09q90qw90lq917835lq9",
            "call_5YJ4cT3dPbkqnLm0Uu4NVd8w",
            "D681PevKs",
            "gk1pt9dj",
            "chatcmpl-tool-6f1d7b3f0c2e4a58",
            "0195f3a0-7c51-7d4f-8d2e-0123456789ab",
        ] {
            assert!(is_unique(id, "get_weather"), "{id}");
        }
    }

    #[test]
    fn the_answer_is_read_from_an_id_that_the_gateway_made() {
        assert_eq!(answer_of("call_tg_0195f3a07c51_2"), Some("0195f3a07c51"));
        // The form for requests of Gemini clients names no answer.
        for other in ["call_tg_3", "call_tg__3", "call_tg_abc_", "call_tg_abc_x", "toolu_1_2"] {
            assert_eq!(answer_of(other), None, "{other}");
        }
    }
}
