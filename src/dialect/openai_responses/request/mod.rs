//! Responses requests: read into the neutral conversation, and written from it.

mod hosted;
mod input;
mod output;
mod parse;
mod render;
mod tools;

pub use parse::parse;
pub use render::render;
