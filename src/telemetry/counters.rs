//! How the shared counters are doing, in numbers.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::register;
use crate::store::{ROUND_TRIPS, RedisStats};

#[derive(Debug)]
pub(super) struct CountersMetrics {
    connected: IntGauge,
    replicas: IntGauge,
    queued: IntGauge,
    decisions: IntCounter,
    here: IntCounter,
    late: IntCounter,
    errors: IntCounter,
    /// Cumulative, as a histogram's buckets are: the store measures, and this shows.
    round_trips: IntGaugeVec,
}

impl CountersMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            register(registry, IntGauge::new(format!("tollgate_counters_{name}"), help)?)
        };
        let counter = |name: &str, help: &str| {
            register(registry, IntCounter::new(format!("tollgate_counters_{name}"), help)?)
        };
        Ok(Self {
            connected: gauge("connected", "1 while all of the shared counters answer.")?,
            replicas: gauge("replicas", "Replicas that share the counters, as far as is known.")?,
            queued: gauge("queue", "Changes that the shared counters have not been told yet.")?,
            decisions: counter("decisions_total", "Decisions about limits and budgets.")?,
            here: counter("decisions_here_total", "Decisions made by this replica's own share.")?,
            late: counter("decisions_late_total", "Decisions that were not answered in time.")?,
            errors: counter("errors_total", "Errors of the shared counters that are not their being away.")?,
            round_trips: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "tollgate_counters_round_trips",
                        "Round trips of decisions that took up to so many microseconds.",
                    ),
                    &["up_to"],
                )?,
            )?,
        })
    }

    pub(super) fn set(&self, stats: &RedisStats) {
        let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.connected.set(i64::from(stats.connected));
        self.replicas.set(int(stats.replicas));
        self.queued.set(i64::try_from(stats.queued).unwrap_or(i64::MAX));
        for (counter, now) in [
            (&self.decisions, stats.decisions),
            (&self.here, stats.decisions_here),
            (&self.late, stats.late),
            (&self.errors, stats.errors),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        let mut sum = 0;
        let bounds = ROUND_TRIPS.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&stats.round_trips) {
            sum += count;
            self.round_trips.with_label_values(&[&*bound]).set(int(sum));
        }
    }
}
