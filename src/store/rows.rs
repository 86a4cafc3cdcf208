//! Usage rows in SQLite: the table, and rows in and out of it.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use rust_decimal::Decimal;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqliteConnection};
use tollgate_filters::exchange::{Dialect, Operation};
use tollgate_filters::quota::Entry;
use tollgate_filters::scope::Subject;
use tollgate_filters::usage::{ClientLeft, Row, Usage};

use super::{StoreError, sqlite};

pub(super) const FILE: &str = "usage.db";

/// Request ids are UUIDs of version 7, which begin with their time: the primary key is the order in
/// which rows come and the index by time, and no second one has to be written.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS usage (
    request_id TEXT NOT NULL, attempt INTEGER NOT NULL, time INTEGER NOT NULL,
    org TEXT NOT NULL, user TEXT, key TEXT,
    dialect TEXT NOT NULL, operation TEXT NOT NULL, provider TEXT NOT NULL,
    model_asked TEXT, model TEXT, model_answered TEXT,
    status INTEGER NOT NULL, stream INTEGER NOT NULL, finish_reason TEXT, error TEXT,
    input_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL,
    audio_input_tokens INTEGER NOT NULL, image_input_tokens INTEGER NOT NULL, tool_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL, image_output_tokens INTEGER NOT NULL,
    measured INTEGER NOT NULL, cost TEXT,
    ttfb_ms REAL, duration_ms REAL NOT NULL, request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
    translated_to TEXT, request_losses TEXT, answer_losses TEXT,
    client_left TEXT, bridge TEXT,
    PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID";

/// Columns that ledgers of earlier versions do not have.
const ADDED: &[&str] = &[
    "ALTER TABLE usage ADD COLUMN translated_to TEXT",
    "ALTER TABLE usage ADD COLUMN request_losses TEXT",
    "ALTER TABLE usage ADD COLUMN answer_losses TEXT",
    "ALTER TABLE usage ADD COLUMN client_left TEXT",
    "ALTER TABLE usage ADD COLUMN bridge TEXT",
];

const COLUMNS: usize = 38;

/// Statements hold a power of two of rows, up to this, so that a handful of them is prepared once.
const MAX_ROWS: usize = 64;

/// Opens the ledger's file for writing.
pub(super) async fn open(file: &Path) -> Result<SqliteConnection, StoreError> {
    let mut connection = sqlite::open(file, SCHEMA).await?;
    sqlite::add_columns(&mut connection, file, ADDED).await?;
    Ok(connection)
}

/// Writes `rows` in one transaction. A row that is there already stays as it is, so that a replay
/// after a crash counts nothing twice.
pub(super) async fn insert(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    let mut rest = rows;
    while !rest.is_empty() {
        let count = (1 << rest.len().ilog2()).min(MAX_ROWS);
        let (batch, later) = rest.split_at(count);
        let statement = sqlx::AssertSqlSafe(statement(count));
        let query = batch.iter().fold(sqlx::query(statement), bind);
        query.execute(&mut *transaction).await?;
        rest = later;
    }
    transaction.commit().await
}

