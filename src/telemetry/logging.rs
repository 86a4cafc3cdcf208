//! Where log lines go: the gateway's own to stderr as JSON, the access log to stdout, both without waiting.

use std::io::{BufWriter, Write as _, stderr, stdout};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use super::access_log;

/// Keeps the log writers alive; what is still on its way is written when it is dropped.
#[derive(Debug)]
pub struct Guard {
    _writers: [WorkerGuard; 2],
}

/// Sets up logging for the process. `RUST_LOG` filters the gateway's own log; the default is `info`
/// for the gateway and `error` for Pingora, whose warnings are told as errors of exchanges already.
/// An embedding process with a subscriber of its own keeps that.
pub fn init() -> Guard {
    let (own, own_guard) = tracing_appender::non_blocking(stderr());
    let (access, access_guard) =
        tracing_appender::non_blocking(BufWriter::with_capacity(64 * 1024, stdout()));
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,pingora=off,pingora_core=off,pingora_proxy=off"));
    let own = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(own)
        .with_filter(filter)
        .with_filter(filter_fn(|meta| meta.target() != access_log::TARGET));
    let access =
        AccessLayer { writer: access }.with_filter(filter_fn(|meta| meta.target() == access_log::TARGET));
    let _ = tracing_subscriber::registry().with(own).with(access).try_init();
    Guard { _writers: [own_guard, access_guard] }
}

/// Writes access-log events as they are: the recorder has made the line already.
struct AccessLayer {
    writer: NonBlocking,
}

impl<S: Subscriber> Layer<S> for AccessLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Line(&self.writer));
    }
}

struct Line<'a>(&'a NonBlocking);

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, line: &str) {
        if field.name() == access_log::FIELD {
            // The writer drops lines rather than make anybody wait; nothing to be done about it here.
            let _ = self.0.clone().write_all(line.as_bytes());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
