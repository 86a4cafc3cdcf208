//! What the operator wrote down of organisations, their users and their bridges.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Grant, Network};
use crate::exchange::Operation;
use crate::price::Prices;

/// The `[orgs.…]` tables. One named `*` stands for every organisation that has none of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Orgs(HashMap<String, Arc<Org>>);

/// One organisation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Table")]
pub struct Org {
    pub grant: Grant,
    /// One named `*` stands for every user who has none of his own.
    pub users: HashMap<String, Grant>,
    pub bridges: HashMap<String, Grant>,
    /// What it pays, where that is not what everybody pays.
    pub prices: Prices,
}

/// A `[orgs.…]` table as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    models: Vec<String>,
    providers: Vec<String>,
    operations: Vec<Operation>,
    networks: Vec<Network>,
    #[serde(with = "super::grant::time")]
    expires: Option<u64>,
    users: HashMap<String, Grant>,
    bridges: HashMap<String, Grant>,
    prices: Prices,
}

impl From<Table> for Org {
    fn from(table: Table) -> Self {
        let Table { models, providers, operations, networks, expires, users, bridges, prices } = table;
        Self {
            grant: Grant { models, providers, operations, networks, bridges: Vec::new(), expires },
            users,
            bridges,
            prices,
        }
    }
}

impl Orgs {
    pub fn get(&self, org: &str) -> Option<&Arc<Org>> {
        self.0.get(org).or_else(|| self.0.get("*"))
    }
}

impl Org {
    pub fn user(&self, user: &str) -> Option<&Grant> {
        self.users.get(user).or_else(|| self.users.get("*"))
    }
}
