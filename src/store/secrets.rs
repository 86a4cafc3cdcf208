//! Provider keys in SQLite, encrypted: each value with a data key of its own, the data key with a master key.

mod directory;
mod error;
mod row;

use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tracing::warn;
use zeroize::Zeroizing;

use super::seal::{DataKey, Label, MasterKeys, VERSION};
use super::{StoreError, sqlite};
pub use directory::{POLL, SecretsDirectory};
pub use error::SecretError;
use row::{Row, rows};

const FILE: &str = "secrets.db";

/// What is deleted or replaced is overwritten, so that after a rotation no data key lies about under an old master key.
const SCHEMA: &str = "
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, key_id TEXT NOT NULL,
    wrapped_key BLOB NOT NULL, value BLOB NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;";

const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 64 * 1024;

/// A secret in the open. `Debug` does not show it, and its memory is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<String>);

/// What is known of a secret: everything but its value.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SecretInfo {
    pub name: String,
    /// The master key that its data key is wrapped with.
    pub key_id: String,
    /// Seconds since 1970.
    pub created: u64,
    pub updated: u64,
}

#[derive(Debug)]
pub struct SecretStore {
    connection: SqliteConnection,
    file: PathBuf,
    keys: MasterKeys,
}

// === impl SecretStore ===

impl SecretStore {
    pub async fn open(data: &Path, keys: MasterKeys) -> Result<Self, StoreError> {
        let file = data.join(FILE);
        create_private(data, &file)
            .map_err(|source| StoreError::File { path: file.display().to_string(), source })?;
        let connection = sqlite::open(&file, SCHEMA).await?;
        Ok(Self { connection, file, keys })
    }

    pub fn into_keys(self) -> MasterKeys {
        self.keys
    }

    /// Puts a secret in the place of the one with this name, if there is one. A value never shares its data key
    /// with the value before it.
    pub async fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        check(name, value)?;
        let name_of = || name.to_owned();
        let master = self.keys.current().ok_or_else(|| SecretError::NoMasterKey { name: name_of() })?;
        let wrap = wrap(&self.file);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(&wrap)?;
        let created: Option<i64> = sqlx::query_scalar("SELECT created FROM secrets WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(&wrap)?;
        let updated = now();
        let label = Label { name, version: VERSION, created: created.unwrap_or(updated), updated };
        let key = DataKey::random()?;
        let wrapped = master.wrap(&label, &key)?;
        sqlx::query("INSERT OR REPLACE INTO secrets (name, version, key_id, wrapped_key, value, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(name)
            .bind(label.version)
            .bind(master.id())
            .bind(wrapped)
            .bind(key.seal(&label, value)?)
            .bind(label.created)
            .bind(label.updated)
            .execute(&mut *transaction)
            .await
            .map_err(&wrap)?;
        transaction.commit().await.map_err(&wrap)?;
        Ok(())
    }

    pub async fn get(&mut self, name: &str) -> Result<Option<SecretValue>, StoreError> {
        let rows = self.rows().await?;
        let row = rows.iter().find(|row| row.name == name);
        Ok(row.map(|row| row.open(&self.keys, &rows)).transpose()?)
    }

    pub async fn list(&mut self) -> Result<Vec<SecretInfo>, StoreError> {
        let time = |seconds| u64::try_from(seconds).unwrap_or_default();
        let info = |row: Row| SecretInfo {
            name: row.name,
            key_id: row.key_id,
            created: time(row.created),
            updated: time(row.updated),
        };
        Ok(self.rows().await?.into_iter().map(info).collect())
    }

    /// Removes a secret; says whether there was one.
    pub async fn remove(&mut self, name: &str) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM secrets WHERE name = ?").bind(name);
        let removed = delete.execute(&mut self.connection).await.map_err(wrap(&self.file))?;
        self.forget().await;
        Ok(removed.rows_affected() > 0)
    }

    /// Wraps every data key with the current master key, in one transaction: all of them or none. Says how many
    /// were not wrapped with it yet. Values stay as they are, so that it takes no longer for long ones.
    pub async fn rotate(&mut self) -> Result<usize, StoreError> {
        let master = self.keys.current().ok_or(SecretError::NothingToRotateTo)?;
        let wrap = wrap(&self.file);
        // A writer from the start: a secret that is set meanwhile waits, and is not overwritten.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(&wrap)?;
        let rows = rows(&mut transaction).await.map_err(&wrap)?;
        let (mut fresh, mut broken) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| row.key_id != master.id()) {
            match row.data_key(&self.keys, &rows) {
                Ok(key) => fresh.push((&row.name, master.wrap(&row.label(), &key)?)),
                Err(why) => broken.push(why),
            }
        }
        if !broken.is_empty() {
            return Err(SecretError::NotRotated(broken).into());
        }
        let count = fresh.len();
        for (name, wrapped) in fresh {
            sqlx::query("UPDATE secrets SET key_id = ?, wrapped_key = ? WHERE name = ?")
                .bind(master.id())
                .bind(wrapped)
                .bind(name)
                .execute(&mut *transaction)
                .await
                .map_err(&wrap)?;
        }
        transaction.commit().await.map_err(&wrap)?;
        self.forget().await;
        Ok(count)
    }

    /// All secrets by name, each with its value or why it has none.
    async fn values(&mut self) -> Result<Vec<(String, Result<SecretValue, SecretError>)>, StoreError> {
        let rows = self.rows().await?;
        Ok(rows.iter().map(|row| (row.name.clone(), row.open(&self.keys, &rows))).collect())
    }

    async fn rows(&mut self) -> Result<Vec<Row>, StoreError> {
        rows(&mut self.connection).await.map_err(wrap(&self.file))
    }

    /// A number that changes when another process has changed the file.
    async fn version(&mut self) -> Result<i64, StoreError> {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.connection)
            .await
            .map_err(wrap(&self.file))
    }

    /// Empties the write-ahead log, which still holds what was there before. If a reader is in the way, it is done
    /// another time.
    async fn forget(&mut self) {
        let _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    }
}

// === impl SecretValue ===

impl SecretValue {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

fn check(name: &str, value: &str) -> Result<(), SecretError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(fits) {
        return Err(SecretError::Name(name.to_owned()));
    }
    let why = match value.len() {
        _ if value.trim().is_empty() => "its value is empty",
        length if length > LONGEST_VALUE => "its value is longer than 64 KiB",
        _ => return Ok(()),
    };
    Err(SecretError::Value { name: name.to_owned(), why })
}

/// Makes the file for its owner only, before SQLite makes it for everybody; SQLite gives the files beside it the
/// same permissions. One that is there already is closed to others.
fn create_private(folder: &Path, file: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        let Ok(found) = std::fs::metadata(&path) else { continue };
        if found.permissions().mode() & 0o077 != 0
            && let Err(why) = std::fs::set_permissions(&path, Permissions::from_mode(0o600))
        {
            let file = Path::new(&path).display();
            warn!(%file, %why, "the file of secrets is open to others, and cannot be closed to them");
        }
    }
    Ok(())
}

fn wrap(file: &Path) -> impl Fn(sqlx::Error) -> StoreError + use<> {
    let path = file.display().to_string();
    move |source| StoreError::Sqlite { path: path.clone(), source }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
