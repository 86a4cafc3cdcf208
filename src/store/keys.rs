//! Gateway keys in SQLite, and the directory that answers for them from memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{Row as _, SqliteConnection};
use tokio::time::sleep;
use tollgate_filters::authenticate::{Digest, KEY_PREFIX, digest};
use tollgate_filters::authorize::Grant;
use tollgate_filters::exchange::{Caller, Role, Via};
use tollgate_filters::ports::{Directory, Ended};
use tracing::warn;

use super::{StoreError, sqlite};

const FILE: &str = "keys.db";

/// How often a running gateway looks whether a key was made or revoked.
pub const POLL: Duration = Duration::from_millis(20);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS keys (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, prefix TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
    org TEXT NOT NULL, user TEXT, models TEXT NOT NULL,
    created INTEGER NOT NULL, expires INTEGER, revoked INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS live_names ON keys (name) WHERE revoked IS NULL;";

/// Columns that files of earlier versions do not have.
const ADDED: &[&str] = &[
    "ALTER TABLE keys ADD COLUMN strict INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE keys ADD COLUMN role TEXT NOT NULL DEFAULT 'member'",
    "ALTER TABLE keys ADD COLUMN permits TEXT NOT NULL DEFAULT '{}'",
];

/// How much of a key is kept to recognise it by.
const SHOWN: usize = KEY_PREFIX.len() + 8;

#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub org: String,
    pub user: Option<String>,
    pub expires: Option<Duration>,
    pub role: Role,
    /// Its time of expiry is `expires`.
    pub grant: Grant,
    pub strict: bool,
}

/// What is known of a key: everything but the key.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KeyInfo {
    pub name: String,
    pub prefix: String,
    pub org: String,
    pub user: Option<String>,
    pub role: Role,
    #[serde(flatten)]
    pub grant: Grant,
    /// A translation that would lose something is refused.
    pub strict: bool,
    /// Seconds since 1970.
    pub created: u64,
    pub expires: Option<u64>,
    pub revoked: Option<u64>,
    #[serde(skip)]
    digest: [u8; 32],
}

impl KeyInfo {
    pub fn state(&self) -> &'static str {
        match (self.revoked, self.expires) {
            (Some(_), _) => "revoked",
            (None, Some(at)) if at <= now() => "expired",
            _ => "live",
        }
    }
}

#[derive(Debug)]
pub struct KeyStore {
    connection: SqliteConnection,
    file: PathBuf,
}

impl KeyStore {
    pub async fn open(data: &Path) -> Result<Self, StoreError> {
        let file = data.join(FILE);
        let mut connection = sqlite::open(&file, SCHEMA).await?;
        sqlite::add_columns(&mut connection, &file, ADDED).await?;
        Ok(Self { connection, file })
    }

    /// Makes a key and returns it. It is shown this once: only its digest is kept.
    pub async fn create(&mut self, new: &NewKey) -> Result<String, StoreError> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random)
            .map_err(|e| StoreError::Invalid(format!("no randomness to be had: {e}")))?;
        let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let insert = sqlx::query("INSERT INTO keys (name, prefix, digest, org, user, models, created, expires, strict, role, permits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&new.name)
            .bind(&key[..SHOWN])
            .bind(&digest(&key).0[..])
            .bind(&new.org)
            .bind(&new.user)
            .bind(json(&new.grant.models))
            .bind(seconds(now()))
            .bind(new.expires.map(|life| seconds(now().saturating_add(life.as_secs()))))
            .bind(new.strict)
            .bind(new.role.as_str())
            .bind(json(&Grant { models: Vec::new(), expires: None, ..new.grant.clone() }));
        match insert.execute(&mut self.connection).await {
            Ok(_) => Ok(key),
            Err(sqlx::Error::Database(e)) if e.is_unique_violation() => Err(StoreError::Invalid(format!(
                "there is a live key named {:?} already; revoke it or choose another name",
                new.name
            ))),
            Err(e) => Err(self.wrap(e)),
        }
    }

    pub async fn list(&mut self) -> Result<Vec<KeyInfo>, StoreError> {
        let rows = sqlx::query("SELECT * FROM keys ORDER BY id").fetch_all(&mut self.connection).await;
        rows.and_then(|rows| rows.iter().map(info).collect()).map_err(|e| self.wrap(e))
    }

    /// Revokes the live keys with this name or prefix; says which.
    pub async fn revoke(&mut self, which: &str) -> Result<Vec<KeyInfo>, StoreError> {
        let rows = sqlx::query(
            "UPDATE keys SET revoked = ?1 WHERE revoked IS NULL AND (name = ?2 OR prefix = ?2) RETURNING *",
        )
        .bind(seconds(now()))
        .bind(which)
        .fetch_all(&mut self.connection)
        .await;
        rows.and_then(|rows| rows.iter().map(info).collect()).map_err(|e| self.wrap(e))
    }

    /// A number that changes when another process has changed the file.
    async fn version(&mut self) -> Result<i64, StoreError> {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut self.connection)
            .await
            .map_err(|e| self.wrap(e))
    }

    fn wrap(&self, source: sqlx::Error) -> StoreError {
        StoreError::Sqlite { path: self.file.display().to_string(), source }
    }
}

