//! Reasoning across turns for clients that cannot send it back: what an answer thought is noted under its tool
//! calls, or under its text, and put back where it stood when the client shows these again.
//!
//! Anthropic and Gemini refuse a tool loop from which their thinking, or its signature, is missing, and most
//! dialects have no place where a client would return it.

mod key;
mod listen;
mod note;
mod restore;

use std::collections::HashMap;
use std::sync::Arc;

use crate::chat::{Content, Part, Reasoning};

pub use key::{Asked, Key};
pub use listen::Listener;
pub use note::note;
pub use restore::Gaps;
#[cfg(test)]
use restore::restore;

/// What was found under some keys.
pub type Recalled = HashMap<Key, Arc<[Remembered]>>;

/// One piece of reasoning, and where it stood in its stretch: what lies between one tool call and the next, or a
/// whole turn without calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub reasoning: Reasoning,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After so much of the stretch's text, in bytes that are no white space.
    Text(usize),
    /// Behind all of the text, directly before the call.
    Close,
}

impl Remembered {
    /// About how many bytes of memory it takes.
    pub fn size(&self) -> usize {
        let thoughts: usize = self.reasoning.thoughts.iter().map(|t| t.text.len() + 32).sum();
        let seal = self.reasoning.seal.as_ref().map_or(0, |seal| seal.data.len());
        size_of::<Self>() + thoughts + seal + self.reasoning.id.as_ref().map_or(0, String::len)
    }
}

/// How much text a part holds. White space does not count: dialects join texts in different ways, and clients trim.
fn length(part: &Part) -> usize {
    words(part).bytes().filter(|byte| !byte.is_ascii_whitespace()).count()
}

/// What a part says to the reader.
fn words(part: &Part) -> &str {
    match &part.content {
        Content::Text(text) => &text.text,
        Content::Refusal(text) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests;
