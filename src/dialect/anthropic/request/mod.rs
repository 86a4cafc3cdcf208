//! Messages requests: read into the neutral conversation, and written from it.

mod choice;
mod format;
mod parse;
mod render;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod turns;

pub use parse::parse;
pub use render::render;
