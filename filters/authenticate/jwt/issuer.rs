//! One issuer as it is used: its keys, its checks, and where in its claims things stand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;

use super::Role;
use super::claims::flaw;
use super::conf::IssuerConf;
use super::keys::{Key, KeySet, asymmetric};
use super::refused::{Lacking, Refused};
use super::token::Unverified;

/// How many keys are tried for a token that names none. Each costs a signature check.
const MAX_TRIES: usize = 4;
const LEEWAY: Duration = Duration::from_secs(30);
/// A clock that is off by more than this should be set, not believed.
const MAX_LEEWAY: Duration = Duration::from_secs(600);
const REFRESH: Duration = Duration::from_secs(600);
/// Long enough that a flood of made-up key ids costs the issuer six requests a minute; short enough that a key
/// that has just been published is known before anybody looks into it.
const FLOOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: Arc<str>,
    pub(super) iss: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) leeway: u64,
    pub(super) org: Option<Arc<str>>,
    pub(super) orgs: Vec<String>,
    pub(super) role: Role,
    pub(super) roles: HashMap<String, Role>,
    pub(super) claims: Pointers,
    pub(super) user_required: bool,
    keys: Arc<ArcSwap<KeySet>>,
    remote: Option<(Source, Times)>,
    allow_http: bool,
    algorithms: Option<Vec<Algorithm>>,
}

#[derive(Debug)]
pub(super) struct Pointers {
    pub(super) org: Arc<str>,
    pub(super) user: Arc<str>,
    pub(super) roles: Option<Arc<str>>,
    pub(super) models: Option<Arc<str>>,
    pub(super) providers: Option<Arc<str>>,
    pub(super) operations: Option<Arc<str>>,
    pub(super) bridges: Option<Arc<str>>,
}

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Jwks(String),
    /// An OIDC issuer, whose discovery document names the place.
    Discovery(String),
}

#[derive(Debug, Clone, Copy)]
struct Times {
    refresh: Duration,
    floor: Duration,
}

/// An issuer whose keys somebody has to fetch, and where to put them.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The issuer's place in [`super::Issuers`].
    pub index: usize,
    pub name: Arc<str>,
    pub source: Source,
    pub refresh: Duration,
    pub floor: Duration,
    pub allow_http: bool,
    algorithms: Option<Vec<Algorithm>>,
    keys: Arc<ArcSwap<KeySet>>,
}

impl Remote {
    pub fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Puts the keys of a JWK set in the place of those there are. A document that is none changes nothing.
    pub fn publish(&self, document: &[u8]) -> Result<Arc<KeySet>, String> {
        let keys = Arc::new(KeySet::from_jwks(document, self.algorithms.as_deref())?);
        self.keys.store(keys.clone());
        Ok(keys)
    }
}

/// Why an issuer's keys do not speak for a token.
pub(super) enum No {
    Refused(Refused),
    Lacking(Lacking),
}

