//! Whether a caller may do what it asks for: the intersection of what its tiers permit. A denial says which tier denied.

mod grant;
mod orgs;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

pub use grant::{Grant, Network, time};
pub use orgs::{Org, Orgs};
use smallvec::SmallVec;

use crate::error::{Error, Kind};
use crate::exchange::{Caller, Operation, Role, Via};
use crate::route::{Plan, Routes, Target, pattern_matches};

/// One of the tiers that have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier<'a> {
    Org(&'a str),
    User(&'a str),
    Bridge(&'a str),
    Key(&'a str),
    Token(&'a str),
    Role(Role),
}

impl fmt::Display for Tier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org(name) => write!(f, "organisation `{name}`"),
            Self::User(name) => write!(f, "user `{name}`"),
            Self::Bridge(name) => write!(f, "bridge `{name}`"),
            Self::Key(name) => write!(f, "key `{name}`"),
            Self::Token(issuer) => write!(f, "token (issuer `{issuer}`)"),
            Self::Role(role) => write!(f, "role `{}`", role.as_str()),
        }
    }
}

/// What a request asks to be done.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub operation: Operation,
    /// Without the prefix of a provider.
    pub path: &'a str,
}

/// The tiers of one caller.
#[derive(Debug)]
pub struct Tiers<'a>(SmallVec<[(Tier<'a>, &'a Grant); 4]>);

impl<'a> Tiers<'a> {
    /// The tiers that have a say. A bridge that the organisation does not have is not found.
    pub fn of(caller: &'a Caller, orgs: &'a Orgs, bridge: Option<&'a str>) -> Result<Self, Error> {
        let mut tiers = SmallVec::new();
        let own = match &caller.via {
            Via::Key(name) => Tier::Key(name),
            Via::Token(issuer) => Tier::Token(issuer),
            Via::Nobody => Tier::Role(caller.role),
        };
        tiers.push((own, &caller.grant));
        let org = orgs.get(&caller.org);
        if let Some(org) = org {
            tiers.push((Tier::Org(&caller.org), &org.grant));
            if let Some(user) = caller.user.as_deref()
                && let Some(grant) = org.user(user)
            {
                tiers.push((Tier::User(user), grant));
            }
        }
        if let Some(bridge) = bridge {
            let Some(grant) = org.and_then(|org| org.bridges.get(bridge)) else {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("The organisation `{}` has no bridge `{bridge}`.", caller.org),
                )
                .code("bridge_not_found"));
            };
            let tiers_of_the_caller = Self(tiers);
            tiers_of_the_caller
                .all(|grant| grant.permits_bridge(bridge), || format!("the bridge `{bridge}`"))?;
            tiers = tiers_of_the_caller.0;
            tiers.push((Tier::Bridge(bridge), grant));
        }
        Ok(Self(tiers))
    }

    /// What can be said from the headers alone: whether the permission lasts, where the request comes from, and what it
    /// asks to be done.
    pub fn enter(
        &self,
        role: Role,
        address: Option<IpAddr>,
        asked: Asked<'_>,
        now: u64,
    ) -> Result<(), Error> {
        self.all(|grant| !grant.is_expired(now), || Cow::Borrowed("anything any more: it has expired"))?;
        self.all(
            |grant| grant.permits_address(address),
            || match address {
                Some(address) => Cow::Owned(format!("requests from {address}")),
                None => Cow::Borrowed("requests from an unknown address"),
            },
        )?;
        let Asked { method, operation, path } = asked;
        self.all(
            |grant| grant.permits_operation(operation),
            || format!("the operation `{}`", operation.as_str()),
        )?;
        if !role.permits(method, operation, path) {
            return Err(denied(Tier::Role(role), &format!("{method} {path}")));
        }
        Ok(())
    }

    /// Keeps the targets of `plan` that every tier permits, where `asked` is a name of the gateway's: a pattern permits
    /// an alias, or a target (see [`Tiers::targets`]).
    pub fn model(&self, asked: &str, plan: Plan, routes: &Routes) -> Result<Plan, Error> {
        let by_alias = |grant: &Grant| {
            routes.is_alias(asked) && grant.models.iter().any(|pattern| pattern_matches(pattern, asked))
        };
        self.keep(asked, plan, routes, by_alias)
    }

    /// Keeps the targets of `plan` that every tier permits. A pattern permits a target by its full `provider/model`
    /// or by its bare model, unless the pattern is the name of an alias: behind a provider's prefix, a model that
    /// happens to be called like one is another model.
    pub fn targets(&self, asked: &str, plan: Plan, routes: &Routes) -> Result<Plan, Error> {
        self.keep(asked, plan, routes, |_| false)
    }

    /// An operation that names no model (a batch, a file) can run any; whoever is limited to some models may not use it.
    pub fn without_model(&self, plan: Plan, routes: &Routes) -> Result<Plan, Error> {
        self.all(|grant| grant.models.is_empty(), || Cow::Borrowed("an operation that names no model"))?;
        self.providers(plan, routes)
    }

    /// Keeps the targets whose providers every tier permits.
    pub fn providers(&self, mut plan: Plan, routes: &Routes) -> Result<Plan, Error> {
        let first = plan.targets.first().map(|target| target.provider);
        for (tier, grant) in &self.0 {
            plan.targets.retain(|target| grant.permits_provider(routes.provider_name(target.provider)));
            if plan.targets.is_empty() {
                let name = first.map_or("", |provider| routes.provider_name(provider));
                return Err(denied(*tier, &format!("the provider `{name}`")).code("provider_not_permitted"));
            }
        }
        Ok(plan)
    }

    fn keep(
        &self,
        asked: &str,
        plan: Plan,
        routes: &Routes,
        whole: impl Fn(&Grant) -> bool,
    ) -> Result<Plan, Error> {
        let mut plan = self.providers(plan, routes)?;
        for (tier, grant) in &self.0 {
            if grant.models.is_empty() || whole(grant) {
                continue;
            }
            let permitted = |target: &Target| {
                let model = target.model.as_deref().unwrap_or(asked);
                let full = format!("{}/{model}", routes.provider_name(target.provider));
                grant.models.iter().any(|pattern| {
                    pattern_matches(pattern, &full)
                        || !is_addressed(pattern, routes) && pattern_matches(pattern, model)
                })
            };
            plan.targets.retain(permitted);
            if plan.targets.is_empty() {
                let allowed = grant.models.join("`, `");
                return Err(Error::new(
                    Kind::Forbidden,
                    format!("The {tier} does not permit model `{asked}`; it permits `{allowed}`."),
                )
                .param("model")
                .code("model_not_permitted")
                .rule(tier.to_string()));
            }
        }
        Ok(plan)
    }

    fn all<T: fmt::Display>(
        &self,
        permits: impl Fn(&Grant) -> bool,
        what: impl Fn() -> T,
    ) -> Result<(), Error> {
        match self.0.iter().find(|(_, grant)| !permits(grant)) {
            None => Ok(()),
            Some((tier, _)) => Err(denied(*tier, &what().to_string())),
        }
    }
}

/// Whether a pattern is the name of an alias or says which provider it means: then it means no bare model.
fn is_addressed(pattern: &str, routes: &Routes) -> bool {
    let provider = pattern.split_once('/').map(|(provider, _)| provider);
    routes.is_alias(pattern) || provider.is_some_and(|provider| routes.is_provider(provider))
}

fn denied(tier: Tier<'_>, what: &str) -> Error {
    Error::new(Kind::Forbidden, format!("The {tier} does not permit {what}."))
        .code("not_permitted")
        .rule(tier.to_string())
}

#[cfg(test)]
mod tests;
