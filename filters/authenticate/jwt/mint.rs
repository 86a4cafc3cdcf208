//! Tokens for development, as an issuer of the configuration would make them.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{self as sig, EcdsaKeyPair};
use serde_json::{Map, Value};

use super::{IssuerConf, Issuers, Role};

/// What a token should say.
#[derive(Debug, Clone, Default)]
pub struct Order {
    pub org: Option<String>,
    pub user: Option<String>,
    pub role: Option<Role>,
    pub models: Vec<String>,
    pub providers: Vec<String>,
    pub operations: Vec<String>,
    pub bridges: Vec<String>,
    pub expires: Duration,
    /// The key id in its header.
    pub kid: Option<String>,
    /// Other claims, by pointer.
    pub claims: Vec<(String, Value)>,
}

/// A token of the issuer `name`, made at `now`. It is signed with the issuer's secret, or with `private_key` (PKCS#8
/// in PEM), and it is one that the issuer's own rules let through.
pub fn mint(
    name: &str,
    conf: &IssuerConf,
    private_key: Option<&str>,
    order: &Order,
    now: u64,
) -> Result<String, String> {
    let (algorithm, key) = match (&conf.secret, private_key) {
        (Some(secret), None) => {
            let first = conf.algorithms.as_ref().and_then(|algorithms| algorithms.first());
            (first.copied().unwrap_or(Algorithm::HS256), EncodingKey::from_secret(secret.expose().as_bytes()))
        }
        (Some(_), Some(_)) => {
            return Err(format!("the issuer `{name}` signs with its secret; leave the private key out"));
        }
        (None, Some(pem)) => private(pem, conf.algorithms.as_deref())?,
        (None, None) => return Err(format!("the issuer `{name}` has no secret: a private key has to sign")),
    };
    let claims = claims(conf, order, now)?;
    // Checks the configuration, and makes ring what signs.
    let issuers = Issuers::new(&BTreeMap::from([(name.to_owned(), conf.clone())]))?;
    let header = Header { kid: order.kid.clone(), ..Header::new(algorithm) };
    let token = jsonwebtoken::encode(&header, &claims, &key).map_err(|_| "the key cannot sign".to_owned())?;
    if issuers.remotes().is_empty() {
        issuers.verify(&token, now).map_err(|why| format!("the token would not be good: {why}"))?;
    }
    Ok(token)
}

fn claims(conf: &IssuerConf, order: &Order, now: u64) -> Result<Value, String> {
    let mut claims = Map::from_iter([
        ("iat".to_owned(), now.into()),
        ("exp".to_owned(), now.saturating_add(order.expires.as_secs()).into()),
    ]);
    if let Some(issuer) = &conf.issuer {
        claims.insert("iss".to_owned(), issuer.as_str().into());
    }
    if let Some(audience) = conf.audience.0.first() {
        claims.insert("aud".to_owned(), audience.as_str().into());
    }
    let mut claims = Value::Object(claims);
    let mut put = |name: &str, pointer: &Option<String>, value: Option<Value>| match (pointer, value) {
        (_, None) => Ok(()),
        (Some(pointer), Some(value)) => place(&mut claims, pointer, value),
        (None, Some(_)) => Err(format!("`claims.{name}` is not configured: a token has no place for it")),
    };
    let list = |names: &[String]| Some(names).filter(|names| !names.is_empty()).map(Value::from);
    // A fixed organisation stands in no claim.
    let org = order.org.clone().filter(|org| conf.org.as_ref() != Some(org));
    put("org", &conf.claims.org, org.map(Value::from))?;
    let user = conf.claims.user.clone().or_else(|| Some("/sub".to_owned()));
    put("user", &user, order.user.clone().map(Value::from))?;
    put("roles", &conf.claims.roles, order.role.map(|role| Value::from(vec![role_name(conf, role)])))?;
    put("models", &conf.claims.models, list(&order.models))?;
    put("providers", &conf.claims.providers, list(&order.providers))?;
    put("operations", &conf.claims.operations, list(&order.operations))?;
    put("bridges", &conf.claims.bridges, list(&order.bridges))?;
    for (pointer, value) in &order.claims {
        place(&mut claims, pointer, value.clone())?;
    }
    Ok(claims)
}

/// What the issuer calls a role.
fn role_name(conf: &IssuerConf, role: Role) -> &str {
    let foreign = conf.roles.iter().find(|(_, known)| **known == role);
    foreign.map_or(role.as_str(), |(name, _)| name.as_str())
}

/// Puts `value` where `pointer` says, with the objects that lead there.
fn place(claims: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let path = pointer.strip_prefix('/').ok_or_else(|| format!("{pointer:?} is no JSON pointer"))?;
    let mut at = claims;
    for name in path.split('/') {
        let Value::Object(object) = at else {
            return Err(format!("{pointer:?} leads through something that is no object"));
        };
        let name = name.replace("~1", "/").replace("~0", "~");
        at = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
    Ok(())
}

/// A private key in PEM, and what it signs with: the first of `allowed` that it can.
fn private(pem: &str, allowed: Option<&[Algorithm]>) -> Result<(Algorithm, EncodingKey), String> {
    let bytes = pem.as_bytes();
    let curve =
        |key: &EncodingKey, how| EcdsaKeyPair::from_pkcs8(how, key.as_bytes(), &SystemRandom::new()).is_ok();
    let key = EncodingKey::from_ed_pem(bytes)
        .or_else(|_| EncodingKey::from_ec_pem(bytes))
        .or_else(|_| EncodingKey::from_rsa_pem(bytes))
        .map_err(|_| "the private key is none in PEM (PKCS#8: -----BEGIN PRIVATE KEY-----)".to_owned())?;
    let first = |algorithms: &[Algorithm]| {
        let permitted = |a: &&Algorithm| allowed.is_none_or(|allowed| allowed.contains(a));
        algorithms.iter().find(permitted).copied()
    };
    let algorithm = match key.family() {
        AlgorithmFamily::Ec if curve(&key, &sig::ECDSA_P256_SHA256_FIXED_SIGNING) => {
            first(&[Algorithm::ES256])
        }
        AlgorithmFamily::Ec if curve(&key, &sig::ECDSA_P384_SHA384_FIXED_SIGNING) => {
            first(&[Algorithm::ES384])
        }
        AlgorithmFamily::Ec => return Err("the private key's curve is not known here".to_owned()),
        family => first(family.algorithms()),
    };
    Ok((algorithm.ok_or("the issuer's `algorithms` have none that the private key can sign with")?, key))
}
