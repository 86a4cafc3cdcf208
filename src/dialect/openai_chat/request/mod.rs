//! Chat Completions requests: read into the neutral conversation, and written from it.

mod message;
mod parse;
mod render;
mod thinking;
mod tools;
mod turns;

pub use parse::parse;
pub use render::render;

#[cfg(test)]
mod tests;
