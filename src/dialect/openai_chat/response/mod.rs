//! Chat Completions answers: read into the neutral conversation, and written from it.

mod parse;
mod render;

pub use parse::parse;
pub(super) use parse::{finish, images};
pub use render::render;
pub(super) use render::word;

#[cfg(test)]
mod tests;
