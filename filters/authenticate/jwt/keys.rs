//! The keys of one issuer, each bound to the algorithms it may serve.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;

use super::der;
use super::strict;

/// How many keys of a published set are looked at. Real ones have a handful.
const MAX_KEYS: usize = 64;
/// How long a key's id may be, in bytes.
pub(super) const MAX_KID: usize = 256;

/// What an issuer's tokens may be signed with, as it was at one time.
#[derive(Debug)]
pub struct KeySet {
    generation: u64,
    origin: Origin,
    pub(super) keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Configured,
    Published,
    /// To be published, and not seen yet.
    Unknown,
}

/// A key and the algorithms that it may serve.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) material: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl KeySet {
    fn new(origin: Origin, keys: Vec<Key>) -> Self {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        Self { generation: GENERATIONS.fetch_add(1, Ordering::Relaxed), origin, keys }
    }

    /// A number that no other set of this process has.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// No set of the issuer's has been seen yet.
    pub fn is_unknown(&self) -> bool {
        self.origin == Origin::Unknown
    }

    /// Whether the issuer publishes its keys, so that looking again may help.
    pub(super) fn is_published(&self) -> bool {
        self.origin != Origin::Configured
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The set before the first look.
    pub(super) fn unknown() -> Self {
        Self::new(Origin::Unknown, Vec::new())
    }

    /// One shared secret.
    pub(super) fn secret(secret: &str, allowed: Option<&[Algorithm]>) -> Result<Self, String> {
        if secret.contains("-----BEGIN") {
            return Err("`secret` holds a key in PEM; a public key belongs into `public_key`".to_owned());
        }
        let hashes = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
        let short = |name: Algorithm, least: usize| {
            format!(
                "`secret` has {} bytes; {name:?} needs at least {least}, as many as its hash",
                secret.len()
            )
        };
        let mut fitting = Vec::new();
        for (algorithm, least) in hashes {
            let fits = secret.len() >= least;
            match allowed {
                Some(allowed) if allowed.contains(&algorithm) && !fits => {
                    return Err(short(algorithm, least));
                }
                None if algorithm == Algorithm::HS256 && !fits => return Err(short(algorithm, least)),
                _ if fits => fitting.push(algorithm),
                _ => {}
            }
        }
        let key = DecodingKey::from_secret(secret.as_bytes());
        Self::one(Key::new(None, key, &fitting, allowed), allowed, &fitting, "a secret")
    }

    /// One public key in PEM.
    pub(super) fn pem(pem: &str, allowed: Option<&[Algorithm]>) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY-----") {
            return Err("`public_key` holds a private key; the gateway needs the public one alone".to_owned());
        }
        let public =
            pem.contains("-----BEGIN PUBLIC KEY-----") || pem.contains("-----BEGIN RSA PUBLIC KEY-----");
        if !public || pem.matches("-----BEGIN").count() != 1 {
            return Err("`public_key` is not one public key in PEM (-----BEGIN PUBLIC KEY-----)".to_owned());
        }
        let (key, fitting) = public_key(pem.as_bytes())?;
        Self::one(Key::new(None, key, fitting, allowed), allowed, fitting, "this public key")
    }

    fn one(
        key: Key,
        allowed: Option<&[Algorithm]>,
        fitting: &[Algorithm],
        what: &str,
    ) -> Result<Self, String> {
        let foreign = allowed.unwrap_or_default().iter().find(|a| !fitting.contains(a));
        match foreign {
            Some(foreign) => Err(format!("`algorithms` names {foreign:?}; {what} serves {fitting:?}")),
            None if key.algorithms.is_empty() => Err("`algorithms` is empty: nothing could sign".to_owned()),
            None => Ok(Self::new(Origin::Configured, vec![key])),
        }
    }

    /// The keys of a JWK set that can verify: public ones, for signatures, of a kind and size that is known and
    /// strong enough. The others are left out, as RFC 7517 asks; a document that is no set is an error.
    pub fn from_jwks(document: &[u8], allowed: Option<&[Algorithm]>) -> Result<Self, String> {
        let mut object = strict::object(document).ok_or("what it publishes is no JSON object")?;
        let Some(serde_json::Value::Array(entries)) = object.remove("keys") else {
            return Err("what it publishes has no list `keys`".to_owned());
        };
        let entries = entries.into_iter().take(MAX_KEYS);
        let keys = entries.filter_map(|entry| serde_json::from_value::<Entry>(entry).ok()?.key(allowed));
        Ok(Self::new(Origin::Published, keys.collect()))
    }
}

