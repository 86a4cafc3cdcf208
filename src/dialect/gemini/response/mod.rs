//! Gemini answers: read into the neutral conversation, and written from it.

mod parse;
mod render;
mod time;

pub use parse::{parse, saying};
pub use render::render;
pub use time::{seconds, stamp};

#[cfg(test)]
mod tests;
