//! Who is asking, decided from the request's headers alone.

mod api_key;
pub mod jwt;

use std::fmt;
use std::sync::Arc;

pub use crate::exchange::Role;
pub use api_key::{Digest, KEY_PREFIX, digest};

use crate::error::{Error, Kind};
use crate::exchange::Caller;
use crate::ports::{Directory, Ended};

/// What a client sent to say who it is. Its `Debug` output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Gateway keys, or no keys at all.
#[derive(Debug)]
pub enum Keys {
    /// Nobody is asked for a key.
    Open(Arc<Caller>),
    /// A key is asked for as soon as the directory knows one.
    WhenPresent(Arc<Caller>, Arc<dyn Directory>),
    /// A key is always asked for.
    Required(Arc<dyn Directory>),
}

impl Keys {
    /// Finds the caller behind `credential`.
    pub fn authenticate(&self, credential: Option<&Credential>) -> Result<Arc<Caller>, Error> {
        let directory = match self {
            Self::Open(anyone) => return Ok(anyone.clone()),
            Self::WhenPresent(anyone, directory) if !directory.has_keys() => {
                return Ok(anyone.clone());
            }
            Self::WhenPresent(_, directory) | Self::Required(directory) => directory,
        };
        let credential = credential.ok_or_else(missing)?;
        directory.find(&digest(credential.expose())).ok_or_else(unknown)
    }

    /// Whether nobody is asked for anything.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Whose key a refused credential was, for the log.
    pub fn was(&self, credential: &Credential) -> Option<(Arc<Caller>, Ended)> {
        match self {
            Self::Open(_) => None,
            Self::WhenPresent(_, directory) | Self::Required(directory) => {
                directory.was(&digest(credential.expose()))
            }
        }
    }
}

fn missing() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "No gateway key was sent. Send it where your SDK puts its API key: `Authorization: Bearer tg-…`, `x-api-key`, `x-goog-api-key` or `?key=`.",
    )
    .code("missing_api_key")
}

fn unknown() -> Error {
    Error::new(
        Kind::Unauthenticated,
        "The gateway key is not valid: it is unknown, revoked or expired. `tollgate keys create` makes one.",
    )
    .code("invalid_api_key")
}
