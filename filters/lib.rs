//! What Tollgate decides about one exchange: who is asking, for which model, at what price, and where it goes.
//!
//! This crate knows no transport and no database. `ls filters/` is the list of policies; what they
//! need from the world stands in [`ports`].

pub mod adapt;
pub mod authenticate;
pub mod authorize;
pub mod budget;
pub mod catalogue;
pub mod chat;
pub mod counters;
pub mod error;
pub mod exchange;
pub mod facts;
pub mod guardrail;
mod names;
pub mod ports;
pub mod price;
pub mod quota;
pub mod rate_limit;
pub mod recall;
pub mod responses;
pub mod route;
pub mod scope;
pub mod usage;

use std::sync::Arc;

use authenticate::{Credential, Keys};
use authorize::{Orgs, Tiers};
use error::Error;
use exchange::{Caller, Dialect, Operation};
use guardrail::Guardrails;
use quota::Quotas;
use route::{Plan, Routes};

/// The policies in their one fixed order. Configuration fills them; it cannot reorder them.
///
/// A stranger is turned away from the headers alone ([`Chain::admit`]), before a byte of the body is read; everything
/// else is decided once the body's facts are known ([`Chain::decide`]).
#[derive(Debug)]
pub struct Chain {
    pub keys: Keys,
    pub orgs: Orgs,
    pub routes: Routes,
    pub quotas: Quotas,
    pub guardrails: Guardrails,
}

impl Chain {
    /// Who is asking.
    pub fn admit(&self, credential: Option<&Credential>) -> Result<Arc<Caller>, Error> {
        self.keys.authenticate(credential)
    }

    /// Where an exchange that names `model` goes, as far as all tiers permit.
    pub fn decide(
        &self,
        tiers: &Tiers<'_>,
        model: &str,
        dialect: Dialect,
        operation: Operation,
    ) -> Result<Plan, Error> {
        let plan = self.routes.resolve(model, dialect, operation)?;
        tiers.model(model, plan, &self.routes)
    }

    /// Where an exchange goes that is addressed to one provider (by path prefix, by header, or
    /// because it names no model).
    pub fn decide_for_provider(
        &self,
        tiers: &Tiers<'_>,
        provider: usize,
        model: Option<&str>,
        listing: bool,
    ) -> Result<Plan, Error> {
        let plan = Plan::one(provider, model.map(Arc::from));
        match model {
            Some(model) => tiers.targets(model, plan, &self.routes),
            None if listing => tiers.providers(plan, &self.routes),
            None => tiers.without_model(plan, &self.routes),
        }
    }
}
