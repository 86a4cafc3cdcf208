//! Issuers of tokens as the configuration writes them, their secrets read.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_filters::authenticate::Credential;
use tollgate_filters::authenticate::jwt::{IssuerConf, Issuers};

use super::ConfError;
use super::secret::Secret;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuth {
    jwt: BTreeMap<String, IssuerConf>,
}

/// The issuers, and the tables they were made from.
pub(super) struct Auth {
    pub(super) tables: BTreeMap<String, IssuerConf>,
    pub(super) issuers: Issuers,
}

impl RawAuth {
    /// An issuer whose key cannot be read is `missing`: no gateway starts without it.
    pub(super) fn resolve(self, missing: &mut Vec<String>) -> Result<Auth, ConfError> {
        let mut tables = BTreeMap::new();
        for (name, mut table) in self.jwt {
            let secret = table.secret.take().map(|secret| Secret::parse(secret.expose()).resolve());
            let public_key = table.public_key.take().map(|key| Secret::parse(&key).text());
            match (secret.transpose(), public_key.transpose()) {
                (Ok(secret), Ok(public_key)) => {
                    table.secret = secret.map(Credential::new);
                    table.public_key = public_key;
                    tables.insert(name, table);
                }
                (Err(why), _) | (_, Err(why)) => {
                    missing.push(format!("auth.jwt.{name}: its key cannot be read: {why}"));
                }
            }
        }
        let issuers = Issuers::new(&tables).map_err(ConfError::new)?;
        crate::jwks::Jwks::check(&issuers).map_err(ConfError::new)?;
        Ok(Auth { tables, issuers })
    }
}
