//! The cheap shield against floods, by address, before anything is looked at closely: estimates, not exact counts.

use std::net::IpAddr;
use std::time::Duration;

use pingora_limits::rate::Rate;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::scope::network;

use crate::conf;

/// Estimates of what each address did in the current second. Its size is fixed, however many addresses there are; two
/// that share all its slots are taken for one.
pub struct Shield {
    requests: Option<(Rate, isize)>,
    bad_credentials: Option<(Rate, isize)>,
}

const INTERVAL: Duration = Duration::from_secs(1);

impl std::fmt::Debug for Shield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shield")
    }
}

impl Shield {
    pub fn new(conf: conf::Shield) -> Self {
        let rate = |limit: u32| {
            let limit = isize::try_from(limit).unwrap_or(isize::MAX);
            (limit > 0).then(|| (Rate::new(INTERVAL), limit))
        };
        Self { requests: rate(conf.requests), bad_credentials: rate(conf.bad_credentials) }
    }

    /// A request has come from `address`.
    pub(super) fn request(&self, address: Option<IpAddr>) -> Result<(), Error> {
        let (Some((rate, limit)), Some(address)) = (&self.requests, address) else { return Ok(()) };
        if rate.observe(&network(address), 1) > *limit { Err(flood("requests")) } else { Ok(()) }
    }

    /// Whether `address` has shown so many bad credentials that another one is not worth checking at a price.
    pub(super) fn distrusts(&self, address: Option<IpAddr>) -> bool {
        let (Some((rate, limit)), Some(address)) = (&self.bad_credentials, address) else { return false };
        rate.observe(&network(address), 0) > *limit
    }

    /// A credential of `address` was no good: what it is told.
    pub(super) fn bad_credential(&self, address: Option<IpAddr>, refusal: Error) -> Error {
        let (Some((rate, limit)), Some(address)) = (&self.bad_credentials, address) else { return refusal };
        if rate.observe(&network(address), 1) > *limit { flood("bad credentials") } else { refusal }
    }
}

/// A credential that nobody looked at.
pub(super) fn distrusted() -> Error {
    flood("bad credentials")
}

/// The code of what the shield keeps out.
pub(super) const CODE: &str = "flood";

fn flood(of: &str) -> Error {
    Error::new(Kind::RateLimited, format!("Too many {of} come from this address."))
        .code(CODE)
        .rule("shield")
        .retry_after(INTERVAL)
}
