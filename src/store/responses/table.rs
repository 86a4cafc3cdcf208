//! Stored answers in SQLite: the table, and rows in and out of it.

use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use tollgate_filters::responses::Stored;

use super::waiting::{Change, Job};
use crate::store::{StoreError, sqlite};

pub(super) const FILE: &str = "responses.db";

/// `output` is NULL where the Response object holds the same.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS responses (
    org TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
    model TEXT NOT NULL, previous TEXT, input TEXT NOT NULL, output TEXT, response TEXT NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE INDEX IF NOT EXISTS responses_expires ON responses (expires);";

/// How many expired rows go in one statement.
pub(super) const SWEEP: u64 = 256;

/// Above this many bytes, JSON is not read on a thread that serves other exchanges.
const LARGE: usize = 256 * 1024;

pub(super) async fn open(file: &Path) -> Result<SqliteConnection, StoreError> {
    sqlite::open(file, SCHEMA).await
}

/// Makes all of `jobs` true, or none.
pub(super) async fn apply(connection: &mut SqliteConnection, jobs: &[Job]) -> Result<(), sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    for job in jobs {
        let (org, id) = &job.name;
        match &job.change {
            Change::Put(kept) => {
                let stored = &kept.stored;
                let same = stored.response.get("output") == Some(&stored.output);
                sqlx::query("INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                    .bind(org)
                    .bind(id)
                    .bind(int(stored.created))
                    .bind(int(stored.expires))
                    .bind(&stored.model)
                    .bind(&stored.previous)
                    .bind(stored.input.to_string())
                    .bind((!same).then(|| stored.output.to_string()))
                    .bind(stored.response.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
            Change::Delete => {
                sqlx::query("DELETE FROM responses WHERE org = ? AND id = ?")
                    .bind(org)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
    }
    transaction.commit().await
}

/// Removes some rows that had expired at `now`; says how many.
pub(super) async fn sweep(connection: &mut SqliteConnection, now: u64) -> Result<u64, sqlx::Error> {
    let statement =
        "DELETE FROM responses WHERE rowid IN (SELECT rowid FROM responses WHERE expires <= ? LIMIT ?)";
    let query = sqlx::query(statement).bind(int(now)).bind(int(SWEEP));
    Ok(query.execute(connection).await?.rows_affected())
}

/// The answer `id`, whether it has expired or not.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    org: &str,
    id: &str,
) -> Result<Option<SqliteRow>, sqlx::Error> {
    let query = sqlx::query("SELECT * FROM responses WHERE org = ? AND id = ?").bind(org).bind(id);
    query.fetch_optional(connection).await
}

pub(super) async fn decode(row: SqliteRow) -> Result<Stored, sqlx::Error> {
    let length = |name| row.try_get::<&str, _>(name).map(str::len);
    if length("input")? + length("response")? < LARGE {
        return stored(&row);
    }
    let decoding = tokio::task::spawn_blocking(move || stored(&row));
    decoding.await.map_err(|e| sqlx::Error::Decode(e.into()))?
}

fn stored(row: &SqliteRow) -> Result<Stored, sqlx::Error> {
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| sqlx::Error::Decode(e.into()));
    let count = |name| row.try_get::<i64, _>(name).map(|n| u64::try_from(n).unwrap_or_default());
    let response = json(row.try_get("response")?)?;
    let output = match row.try_get::<Option<&str>, _>("output")? {
        Some(output) => json(output)?,
        None => response.get("output").cloned().unwrap_or_default(),
    };
    Ok(Stored {
        org: row.try_get("org")?,
        id: row.try_get("id")?,
        created: count("created")?,
        expires: count("expires")?,
        model: row.try_get("model")?,
        previous: row.try_get("previous")?,
        input: json(row.try_get("input")?)?,
        output,
        response,
    })
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
