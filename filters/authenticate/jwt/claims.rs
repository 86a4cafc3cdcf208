//! From the claims of a token whose signature is good to who is asking.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::issuer::Issuer;
use super::refused::Refused;
use super::{Identity, Role};
use crate::route::pattern_matches;

/// How long an identifier may be, in bytes.
const MAX_IDENTIFIER: usize = 256;
/// How many entries a list may have.
const MAX_LIST: usize = 256;
/// Times beyond this (the year 287396) are no times, and a double still has them to the second.
const LATEST: f64 = 9_007_199_254_740_991.0;

type Claims = Map<String, Value>;

impl Issuer {
    /// Checks what is not the signature: times, issuer, audience; then reads who it is.
    pub(super) fn identity(&self, claims: &Claims, now: u64) -> Result<Identity, Refused> {
        let expires = self.times(claims, now)?;
        // The token was given to this issuer by its `iss`, if one is configured. Once more, because everything
        // hangs on it.
        if let Some(issuer) = &self.iss
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Refused::UnknownIssuer);
        }
        self.audience(claims)?;
        let org = match &self.org {
            Some(org) => org.clone(),
            None => {
                self.identifier(claims, &self.claims.org)?.ok_or_else(|| self.missing(&*self.claims.org))?
            }
        };
        if !self.orgs.is_empty() && !self.orgs.iter().any(|pattern| pattern_matches(pattern, &org)) {
            return Err(Refused::Org { issuer: self.name.clone() });
        }
        let user = self.identifier(claims, &self.claims.user)?;
        if user.is_none() && self.user_required {
            return Err(self.missing(&*self.claims.user));
        }
        let list = |pointer: &Option<Arc<str>>| match pointer {
            Some(pointer) => self.list(claims, pointer),
            None => Ok(None),
        };
        Ok(Identity {
            issuer: self.name.clone(),
            org,
            user,
            role: self.role(&list(&self.claims.roles)?.unwrap_or_default()),
            models: list(&self.claims.models)?,
            providers: list(&self.claims.providers)?,
            operations: list(&self.claims.operations)?,
            bridges: list(&self.claims.bridges)?,
            expires,
            known: OnceLock::new(),
        })
    }

    /// When the token expires, if it is good now.
    fn times(&self, claims: &Claims, now: u64) -> Result<u64, Refused> {
        let time = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(time) => seconds(time).map(Some).ok_or_else(|| self.bad(format!("/{name}"), "is no time")),
        };
        let expires = time("exp")?.ok_or_else(|| self.missing("/exp"))?;
        if now >= expires.saturating_add(self.leeway) {
            return Err(Refused::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(name)?.is_some_and(|time| time > now.saturating_add(self.leeway)) {
                return Err(Refused::NotYetValid(name));
            }
        }
        Ok(expires)
    }

    fn audience(&self, claims: &Claims) -> Result<(), Refused> {
        let ours = |audience: &Value| {
            audience.as_str().is_some_and(|audience| self.audience.iter().any(|ours| ours == audience))
        };
        let good = self.audience.is_empty()
            || match claims.get("aud") {
                Some(Value::Array(audiences)) => audiences.iter().any(ours),
                Some(audience) => ours(audience),
                None => false,
            };
        if good { Ok(()) } else { Err(Refused::Audience { issuer: self.name.clone() }) }
    }

    /// An id, where there is one. Other systems number theirs.
    fn identifier(&self, claims: &Claims, pointer: &str) -> Result<Option<Arc<str>>, Refused> {
        let text = match look(claims, pointer) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_u64() || number.is_i64() => number.to_string(),
            Some(_) => return Err(self.bad(pointer, "is no text")),
        };
        match flaw(&text) {
            Some(why) => Err(self.bad(pointer, why)),
            None => Ok(Some(text.into())),
        }
    }

    /// A list of names, or a text with white space between them (as OAuth's `scope` is). A claim that is not
    /// there limits nothing; one that is there and cannot be read is refused, because it was meant to.
    fn list(&self, claims: &Claims, pointer: &str) -> Result<Option<Vec<String>>, Refused> {
        let names: Vec<String> = match look(claims, pointer) {
            None => return Ok(None),
            Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| self.bad(pointer, "has an entry that is no text"))?,
            Some(_) => return Err(self.bad(pointer, "is neither a list nor a text")),
        };
        if names.len() > MAX_LIST {
            return Err(self.bad(pointer, "has more than 256 entries"));
        }
        match names.iter().find_map(|name| flaw(name)) {
            Some(why) => Err(self.bad(pointer, why)),
            None => Ok(Some(names)),
        }
    }

    /// The strongest role of those that are known here.
    fn role(&self, names: &[String]) -> Role {
        let known = |name: &String| {
            if self.roles.is_empty() { Role::named(name) } else { self.roles.get(name).copied() }
        };
        names.iter().filter_map(known).max().unwrap_or(self.role)
    }

    fn missing(&self, pointer: impl Into<Arc<str>>) -> Refused {
        Refused::MissingClaim { issuer: self.name.clone(), pointer: pointer.into() }
    }

    fn bad(&self, pointer: impl Into<Arc<str>>, why: &'static str) -> Refused {
        Refused::BadClaim { issuer: self.name.clone(), pointer: pointer.into(), why }
    }
}

/// What is at `pointer` (RFC 6901).
fn look<'a>(claims: &'a Claims, pointer: &str) -> Option<&'a Value> {
    let (first, rest) = match pointer.strip_prefix('/')?.split_once('/') {
        Some((first, _)) => (first, pointer.get(first.len() + 1..)?),
        None => (pointer.get(1..)?, ""),
    };
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// RFC 7519's `NumericDate`: seconds, with a fraction if need be.
fn seconds(time: &Value) -> Option<u64> {
    if let Some(seconds) = time.as_u64() {
        return Some(seconds);
    }
    let seconds = time.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was looked at")]
    Some(seconds as u64)
}

/// Why `text` is no identifier.
pub(super) fn flaw(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("is empty")
    } else if text.len() > MAX_IDENTIFIER {
        Some("is longer than 256 bytes")
    } else if text.chars().any(char::is_control) {
        Some("has control characters")
    } else {
        None
    }
}
