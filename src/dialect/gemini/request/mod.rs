//! Gemini requests: read into the neutral conversation, and written from it.

mod config;
mod contents;
mod parse;
mod render;
mod thinking;
mod tools;

pub use parse::{parse, tier};
pub use render::render;

#[cfg(test)]
mod tests;
