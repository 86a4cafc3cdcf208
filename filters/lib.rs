//! What Tollgate decides about one exchange: who is asking, for which model, at what price, and where it goes.
//!
//! This crate knows no transport and no database. `ls filters/` is the list of policies; what they
//! need from the world stands in [`ports`].

pub mod adapt;
pub mod authenticate;
pub mod authorize;
pub mod catalogue;
pub mod chat;
pub mod error;
pub mod exchange;
pub mod facts;
mod names;
pub mod ports;
pub mod price;
pub mod recall;
pub mod responses;
pub mod route;
pub mod usage;

use std::sync::Arc;

use authenticate::{Credential, Keys};
use error::Error;
use exchange::{Caller, Dialect, Operation};
use route::{Plan, Routes};

/// The policies in their one fixed order. Configuration fills them; it cannot reorder them.
///
/// A stranger is turned away from the headers alone ([`Chain::admit`]), before a byte of the body is
/// read; everything else is decided once the body's facts are known ([`Chain::decide`]).
#[derive(Debug)]
pub struct Chain {
    pub keys: Keys,
    pub routes: Routes,
}

impl Chain {
    /// Who is asking.
    pub fn admit(&self, credential: Option<&Credential>) -> Result<Arc<Caller>, Error> {
        self.keys.authenticate(credential)
    }

    /// Where an exchange that names `model` goes, as far as `caller` may.
    pub fn decide(
        &self,
        caller: &Caller,
        model: &str,
        dialect: Dialect,
        operation: Operation,
    ) -> Result<Plan, Error> {
        let plan = self.routes.resolve(model, dialect, operation)?;
        authorize::model(caller, model, plan, &self.routes)
    }

    /// Where an exchange goes that is addressed to one provider (by path prefix, by header, or
    /// because it names no model).
    pub fn decide_for_provider(
        &self,
        caller: &Caller,
        provider: usize,
        model: Option<&str>,
        listing: bool,
    ) -> Result<Plan, Error> {
        let plan = Plan::one(provider, model.map(Arc::from));
        match model {
            Some(model) => authorize::targets(caller, model, plan, &self.routes),
            None if listing => Ok(plan),
            None => authorize::without_model(caller, plan),
        }
    }
}
