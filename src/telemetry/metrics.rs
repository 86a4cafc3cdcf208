//! Prometheus metrics. Labels come from closed sets: a client cannot make new time series.

use std::collections::HashSet;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};
use rust_decimal::prelude::ToPrimitive as _;
use tollgate_filters::usage::Row;

use super::counters::CountersMetrics;
use super::defences::Defences;
use super::recorder::Record;
use super::security::{self, Security};
use crate::jwks;
use crate::provider::Provider;
use crate::store::{LedgerStats, RedisStats, ResponsesStats};

/// What a client names that is no known model.
const OTHER: &str = "other";

/// From a cache hit to a long reasoning stream.
const SECONDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Model names that may be labels.
    models: HashSet<String>,
    requests: IntCounterVec,
    attempts: IntCounterVec,
    duration: HistogramVec,
    first_byte: HistogramVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    estimated: IntCounterVec,
    translated: IntCounterVec,
    lossy: IntCounterVec,
    total_mismatch: IntCounterVec,
    defences: Defences,
    counters: CountersMetrics,
    /// Exchanges under way.
    pub in_flight: IntGauge,
    /// For each provider by its index: connections from the pool, and new ones.
    connections: Vec<[IntCounter; 2]>,
    ledger_queue: IntGauge,
    ledger_failing: IntGauge,
    ledger_written: IntCounter,
    ledger_spilled: IntCounter,
    ledger_lost: IntCounter,
    responses_queue: IntGauge,
    responses_failing: IntGauge,
    responses_written: IntCounter,
    responses_lost: IntCounter,
    reasoning_entries: IntGauge,
    reasoning_bytes: IntGauge,
}

