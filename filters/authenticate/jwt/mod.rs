//! Tokens of other systems (JWT): who signed one, whether it is good now, and who it says is asking.
//!
//! Which issuer a token belongs to is settled before any key is tried: the one whose `issuer` is the token's `iss`,
//! else those without an `issuer`, in the order of their names. An issuer's keys check that issuer's tokens and no
//! others, by the algorithms that its configuration and the kind of the key permit; the token's word on either is a
//! question, never an answer.

mod cache;
mod claims;
mod conf;
mod crypto;
mod der;
mod issuer;
mod keys;
mod mint;
mod refused;
mod strict;
#[cfg(test)]
mod tests;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

pub use conf::{ClaimsConf, IssuerConf, OneOrMany};
pub use issuer::{Remote, Source};
pub use keys::KeySet;
pub use mint::{Order, mint};
pub use refused::{Lacking, Refused};
pub use token::MAX_TOKEN;

use super::{Role, digest};
use crate::authorize::Grant;
use crate::error::{Error, Kind};
use crate::exchange::{Caller, Operation, Via};
use cache::Verified;
use issuer::{Issuer, No};
use token::Unverified;

/// Who a token stands for. A list limits what may be used; without one, the token limits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer's name in the configuration.
    pub issuer: Arc<str>,
    pub org: Arc<str>,
    pub user: Option<Arc<str>>,
    pub role: Role,
    pub models: Option<Vec<String>>,
    pub providers: Option<Vec<String>>,
    pub operations: Option<Vec<String>>,
    pub bridges: Option<Vec<String>>,
    /// The token's `exp`, in Unix seconds.
    pub expires: u64,
    /// The caller that it is, once it has been asked for: a token comes with many requests.
    known: OnceLock<Arc<Caller>>,
}

/// All issuers that are configured.
#[derive(Debug)]
pub struct Issuers {
    all: Vec<Issuer>,
    by_iss: HashMap<String, usize>,
    without_iss: Vec<usize>,
    verified: Verified,
}

impl Identity {
    /// The caller that it is. What a token lists permits no more than that, an empty list nothing.
    pub fn caller(&self) -> Result<Arc<Caller>, Error> {
        if let Some(caller) = self.known.get() {
            return Ok(caller.clone());
        }
        let caller = Arc::new(self.new_caller()?);
        Ok(self.known.get_or_init(|| caller).clone())
    }

    fn new_caller(&self) -> Result<Caller, Error> {
        let list = |listed: &Option<Vec<String>>| match listed {
            None => Vec::new(),
            // A pattern that fits no name: without any, everything would be permitted.
            Some(listed) if listed.is_empty() => vec![String::new()],
            Some(listed) => listed.clone(),
        };
        let operations = self.operations.as_ref().map(|listed| {
            let known = listed.iter().filter_map(|name| serde_json::from_value(name.as_str().into()).ok());
            known.collect::<Vec<Operation>>()
        });
        if operations.as_ref().is_some_and(Vec::is_empty) {
            let why =
                format!("The token (issuer `{}`) permits no operation that is known here.", self.issuer);
            return Err(Error::new(Kind::Forbidden, why).code("not_permitted"));
        }
        Ok(Caller {
            org: self.org.clone(),
            user: self.user.clone(),
            via: Via::Token(self.issuer.clone()),
            role: self.role,
            grant: Grant {
                models: list(&self.models),
                providers: list(&self.providers),
                operations: operations.unwrap_or_default(),
                bridges: list(&self.bridges),
                ..Grant::default()
            },
            strict: false,
        })
    }
}

impl Issuers {
    /// What the tables `[auth.jwt.NAME]` come to, or what is wrong with one.
    pub fn new(confs: &BTreeMap<String, IssuerConf>) -> Result<Self, String> {
        crypto::install();
        let (mut all, mut by_iss, mut without_iss) = (Vec::new(), HashMap::new(), Vec::new());
        for (index, (name, conf)) in confs.iter().enumerate() {
            let issuer = Issuer::new(name, conf).map_err(|why| format!("auth.jwt.{name}: {why}"))?;
            match &issuer.iss {
                None => without_iss.push(index),
                Some(iss) if by_iss.insert(iss.clone(), index).is_some() => {
                    return Err(format!("auth.jwt.{name}: another table has the same `issuer`, {iss:?}"));
                }
                Some(_) => {}
            }
            all.push(issuer);
        }
        Ok(Self { all, by_iss, without_iss, verified: Verified::new() })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether `credential` is meant as a JWT, whoever's it is.
    pub fn looks_like(credential: &str) -> bool {
        token::looks_like(credential)
    }

    /// The issuers whose keys have to be fetched.
    pub fn remotes(&self) -> Vec<Remote> {
        self.all.iter().enumerate().filter_map(|(index, issuer)| issuer.remote(index)).collect()
    }

    /// What an operator should know of a configuration that is permitted.
    pub fn notes(&self) -> Vec<String> {
        let open = |issuer: &&Issuer| issuer.audience.is_empty() && issuer.remote(0).is_some();
        let note = |issuer: &Issuer| {
            format!(
                "auth.jwt.{}: without `audience`, tokens that the issuer made for others are good here, too",
                issuer.name
            )
        };
        self.all.iter().filter(open).map(note).collect()
    }

    /// Who `token` stands for, if that is known from before: it costs a hash.
    pub fn remembered(&self, token: &str, now: u64) -> Option<Arc<Identity>> {
        let generation = |issuer: usize| Some(self.all.get(issuer)?.generation());
        if token.len() > MAX_TOKEN { None } else { self.verified.get(&digest(token), now, generation) }
    }

    /// Who `token` stands for at `now`, in Unix seconds.
    pub fn verify(&self, token: &str, now: u64) -> Result<Arc<Identity>, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong);
        }
        let id = digest(token);
        if let Some(identity) = self.verified.get(&id, now, |issuer| Some(self.all.get(issuer)?.generation()))
        {
            return Ok(identity);
        }
        let read = Unverified::read(token)?;
        let (mut lacking, mut refused) = (Vec::new(), Refused::UnknownIssuer);
        for (index, issuer) in self.candidates(read.issuer()?) {
            match issuer.signed(index, token, &read) {
                Ok(generation) => {
                    let identity = Arc::new(issuer.identity(&read.claims, now)?);
                    let until = identity.expires.saturating_add(issuer.leeway);
                    self.verified.put(id, index, generation, until, identity.clone());
                    return Ok(identity);
                }
                Err(No::Lacking(issuer)) => lacking.push(issuer),
                Err(No::Refused(why)) => refused = why,
            }
        }
        Err(if lacking.is_empty() { refused } else { Refused::UnknownKey(lacking) })
    }

    /// The issuers that a token may be of, by its `iss`.
    fn candidates(&self, iss: Option<&str>) -> impl Iterator<Item = (usize, &Issuer)> {
        let one = iss.and_then(|iss| self.by_iss.get(iss));
        let indices = one.map_or(self.without_iss.as_slice(), std::slice::from_ref);
        indices.iter().filter_map(|index| Some((*index, self.all.get(*index)?)))
    }
}
