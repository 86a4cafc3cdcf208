//! What the gateway tells its operator: metrics, the access log, its own log.

mod access_log;
mod counters;
mod defences;
mod logging;
pub mod metrics;
mod recorder;
mod security;
mod watch;

pub use logging::{Guard, init as init_logging};
pub use metrics::Metrics;
pub use recorder::{Record, Recorder};
pub use security::{Event, Security};
pub use watch::BudgetWatch;