impl Metrics {
    /// `models` are the names that may stand in a label.
    pub fn new(models: HashSet<String>, providers: &[Provider]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(format!("tollgate_{name}"), help), labels)?)
        };
        let counter =
            |name: &str, help: &str| register(&registry, IntCounter::new(format!("tollgate_{name}"), help)?);
        let gauge =
            |name: &str, help: &str| register(&registry, IntGauge::new(format!("tollgate_{name}"), help)?);
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(format!("tollgate_{name}"), help).buckets(SECONDS.to_vec());
            register(&registry, HistogramVec::new(opts, labels)?)
        };
        let used = counters(
            "upstream_connections_total",
            "Connections used for attempts, new or from the pool.",
            &["provider", "connection"],
        )?;
        let connections = providers
            .iter()
            .map(|p| ["reused", "new"].map(|kind| used.with_label_values(&[&*p.name, kind])))
            .collect();
        Ok(Self {
            requests: counters(
                "requests_total",
                "Exchanges, by what the client asked for and the status it got (0: it left before).",
                &["dialect", "operation", "status"],
            )?,
            attempts: counters(
                "attempts_total",
                "Attempts that reached a provider, by its status (0: it sent none).",
                &["provider", "status"],
            )?,
            duration: histogram(
                "request_duration_seconds",
                "From the request's header to the end of its answer.",
                &["dialect", "operation"],
            )?,
            first_byte: histogram(
                "time_to_first_byte_seconds",
                "From an attempt's start to the first byte of the provider's answer.",
                &["provider"],
            )?,
            tokens: counters(
                "tokens_total",
                "Tokens by kind; the kinds beside `input` and `output` are parts of these.",
                &["provider", "model", "kind"],
            )?,
            cost: register(
                &registry,
                CounterVec::new(
                    Opts::new(
                        "tollgate_cost_usd_total",
                        "What attempts cost in US dollars, where the price is known.",
                    ),
                    &["provider", "model"],
                )?,
            )?,
            estimated: counters("estimated_total", "Attempts whose tokens are an estimate.", &["provider"])?,
            translated: counters(
                "translated_total",
                "Attempts whose request was made in another dialect than the client's.",
                &["from", "to"],
            )?,
            lossy: counters(
                "lossy_total",
                "Translated attempts of which something could not be carried, in the request or in the answer.",
                &["from", "to", "part"],
            )?,
            total_mismatch: counters(
                "usage_total_mismatch_total",
                "Exchanges with a reported total that was not the sum of its parts; the parts were believed.",
                &["provider"],
            )?,
            defences: Defences::new(&registry)?,
            counters: CountersMetrics::new(&registry)?,
            in_flight: gauge("exchanges_in_flight", "Exchanges under way.")?,
            connections,
            ledger_queue: gauge("ledger_queue_rows", "Usage rows that wait in memory for the ledger.")?,
            ledger_failing: gauge("ledger_failing", "1 while the ledger does not take rows.")?,
            ledger_written: counter("ledger_written_rows_total", "Usage rows in the ledger.")?,
            ledger_spilled: counter(
                "ledger_spilled_rows_total",
                "Usage rows that went to the spill file first.",
            )?,
            ledger_lost: counter(
                "ledger_lost_rows_total",
                "Usage rows that neither the ledger nor the disk took.",
            )?,
            responses_queue: gauge("responses_queue", "Stored responses that wait in memory for the disk.")?,
            responses_failing: gauge("responses_failing", "1 while the response store does not take any.")?,
            responses_written: counter("responses_written_total", "Responses in the store.")?,
            responses_lost: counter("responses_lost_total", "Responses that the store did not take.")?,
            reasoning_entries: gauge("reasoning_memory_entries", "Turns whose reasoning is remembered.")?,
            reasoning_bytes: gauge("reasoning_memory_bytes", "About how much memory they take.")?,
            registry,
            models,
        })
    }

    /// A connection to the provider with this index is used.
    pub fn connected(&self, provider: usize, reused: bool) {
        if let Some([pooled, new]) = self.connections.get(provider) {
            if reused { pooled.inc() } else { new.inc() }
        }
    }

    /// Counts and logs what happened to the gateway's defences.
    pub fn security(&self, what: Security, event: &security::Event<'_>) {
        self.defences.security.with_label_values(&[what.as_str()]).inc();
        security::log(what, event);
    }

    /// A guardrail found something.
    pub fn found(&self, what: &str, action: &str, side: &str, count: u64) {
        self.defences.found.with_label_values(&[what, action, side]).inc_by(count);
    }

    pub(super) fn count(&self, record: &Record) {
        let (dialect, operation) = record.asked.map_or((OTHER, OTHER), |(d, o)| (d.as_str(), o.as_str()));
        self.requests.with_label_values(&[dialect, operation, status(record.status)]).inc();
        self.duration.with_label_values(&[dialect, operation]).observe(record.duration.as_secs_f64());
        for row in &record.rows {
            self.count_attempt(row);
        }
        if record.total_disagrees
            && let Some(row) = record.rows.last()
        {
            self.total_mismatch.with_label_values(&[&*row.provider]).inc();
        }
    }

    fn count_attempt(&self, row: &Row) {
        let provider = &*row.provider;
        self.attempts.with_label_values(&[provider, status(row.status)]).inc();
        if let Some(ttfb) = row.ttfb_ms {
            self.first_byte.with_label_values(&[provider]).observe(ttfb / 1e3);
        }
        if !row.measured {
            self.estimated.with_label_values(&[provider]).inc();
        }
        if let Some(to) = row.translated_to {
            let (from, to) = (row.dialect.as_str(), to.as_str());
            self.translated.with_label_values(&[from, to]).inc();
            for (part, losses) in [("request", &row.request_losses), ("answer", &row.answer_losses)] {
                if losses.is_some() {
                    self.lossy.with_label_values(&[from, to, part]).inc();
                }
            }
        }
        let named = row.model.as_deref().unwrap_or(OTHER);
        let model = if self.models.contains(named) { named } else { OTHER };
        let usage = &row.usage;
        for (kind, tokens) in [
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write_5m", usage.cache_write_5m_tokens),
            ("cache_write_1h", usage.cache_write_1h_tokens),
            ("audio_input", usage.audio_input_tokens),
            ("image_input", usage.image_input_tokens),
            ("tool_input", usage.tool_input_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
            ("audio_output", usage.audio_output_tokens),
            ("image_output", usage.image_output_tokens),
        ] {
            if tokens > 0 {
                self.tokens.with_label_values(&[provider, model, kind]).inc_by(tokens);
            }
        }
        if let Some(cost) = row.cost.and_then(|cost| cost.to_f64()).filter(|cost| *cost > 0.0) {
            self.cost.with_label_values(&[provider, model]).inc_by(cost);
        }
    }

    /// The page that Prometheus reads.
    /// `reasoning` is how many turns are remembered, and their bytes.
    pub(crate) fn render(
        &self,
        counters: Option<RedisStats>,
        issuers: Vec<jwks::Stats>,
        ledger: LedgerStats,
        responses: ResponsesStats,
        reasoning: (usize, u64),
    ) -> Vec<u8> {
        if let Some(counters) = counters {
            self.counters.set(&counters);
        }
        self.defences.issuers(issuers);
        self.ledger_queue.set(i64::try_from(ledger.queued).unwrap_or(i64::MAX));
        self.ledger_failing.set(i64::from(ledger.failing));
        self.reasoning_entries.set(i64::try_from(reasoning.0).unwrap_or(i64::MAX));
        self.reasoning_bytes.set(i64::try_from(reasoning.1).unwrap_or(i64::MAX));
        self.responses_queue.set(i64::try_from(responses.queued).unwrap_or(i64::MAX));
        self.responses_failing.set(i64::from(responses.failing));
        for (counter, now) in [
            (&self.ledger_written, ledger.written),
            (&self.ledger_spilled, ledger.spilled),
            (&self.ledger_lost, ledger.lost),
            (&self.responses_written, responses.written),
            (&self.responses_lost, responses.lost + responses.too_large),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        let mut page = Vec::new();
        // Writing to memory fails for no reason that a reader could do something about.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut page);
        page
    }
}

pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Statuses as labels: those that tell something by themselves, the others by their class.
fn status(status: u16) -> &'static str {
    match status {
        0 => "0",
        200 => "200",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        408 => "408",
        413 => "413",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        529 => "529",
        100..=199 => "1xx",
        201..=299 => "2xx",
        300..=399 => "3xx",
        402..=499 => "4xx",
        _ => "5xx",
    }
}
