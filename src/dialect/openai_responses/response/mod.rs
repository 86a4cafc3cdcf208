//! Responses answers: read into the neutral conversation, and written from it.
//!
//! A `response` object repeats most of its request. What is only repeated is kept in the envelope ([`ENVELOPE`]) and is
//! no loss in another dialect; towards a client it is written from `client.echo`, with OpenAI's defaults.
//!
//! [`ENVELOPE`]: tollgate_filters::chat::ENVELOPE

mod finish;
mod parse;
mod render;
mod skeleton;

pub(super) use finish::{outcome, read as finish};
pub use parse::parse;
pub(super) use parse::{head, read_item};
pub use render::render;
pub(super) use skeleton::skeleton;
