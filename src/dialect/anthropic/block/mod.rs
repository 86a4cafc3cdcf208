//! Content blocks: what messages of this dialect consist of.

mod media;
mod read;
pub(super) mod server;
mod write;

pub(super) use read::{annotation, lenient, part};
pub(super) use write::{Aim, MAX_NAME, Writer, citation, clean_id};
