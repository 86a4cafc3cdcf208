//! The secrets in memory, decrypted, as the store has them now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::sleep;
use tracing::warn;

use super::{SecretError, SecretStore, SecretValue};
use crate::store::StoreError;

/// How often a running gateway looks whether a secret was set or removed.
pub const POLL: Duration = Duration::from_millis(100);

type Known = HashMap<String, Result<Arc<SecretValue>, SecretError>>;

/// Answers from memory: a look-up in a map, no decryption.
#[derive(Debug, Default)]
pub struct SecretsDirectory {
    known: ArcSwap<Known>,
}

impl SecretsDirectory {
    /// Reads all secrets. One that does not decrypt is an error when it is asked for, and none of the others'.
    pub async fn open(store: &mut SecretStore) -> Result<Self, StoreError> {
        let directory = Self { known: ArcSwap::default() };
        directory.read(store).await?;
        Ok(directory)
    }

    /// The secret as it is now. As long as it is not changed, it is the same `Arc`.
    pub fn get(&self, name: &str) -> Result<Arc<SecretValue>, SecretError> {
        match self.known.load().get(name) {
            Some(known) => known.clone(),
            None => Err(SecretError::Missing { name: name.to_owned() }),
        }
    }

    /// Watches the store for as long as the gateway runs: what another process changes there counts here [`POLL`]
    /// later. A store that cannot be read leaves what was known.
    pub async fn follow(&self, mut store: SecretStore) {
        let mut seen = None;
        let mut failing = false;
        loop {
            match self.look(&mut store, seen).await {
                Ok(version) => {
                    seen = Some(version);
                    failing = false;
                }
                Err(why) if !std::mem::replace(&mut failing, true) => {
                    warn!(%why, "the secrets cannot be read; those known stay");
                }
                Err(_) => {}
            }
            sleep(POLL).await;
        }
    }

    /// Reads the secrets if the store is not what it was when it had the version `seen`.
    async fn look(&self, store: &mut SecretStore, seen: Option<i64>) -> Result<i64, StoreError> {
        // The number first: what changes between the two is read twice and never missed.
        let version = store.version().await?;
        if seen != Some(version) {
            self.read(store).await?;
        }
        Ok(version)
    }

    /// A secret that did decrypt and no longer does stays as it was known. So a gateway goes on when its secrets
    /// are rotated to a master key that it has not been given yet, or a row is damaged. One that is removed goes.
    pub(super) async fn read(&self, store: &mut SecretStore) -> Result<(), StoreError> {
        let before = self.known.load_full();
        let values = store.values().await?;
        for name in before.keys().filter(|name| values.iter().all(|(there, _)| there != *name)) {
            warn!(%name, "a secret was removed; a provider that is asked with it has no key now");
        }
        let after = values.into_iter().map(|(name, value)| {
            let known = before.get(&name);
            let value = match (value, known) {
                (Ok(value), Some(Ok(known))) if value == **known => Ok(known.clone()),
                (Ok(value), _) => Ok(Arc::new(value)),
                (Err(why), Some(Ok(known))) => {
                    warn!(%why, "a secret no longer decrypts; the value known before stays");
                    Ok(known.clone())
                }
                (Err(why), _) => {
                    if known != Some(&Err(why.clone())) {
                        warn!(%why, "a secret does not decrypt; the others are not affected");
                    }
                    Err(why)
                }
            };
            (name, value)
        });
        self.known.store(Arc::new(after.collect()));
        Ok(())
    }
}
