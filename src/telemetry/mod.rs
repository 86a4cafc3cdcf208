//! What the gateway tells its operator: metrics, the access log, its own log.

mod access_log;
mod logging;
pub mod metrics;
mod recorder;

pub use logging::{Guard, init as init_logging};
pub use metrics::Metrics;
pub use recorder::{Record, Recorder};