fn info(row: &sqlx::sqlite::SqliteRow) -> Result<KeyInfo, sqlx::Error> {
    let time =
        |name| row.try_get::<Option<i64>, _>(name).map(|t| t.map(|t| u64::try_from(t).unwrap_or_default()));
    let bytes: Vec<u8> = row.try_get("digest")?;
    let (models, permits): (String, String) = (row.try_get("models")?, row.try_get("permits")?);
    let role: String = row.try_get("role")?;
    Ok(KeyInfo {
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        org: row.try_get("org")?,
        user: row.try_get("user")?,
        role: read(&format!("{role:?}"))?,
        grant: Grant { models: read(&models)?, ..read(&permits)? },
        strict: row.try_get("strict")?,
        created: time("created")?.unwrap_or_default(),
        expires: time("expires")?,
        revoked: time("revoked")?,
        digest: bytes.try_into().map_err(|_| sqlx::Error::Decode("a digest has 32 bytes".into()))?,
    })
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

/// Static keys and stored ones, answered for from memory.
#[derive(Debug)]
pub struct KeyDirectory {
    fixed: HashMap<Digest, Arc<Caller>>,
    stored: ArcSwap<Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    live: HashMap<Digest, (Arc<Caller>, Option<u64>)>,
    revoked: HashMap<Digest, Arc<Caller>>,
    /// Whether there ever was one.
    any: bool,
}

impl KeyDirectory {
    /// Reads the keys in the folder `data`. [`KeyDirectory::follow`] keeps up with changes.
    pub async fn open(fixed: Vec<(Digest, Arc<Caller>)>, store: &mut KeyStore) -> Result<Self, StoreError> {
        let stored = ArcSwap::from_pointee(Stored::new(store.list().await?));
        Ok(Self { fixed: fixed.into_iter().collect(), stored })
    }

    /// Watches the store for as long as the gateway runs: what another process changes there counts
    /// here [`POLL`] later at the latest. A store that cannot be read leaves what was known.
    pub async fn follow(&self, mut store: KeyStore) {
        let mut known = None;
        let mut failing = false;
        loop {
            match store.version().await {
                Ok(version) if known == Some(version) => {}
                Ok(version) => match store.list().await {
                    Ok(keys) => {
                        self.stored.store(Arc::new(Stored::new(keys)));
                        known = Some(version);
                        failing = false;
                    }
                    Err(why) => warn!(%why, "the gateway keys cannot be read; those known stay"),
                },
                Err(why) if !std::mem::replace(&mut failing, true) => {
                    warn!(%why, "the gateway keys cannot be watched; those known stay");
                }
                Err(_) => {}
            }
            sleep(POLL).await;
        }
    }
}

impl Stored {
    fn new(keys: Vec<KeyInfo>) -> Self {
        let any = !keys.is_empty();
        let (mut live, mut revoked) = (HashMap::new(), HashMap::new());
        for key in keys {
            let caller = Arc::new(Caller {
                org: Arc::from(key.org),
                user: key.user.map(Arc::from),
                via: Via::Key(Arc::from(key.name)),
                role: key.role,
                grant: key.grant,
                strict: key.strict,
            });
            if key.revoked.is_some() {
                revoked.insert(Digest(key.digest), caller);
            } else {
                live.insert(Digest(key.digest), (caller, key.expires));
            }
        }
        Self { live, revoked, any }
    }
}

impl Directory for KeyDirectory {
    fn find(&self, key: &Digest) -> Option<Arc<Caller>> {
        if let Some(caller) = self.fixed.get(key) {
            return Some(caller.clone());
        }
        let stored = self.stored.load();
        let (caller, expires) = stored.live.get(key)?;
        expires.is_none_or(|at| at > now()).then(|| caller.clone())
    }

    fn was(&self, key: &Digest) -> Option<(Arc<Caller>, Ended)> {
        let stored = self.stored.load();
        if let Some(caller) = stored.revoked.get(key) {
            return Some((caller.clone(), Ended::Revoked));
        }
        stored.live.get(key).map(|(caller, _)| (caller.clone(), Ended::Expired))
    }

    fn has_keys(&self) -> bool {
        !self.fixed.is_empty() || self.stored.load().any
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
