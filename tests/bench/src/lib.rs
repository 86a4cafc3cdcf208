//! What Tollgate costs: a load generator, process accounting and a mock's answers, shared by the bench binaries.

pub mod child;
pub mod cli;
pub mod dialect;
pub mod load;
pub mod phase;
pub mod procfs;
pub mod report;
pub mod shape;
pub mod wire;

/// Any failure ends the run, so one boxed error with a clear sentence is enough.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Error> = std::result::Result<T, E>;
