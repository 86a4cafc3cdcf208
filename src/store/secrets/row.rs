//! A row of the table of secrets, and what is in it for who has its master key.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{SecretError, SecretValue};
use crate::store::seal::{DataKey, Label, MasterKeys, VERSION};

pub(super) struct Row {
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) key_id: String,
    pub(super) wrapped_key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// All rows, by name.
pub(super) async fn rows(connection: &mut SqliteConnection) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM secrets ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(row).collect()
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    // Text that is not UTF-8 must not keep the other rows from being read.
    let text = |name| {
        row.try_get_unchecked::<&[u8], _>(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    Ok(Row {
        name: text("name")?,
        version: row.try_get("version")?,
        key_id: text("key_id")?,
        wrapped_key: row.try_get("wrapped_key")?,
        value: row.try_get("value")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
    })
}

// === impl Row ===

impl Row {
    pub(super) fn label(&self) -> Label<'_> {
        Label { name: &self.name, version: self.version, created: self.created, updated: self.updated }
    }

    /// `all` are the rows of the table, to say whose blobs these are where they are another's.
    pub(super) fn open(&self, keys: &MasterKeys, all: &[Self]) -> Result<SecretValue, SecretError> {
        let key = self.data_key(keys, all)?;
        key.open(&self.label(), &self.value).map(SecretValue).map_err(|_| {
            let owner = self.others(all).find(|other| {
                let key = other.data_key(keys, &[]);
                key.is_ok_and(|key| key.open(&other.label(), &self.value).is_ok())
            });
            self.broken("value", owner)
        })
    }

    pub(super) fn data_key(&self, keys: &MasterKeys, all: &[Self]) -> Result<DataKey, SecretError> {
        let name = self.name.clone();
        if self.version != VERSION {
            return Err(SecretError::Version { name, version: self.version });
        }
        let given = keys.ids();
        if given.is_empty() {
            return Err(SecretError::NoMasterKey { name });
        }
        let master = keys.find(&self.key_id).ok_or_else(|| SecretError::UnknownMasterKey {
            name,
            key_id: self.key_id.clone(),
            given: given.join(", "),
        })?;
        master.unwrap(&self.label(), &self.wrapped_key).map_err(|_| {
            let owner = self.others(all).find(|other| {
                let label = Label { name: &other.name, ..self.label() };
                master.unwrap(&label, &self.wrapped_key).is_ok()
            });
            self.broken("data key", owner)
        })
    }

    fn others<'a>(&'a self, all: &'a [Self]) -> impl Iterator<Item = &'a Self> {
        all.iter().filter(|other| other.name != self.name)
    }

    fn broken(&self, part: &'static str, owner: Option<&Self>) -> SecretError {
        let name = self.name.clone();
        match owner {
            Some(other) => SecretError::Swapped { name, of: other.name.clone() },
            None => SecretError::Tampered { name, part },
        }
    }
}
