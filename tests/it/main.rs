//! Tests on real sockets against the built binary; one file per behaviour. Only the provider is played.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::format_push_string,
    clippy::similar_names
)]

mod bodies;
mod errors;
mod exchange;
mod faults;
mod keys;
mod ledger;
mod load;
mod process;
mod protocols;
mod replay;
mod support;
mod translate;
mod translate_plan;
mod translate_state;
