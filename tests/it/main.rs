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

mod attacks;
mod bodies;
mod budgets;
mod cut;
mod errors;
mod exchange;
mod faults;
mod guardrail;
mod keys;
mod leave;
mod ledger;
mod limits;
mod load;
mod permissions;
mod process;
mod protocols;
mod replay;
mod secrets;
mod security_log;
mod support;
mod tokens;
mod translate;
mod translate_plan;
mod translate_state;