fn statement(rows: usize) -> String {
    let one = format!("({})", vec!["?"; COLUMNS].join(","));
    format!("INSERT OR IGNORE INTO usage VALUES {}", vec![one; rows].join(","))
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(query: Query<'q>, row: &'q Row) -> Query<'q> {
    let usage = &row.usage;
    query
        .bind(row.request_id.as_str())
        .bind(row.attempt)
        .bind(int(row.time))
        .bind(&*row.org)
        .bind(row.user.as_deref())
        .bind(row.key.as_deref())
        .bind(row.dialect.as_str())
        .bind(row.operation.as_str())
        .bind(&*row.provider)
        .bind(row.model_asked.as_deref())
        .bind(row.model.as_deref())
        .bind(row.model_answered.as_deref())
        .bind(row.status)
        .bind(row.stream)
        .bind(row.finish_reason.as_deref())
        .bind(row.error.as_deref())
        .bind(int(usage.input_tokens))
        .bind(int(usage.cached_input_tokens))
        .bind(int(usage.cache_write_5m_tokens))
        .bind(int(usage.cache_write_1h_tokens))
        .bind(int(usage.audio_input_tokens))
        .bind(int(usage.image_input_tokens))
        .bind(int(usage.tool_input_tokens))
        .bind(int(usage.output_tokens))
        .bind(int(usage.reasoning_tokens))
        .bind(int(usage.audio_output_tokens))
        .bind(int(usage.image_output_tokens))
        .bind(row.measured)
        .bind(row.cost.map(|cost| cost.to_string()))
        .bind(row.ttfb_ms)
        .bind(row.duration_ms)
        .bind(int(row.request_bytes))
        .bind(int(row.response_bytes))
        .bind(row.translated_to.map(Dialect::as_str))
        .bind(row.request_losses.as_deref())
        .bind(row.answer_losses.as_deref())
        .bind(row.client_left.map(ClientLeft::as_str))
        .bind(row.bridge.as_deref())
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The rows that began at `since` (milliseconds since 1970) or later, oldest first; of one request only, if one
/// is named. The ledger file is only read, and may be in use.
pub async fn read_rows(data: &Path, since: u64, request_id: Option<&str>) -> Result<Vec<Row>, StoreError> {
    let file = data.join(FILE);
    let wrap = |source| StoreError::Sqlite { path: file.display().to_string(), source };
    let Some(mut connection) = sqlite::open_to_read(&file).await? else { return Ok(Vec::new()) };
    let query = match request_id {
        Some(id) => sqlx::query("SELECT * FROM usage WHERE request_id = ? ORDER BY attempt").bind(id),
        None => sqlx::query("SELECT * FROM usage WHERE request_id >= ? ORDER BY request_id, attempt")
            .bind(first_id(since)),
    };
    let rows = query.fetch_all(&mut connection).await.map_err(wrap)?;
    rows.iter().map(row).collect::<Result<_, _>>().map_err(wrap)
}

/// How many rows are read at a time where many are.
const PAGE: i64 = 10_000;

/// Hands what counters need of the rows since a time to `each`, oldest first, a page at a time.
pub async fn for_each_entry(data: &Path, since: u64, mut each: impl FnMut(&Entry)) -> Result<(), StoreError> {
    let file = data.join(FILE);
    let wrap = |source| StoreError::Sqlite { path: file.display().to_string(), source };
    let Some(mut connection) = sqlite::open_to_read(&file).await? else { return Ok(()) };
    let (mut id, mut attempt) = (first_id(since), -1);
    loop {
        let page = sqlx::query(
            "SELECT request_id, attempt, time, org, user, key, bridge, provider, model, input_tokens, output_tokens, cost FROM usage WHERE (request_id, attempt) > (?, ?) ORDER BY request_id, attempt LIMIT ?",
        );
        let rows = page.bind(&id).bind(attempt).bind(PAGE).fetch_all(&mut connection).await.map_err(wrap)?;
        for row in &rows {
            each(&entry(row).map_err(wrap)?);
        }
        let Some(last) = rows.last() else { return Ok(()) };
        id = last.try_get("request_id").map_err(wrap)?;
        attempt = last.try_get("attempt").map_err(wrap)?;
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let text = |name| row.try_get::<Option<String>, _>(name).map(|text| text.map(Arc::from));
    let count = |name| row.try_get::<i64, _>(name).map(|n| u64::try_from(n).unwrap_or_default());
    let cost: Option<String> = row.try_get("cost")?;
    Ok(Entry {
        time: count("time")?,
        subject: Subject {
            org: row.try_get::<String, _>("org")?.into(),
            user: text("user")?,
            key: text("key")?,
            bridge: text("bridge")?,
            provider: text("provider")?,
            model: text("model")?,
            thread: None,
            address: None,
        },
        input_tokens: count("input_tokens")?,
        output_tokens: count("output_tokens")?,
        cost: cost.and_then(|cost| Decimal::from_str(&cost).ok()),
    })
}

/// The smallest request id of a time: its milliseconds fill the first twelve digits of a UUID.
fn first_id(time: u64) -> String {
    let digits = format!("{time:012x}");
    format!("{}-{}", &digits[..8], &digits[8..12])
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let text = |name| row.try_get::<Option<String>, _>(name).map(|text| text.map(Arc::from));
    let count = |name| row.try_get::<i64, _>(name).map(|n| u64::try_from(n).unwrap_or_default());
    let decode = |e: String| sqlx::Error::Decode(e.into());
    let cost: Option<String> = row.try_get("cost")?;
    Ok(Row {
        request_id: row.try_get("request_id")?,
        attempt: row.try_get("attempt")?,
        time: count("time")?,
        org: row.try_get::<String, _>("org")?.into(),
        user: text("user")?,
        key: text("key")?,
        dialect: word::<Dialect>(row.try_get("dialect")?).map_err(decode)?,
        operation: word::<Operation>(row.try_get("operation")?).map_err(decode)?,
        provider: row.try_get::<String, _>("provider")?.into(),
        model_asked: text("model_asked")?,
        model: text("model")?,
        model_answered: text("model_answered")?,
        status: row.try_get("status")?,
        stream: row.try_get("stream")?,
        finish_reason: text("finish_reason")?,
        error: text("error")?,
        usage: Usage {
            input_tokens: count("input_tokens")?,
            cached_input_tokens: count("cached_input_tokens")?,
            cache_write_5m_tokens: count("cache_write_5m_tokens")?,
            cache_write_1h_tokens: count("cache_write_1h_tokens")?,
            audio_input_tokens: count("audio_input_tokens")?,
            image_input_tokens: count("image_input_tokens")?,
            tool_input_tokens: count("tool_input_tokens")?,
            output_tokens: count("output_tokens")?,
            reasoning_tokens: count("reasoning_tokens")?,
            audio_output_tokens: count("audio_output_tokens")?,
            image_output_tokens: count("image_output_tokens")?,
        },
        measured: row.try_get("measured")?,
        cost: cost.map(|text| Decimal::from_str(&text)).transpose().map_err(|e| decode(e.to_string()))?,
        ttfb_ms: row.try_get("ttfb_ms")?,
        duration_ms: row.try_get("duration_ms")?,
        request_bytes: count("request_bytes")?,
        response_bytes: count("response_bytes")?,
        // A ledger that no gateway of this version has written to has no such columns.
        translated_to: text("translated_to").unwrap_or_default().and_then(|t| word(t.to_string()).ok()),
        request_losses: text("request_losses").unwrap_or_default(),
        answer_losses: text("answer_losses").unwrap_or_default(),
        client_left: text("client_left").unwrap_or_default().and_then(|t| word(t.to_string()).ok()),
        bridge: text("bridge").unwrap_or_default(),
    })
}

fn word<T: serde::de::DeserializeOwned>(text: String) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|e| e.to_string())
}
