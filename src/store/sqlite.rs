//! Opening SQLite files: write-ahead log, a busy time-out, a schema that makes itself.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};

use super::StoreError;

/// Opens `file` for writing, makes it where it is not there, and sees to `schema`.
pub(super) async fn open(file: &Path, schema: &'static str) -> Result<SqliteConnection, StoreError> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| StoreError::File { path: folder.display().to_string(), source })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit reaches the operating system; a killed process loses nothing, a power cut may lose the last commits.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    let wrap = |source| StoreError::Sqlite { path: file.display().to_string(), source };
    let mut connection = options.connect().await.map_err(wrap)?;
    connection.execute(schema).await.map_err(wrap)?;
    Ok(connection)
}

/// Runs `statements`, each of which adds a column, as far as the columns are not there yet.
pub(super) async fn add_columns(
    connection: &mut SqliteConnection,
    file: &Path,
    statements: &[&'static str],
) -> Result<(), StoreError> {
    for statement in statements {
        match connection.execute(*statement).await {
            Err(sqlx::Error::Database(e)) if e.message().starts_with("duplicate column name") => {}
            result => {
                result.map_err(|source| StoreError::Sqlite { path: file.display().to_string(), source })?;
            }
        }
    }
    Ok(())
}

/// Opens `file` for reading; `None` where it is not there.
pub(super) async fn open_to_read(file: &Path) -> Result<Option<SqliteConnection>, StoreError> {
    if !file.exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    let wrap = |source| StoreError::Sqlite { path: file.display().to_string(), source };
    Ok(Some(options.connect().await.map_err(wrap)?))
}