impl Key {
    fn new(
        kid: Option<String>,
        material: DecodingKey,
        fitting: &[Algorithm],
        allowed: Option<&[Algorithm]>,
    ) -> Self {
        let permitted = |algorithm: &&Algorithm| allowed.is_none_or(|allowed| allowed.contains(algorithm));
        Self { kid, material, algorithms: fitting.iter().filter(permitted).copied().collect() }
    }

    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// A key in PEM, and what it can serve.
fn public_key(pem: &[u8]) -> Result<(DecodingKey, &'static [Algorithm]), String> {
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        let algorithms = match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => &[Algorithm::ES256],
            Ok(97) => &[Algorithm::ES384],
            _ => return Err("`public_key` is on a curve other than P-256 and P-384".to_owned()),
        };
        return Ok((key, algorithms));
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return Ok((key, &[Algorithm::EdDSA]));
    }
    let key = DecodingKey::from_rsa_pem(pem)
        .map_err(|_| "`public_key` is no RSA, P-256, P-384 or Ed25519 key".to_owned())?;
    let parts = key.try_get_as_bytes().ok().and_then(der::rsa_public_key);
    let (n, e) = parts.ok_or("`public_key` is no RSA key that can be read")?;
    Ok((rsa(n, e)?, RSA))
}

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

fn rsa(n: &[u8], e: &[u8]) -> Result<DecodingKey, String> {
    let strip = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip_while(|b| *b == 0).collect() };
    let (n, e) = (strip(n), strip(e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(format!("an RSA key of {bits} bits; 2048 to 8192 are good"));
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

/// An entry of a JWK set, as far as it matters here. `x5u` and the like are not even read.
#[derive(Deserialize)]
struct Entry {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Entry {
    fn key(self, allowed: Option<&[Algorithm]>) -> Option<Key> {
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        // Who publishes the private half has no key any more.
        let secret = self.d.is_some();
        if !signs || secret || self.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return None;
        }
        let (key, fitting) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (rsa(&bytes(self.n.as_ref()?)?, &bytes(self.e.as_ref()?)?).ok()?, RSA),
            ("EC", Some("P-256")) => (self.point(32)?, &[Algorithm::ES256] as &[_]),
            ("EC", Some("P-384")) => (self.point(48)?, &[Algorithm::ES384] as &[_]),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(self.x.as_ref()?).filter(|x| x.len() == 32)?;
                (DecodingKey::from_ed_der(&x), &[Algorithm::EdDSA] as &[_])
            }
            // `oct` among them: a secret that is published is none.
            _ => return None,
        };
        let mut key = Key::new(self.kid, key, fitting, allowed);
        if let Some(named) = &self.alg {
            let named: Algorithm = named.parse().ok()?;
            key.algorithms.retain(|algorithm| *algorithm == named);
        }
        (!key.algorithms.is_empty()).then_some(key)
    }

    /// An uncompressed point: 4, x, y.
    fn point(&self, size: usize) -> Option<DecodingKey> {
        let (x, y) = (bytes(self.x.as_ref()?)?, bytes(self.y.as_ref()?)?);
        (x.len() == size && y.len() == size)
            .then(|| DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat()))
    }
}

fn bytes(text: &String) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether `allowed` names something that no published key could ever serve.
pub(super) fn asymmetric(allowed: Option<&[Algorithm]>) -> Result<(), String> {
    let allowed = allowed.unwrap_or(RSA);
    if allowed.is_empty() {
        return Err("`algorithms` is empty: nothing could sign".to_owned());
    }
    match allowed.iter().find(|algorithm| algorithm.family() == AlgorithmFamily::Hmac) {
        Some(hmac) => Err(format!("`algorithms` names {hmac:?}, but published keys are no secrets")),
        None => Ok(()),
    }
}
