//! One JSON line per exchange.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;
use serde::Serialize;
use tollgate_filters::exchange::Dialect;
use tollgate_filters::usage::{ClientLeft, Row};

use super::recorder::Record;

/// The target of access-log events; their one field is the finished line.
pub(super) const TARGET: &str = "tollgate::access";
pub(super) const FIELD: &str = "line";

/// What the log says of an exchange. Fields that say nothing are left out.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    client: Option<IpAddr>,
    method: &'a str,
    path: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_ms: Option<f64>,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    attempts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<AnsweredBy<'a>>,
}

/// The last attempt: what it used, and what that cost.
#[derive(Serialize)]
struct AnsweredBy<'a> {
    provider: &'a str,
    model: Option<&'a str>,
    stream: bool,
    finish_reason: Option<&'a str>,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    measured: bool,
    cost: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    translated_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_losses: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_losses: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_left: Option<ClientLeft>,
}

impl<'a> From<&'a Row> for AnsweredBy<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            provider: &row.provider,
            model: row.model_answered.as_deref().or(row.model.as_deref()),
            stream: row.stream,
            finish_reason: row.finish_reason.as_deref(),
            input_tokens: row.usage.input_tokens,
            cached_input_tokens: row.usage.cached_input_tokens,
            output_tokens: row.usage.output_tokens,
            measured: row.measured,
            cost: row.cost,
            translated_to: row.translated_to.map(Dialect::as_str),
            request_losses: row.request_losses.as_deref(),
            answer_losses: row.answer_losses.as_deref(),
            client_left: row.client_left,
        }
    }
}

/// Logs `record` as one line.
pub(super) fn log(record: &Record) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(record.time);
    let caller = record.caller.as_deref();
    let line = Line {
        time: humantime::format_rfc3339_millis(time).to_string(),
        request_id: &record.request_id,
        client_request_id: record.client_request_id.as_deref(),
        traceparent: record.traceparent.as_deref(),
        client: record.client,
        method: record.method.as_str(),
        path: &record.path,
        status: record.status,
        error: record.error.as_deref(),
        duration_ms: millis(record.duration),
        ttfb_ms: record.ttfb.map(millis),
        request_bytes: record.request_bytes,
        response_bytes: record.response_bytes,
        org: caller.map(|c| &*c.org),
        user: caller.and_then(|c| c.user.as_deref()),
        key: caller.and_then(|c| c.key()).map(|key| &**key),
        dialect: record.asked.map(|(dialect, _)| dialect.as_str()),
        operation: record.asked.map(|(_, operation)| operation.as_str()),
        attempts: record.rows.len(),
        answered_by: record.rows.last().map(Into::into),
    };
    let Ok(mut text) = serde_json::to_string(&line) else { return };
    text.push('\n');
    tracing::info!(target: TARGET, line = text.as_str());
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