impl Issuer {
    /// What `conf` comes to, or the key that is wrong and why.
    pub(super) fn new(name: &str, conf: &IssuerConf) -> Result<Self, String> {
        let mut pointers = conf.claims.pointers();
        if let Some((key, pointer)) = pointers.find(|(_, pointer)| !pointer.starts_with('/')) {
            return Err(format!("claims.{key}: {pointer:?} is no JSON pointer; write it as \"/org/id\""));
        }
        if conf.org.is_some() == conf.claims.org.is_some() {
            return Err("exactly one of `org` and `claims.org` says whose tokens these are".to_owned());
        }
        if let Some(why) = conf.org.as_deref().and_then(flaw) {
            return Err(format!("org {why}"));
        }
        let leeway = conf.leeway.unwrap_or(LEEWAY);
        if leeway > MAX_LEEWAY {
            return Err("leeway: at most 10m".to_owned());
        }
        let times =
            Times { refresh: conf.refresh.unwrap_or(REFRESH), floor: conf.refresh_floor.unwrap_or(FLOOR) };
        if times.floor.is_zero() || times.floor > times.refresh {
            return Err("refresh_floor: more than nothing and at most `refresh`".to_owned());
        }
        let (keys, source) = keys(conf)?;
        let shared = |pointer: &Option<String>| pointer.as_deref().map(Arc::from);
        Ok(Self {
            name: name.into(),
            iss: conf.issuer.clone(),
            audience: conf.audience.0.clone(),
            leeway: leeway.as_secs(),
            org: shared(&conf.org),
            orgs: conf.orgs.clone(),
            role: conf.role,
            roles: conf.roles.iter().map(|(name, role)| (name.clone(), *role)).collect(),
            claims: Pointers {
                org: shared(&conf.claims.org).unwrap_or_default(),
                user: shared(&conf.claims.user).unwrap_or_else(|| "/sub".into()),
                roles: shared(&conf.claims.roles),
                models: shared(&conf.claims.models),
                providers: shared(&conf.claims.providers),
                operations: shared(&conf.claims.operations),
                bridges: shared(&conf.claims.bridges),
            },
            user_required: conf.claims.user.is_some(),
            keys: Arc::new(ArcSwap::from_pointee(keys)),
            remote: source.map(|source| (source, times)),
            allow_http: conf.allow_http,
            algorithms: conf.algorithms.clone(),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.keys.load().generation()
    }

    pub(super) fn remote(&self, index: usize) -> Option<Remote> {
        let (source, times) = self.remote.clone()?;
        Some(Remote {
            index,
            name: self.name.clone(),
            source,
            refresh: times.refresh,
            floor: times.floor,
            allow_http: self.allow_http,
            algorithms: self.algorithms.clone(),
            keys: self.keys.clone(),
        })
    }

    /// Whether one of this issuer's own keys has signed `token`; the generation of the set that has it.
    pub(super) fn signed(&self, index: usize, token: &str, read: &Unverified) -> Result<u64, No> {
        let set = self.keys.load();
        let lacking = || Lacking { issuer: index, generation: set.generation(), unknown: set.is_unknown() };
        let (named, keys) = candidates(&set, read.kid.as_deref());
        if set.is_published() && keys.is_empty() {
            return Err(No::Lacking(lacking()));
        }
        let fitting: Vec<_> = keys.into_iter().filter(|key| key.serves(read.algorithm)).collect();
        if fitting.is_empty() {
            return Err(No::Refused(Refused::AlgorithmNotAllowed { issuer: self.name.clone() }));
        }
        if fitting.len() > MAX_TRIES {
            return Err(No::Refused(Refused::NoKeyId { issuer: self.name.clone() }));
        }
        let Some((message, signature)) = token.rsplit_once('.') else {
            return Err(No::Refused(Refused::Signature));
        };
        let good = |key: &&Key| {
            // An error is a key of another family, or a signature that is no base64url.
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.material, read.algorithm)
                .unwrap_or(false)
        };
        match fitting.iter().any(good) {
            true => Ok(set.generation()),
            // A set without ids may have changed; a key that was named is what it is.
            false if set.is_published() && !named => Err(No::Lacking(lacking())),
            false => Err(No::Refused(Refused::Signature)),
        }
    }
}

/// The keys that may have signed, and whether the token named them. Of a published set these are the keys with its
/// `kid`, else those without one; a key that is configured is the only one.
fn candidates<'a>(set: &'a KeySet, kid: Option<&str>) -> (bool, Vec<&'a Key>) {
    let Some(kid) = kid.filter(|_| set.is_published()) else {
        return (false, set.keys.iter().collect());
    };
    let named: Vec<_> = set.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect();
    if named.is_empty() {
        return (false, set.keys.iter().filter(|key| key.kid.is_none()).collect());
    }
    (true, named)
}

fn keys(conf: &IssuerConf) -> Result<(KeySet, Option<Source>), String> {
    let allowed = conf.algorithms.as_deref();
    let unknown = |source| {
        asymmetric(allowed)?;
        Ok((KeySet::unknown(), Some(source)))
    };
    match (&conf.secret, &conf.public_key, &conf.jwks_url, &conf.issuer) {
        (Some(secret), None, None, _) => Ok((KeySet::secret(secret.expose(), allowed)?, None)),
        (None, Some(pem), None, _) => Ok((KeySet::pem(pem, allowed)?, None)),
        (None, None, Some(url), _) => unknown(Source::Jwks(url.clone())),
        (None, None, None, Some(issuer)) => unknown(Source::Discovery(issuer.clone())),
        (None, None, None, None) => {
            Err("has no key: write `secret`, `public_key`, `jwks_url`, or `issuer` alone for discovery"
                .to_owned())
        }
        _ => Err("has several keys: write one of `secret`, `public_key` and `jwks_url`".to_owned()),
    }
}
