//! `tollgate usage`: what was used and what it cost, as a table or row by row.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use rust_decimal::Decimal;
use serde::Serialize;
use tollgate_filters::usage::{Row, Usage};

use super::{Common, block_on, table};
use crate::store::read_rows;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the sums are for
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
    /// How far back to look, such as 24h
    #[arg(long, value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// JSON, one object a line
    #[arg(long)]
    json: bool,
    /// The rows themselves, one for each attempt that reached a provider
    #[arg(long)]
    rows: bool,
    /// Only the rows of this request
    #[arg(long, value_name = "ID", requires = "rows")]
    request_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Model,
    Key,
    User,
    Org,
    Provider,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<(), String> {
    let data = common.conf()?.server.data;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = args.since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
    let since = u64::try_from(since.as_millis()).unwrap_or_default();
    let rows = block_on(read_rows(&data, since, args.request_id.as_deref()))?;
    let text = match (args.rows, args.json) {
        (true, true) => json_lines(&rows),
        (true, false) => listing(&rows),
        (false, true) => json_lines(&sums(&rows, args.by)),
        (false, false) => report(&sums(&rows, args.by)),
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn json_lines<T: Serialize>(items: &[T]) -> String {
    items.iter().filter_map(|item| serde_json::to_string(item).ok()).map(|line| line + "\n").collect()
}

/// The sums of one model, key, user, organisation or provider.
#[derive(Debug, Default, Serialize)]
struct Sum {
    name: String,
    attempts: u64,
    failed: u64,
    #[serde(flatten)]
    usage: Usage,
    /// Attempts whose tokens are an estimate.
    estimated: u64,
    /// US dollars, of the attempts whose price is known.
    #[serde(with = "rust_decimal::serde::str")]
    cost: Decimal,
    /// Attempts that are not in `cost` because no price is known.
    unpriced: u64,
}

fn sums(rows: &[Row], by: By) -> Vec<Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for row in rows {
        let name = match by {
            By::Model => format!("{}/{}", row.provider, row.model.as_deref().unwrap_or("-")),
            By::Key => row.key.as_deref().unwrap_or("-").to_owned(),
            By::User => row.user.as_deref().unwrap_or("-").to_owned(),
            By::Org => row.org.to_string(),
            By::Provider => row.provider.to_string(),
        };
        let sum = sums.entry(name.clone()).or_insert_with(|| Sum { name, ..Sum::default() });
        sum.attempts += 1;
        sum.failed += u64::from(row.status == 0 || row.status >= 400);
        sum.estimated += u64::from(!row.measured);
        match row.cost {
            Some(cost) => sum.cost = sum.cost.saturating_add(cost),
            None => sum.unpriced += 1,
        }
        add(&mut sum.usage, &row.usage);
    }
    sums.into_values().collect()
}

fn add(sum: &mut Usage, usage: &Usage) {
    sum.input_tokens = sum.input_tokens.saturating_add(usage.input_tokens);
    sum.cached_input_tokens = sum.cached_input_tokens.saturating_add(usage.cached_input_tokens);
    sum.cache_write_5m_tokens = sum.cache_write_5m_tokens.saturating_add(usage.cache_write_5m_tokens);
    sum.cache_write_1h_tokens = sum.cache_write_1h_tokens.saturating_add(usage.cache_write_1h_tokens);
    sum.audio_input_tokens = sum.audio_input_tokens.saturating_add(usage.audio_input_tokens);
    sum.image_input_tokens = sum.image_input_tokens.saturating_add(usage.image_input_tokens);
    sum.tool_input_tokens = sum.tool_input_tokens.saturating_add(usage.tool_input_tokens);
    sum.output_tokens = sum.output_tokens.saturating_add(usage.output_tokens);
    sum.reasoning_tokens = sum.reasoning_tokens.saturating_add(usage.reasoning_tokens);
    sum.audio_output_tokens = sum.audio_output_tokens.saturating_add(usage.audio_output_tokens);
    sum.image_output_tokens = sum.image_output_tokens.saturating_add(usage.image_output_tokens);
}

fn report(sums: &[Sum]) -> String {
    let row = |sum: &Sum| {
        vec![
            sum.name.clone(),
            sum.attempts.to_string(),
            sum.failed.to_string(),
            sum.usage.input_tokens.to_string(),
            sum.usage.cached_input_tokens.to_string(),
            sum.usage.output_tokens.to_string(),
            sum.usage.reasoning_tokens.to_string(),
            sum.estimated.to_string(),
            sum.cost.to_string(),
            sum.unpriced.to_string(),
        ]
    };
    let rows: Vec<_> = sums.iter().map(row).collect();
    table(
        &[
            "NAME",
            "ATTEMPTS",
            "FAILED",
            "INPUT",
            "CACHED",
            "OUTPUT",
            "REASONING",
            "ESTIMATED",
            "USD",
            "UNPRICED",
        ],
        &rows,
    )
}

fn listing(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let time = UNIX_EPOCH + Duration::from_millis(row.time);
        vec![
            humantime::format_rfc3339_seconds(time).to_string(),
            row.request_id.clone(),
            row.attempt.to_string(),
            format!("{}/{}", row.provider, row.model.as_deref().unwrap_or("-")),
            row.status.to_string(),
            row.usage.input_tokens.to_string(),
            row.usage.output_tokens.to_string(),
            if row.measured { "measured" } else { "estimated" }.to_owned(),
            row.cost.map_or_else(|| "-".to_owned(), |cost| cost.to_string()),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    table(&["TIME", "REQUEST", "ATTEMPT", "MODEL", "STATUS", "INPUT", "OUTPUT", "TOKENS", "USD"], &rows)
}
