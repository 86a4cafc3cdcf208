//! A token as it came, taken apart and not yet believed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::keys::MAX_KID;
use super::refused::Refused;
use super::strict;

/// Nothing longer is decoded, or even hashed.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The header's fields that count, and the claims. Whatever else a header holds (`jwk`, `jku`, `x5u`, `x5c`) would
/// let the token choose its own key; it is not looked at.
pub(super) struct Unverified {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
}

impl Unverified {
    pub(super) fn read(token: &str) -> Result<Self, Refused> {
        let mut segments = token.split('.');
        let (Some(header), Some(claims), Some(signature)) =
            (segments.next(), segments.next(), segments.next())
        else {
            return Err(Refused::Malformed("it has not three parts"));
        };
        match segments.count() {
            0 => {}
            2 => return Err(Refused::Encrypted),
            _ => return Err(Refused::Malformed("it has not three parts")),
        }
        let header = object(header).ok_or(Refused::Malformed("its header is no JSON object"))?;
        let (algorithm, kid) = head(&header)?;
        if signature.is_empty() {
            return Err(Refused::Malformed("it is not signed"));
        }
        let claims = object(claims).ok_or(Refused::Malformed("its claims are no JSON object"))?;
        Ok(Self { algorithm, kid, claims })
    }

    /// Who made the token, by its own word.
    pub(super) fn issuer(&self) -> Result<Option<&str>, Refused> {
        match self.claims.get("iss") {
            None => Ok(None),
            Some(Value::String(issuer)) => Ok(Some(issuer)),
            Some(_) => Err(Refused::Malformed("its claim `iss` is no text")),
        }
    }
}

fn head(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Refused> {
    if header.contains_key("enc") {
        return Err(Refused::Encrypted);
    }
    // Extensions that have to be understood (RFC 7515, 4.1.11). None is.
    if header.contains_key("crit") {
        return Err(Refused::Critical);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Refused::Algorithm)?;
    let algorithm = algorithm.parse().map_err(|_| Refused::Algorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
        Some(_) => return Err(Refused::KeyId),
    };
    Ok((algorithm, kid))
}

fn object(segment: &str) -> Option<Map<String, Value>> {
    strict::object(&BASE64_URL_SAFE_NO_PAD.decode(segment).ok()?)
}

/// Whether `credential` is meant as a JWT: parts with dots between them, the first of them JSON in base64url.
pub(super) fn looks_like(credential: &str) -> bool {
    // `{"`, `{ ` or `{` and a line break.
    let json = credential.starts_with("ey") || credential.starts_with("ew");
    json && credential.bytes().filter(|b| *b == b'.').count() >= 2
}
