//! Tokens that are good, and who they stand for. Attacks are in `attacks.rs`.

mod attacks;
mod claims;
mod configuration;
mod cost;
mod published;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret that is long enough for every hash, SHA-512 among them..";

/// Keys made for these tests and used nowhere else.
const RSA: &str = include_str!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
const RSA_WEAK: &str = include_str!("keys/rsa1024.pub.pem");
const P256: &str = include_str!("keys/p256.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");
const P384: &str = include_str!("keys/p384.pem");
const P384_PUBLIC: &str = include_str!("keys/p384.pub.pem");
const ED: &str = include_str!("keys/ed25519.pem");
const ED_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");
const ED_2: &str = include_str!("keys/ed25519-2.pem");
const ED_2_PUBLIC: &str = include_str!("keys/ed25519-2.pub.pem");

fn conf(table: Value) -> IssuerConf {
    serde_json::from_value(table).unwrap()
}

fn configured(tables: Value) -> Result<Issuers, String> {
    let tables: BTreeMap<String, IssuerConf> = serde_json::from_value(tables).map_err(|e| e.to_string())?;
    Issuers::new(&tables)
}

fn issuers(tables: Value) -> Issuers {
    configured(tables).unwrap()
}

/// One issuer, `main`, that speaks for `acme`.
fn main(mut table: Value) -> Issuers {
    table["org"] = "acme".into();
    issuers(json!({ "main": table }))
}

fn secret(secret: &str) -> EncodingKey {
    EncodingKey::from_secret(secret.as_bytes())
}

fn private(pem: &str) -> EncodingKey {
    let pem = pem.as_bytes();
    let key = EncodingKey::from_ed_pem(pem).or_else(|_| EncodingKey::from_ec_pem(pem));
    key.or_else(|_| EncodingKey::from_rsa_pem(pem)).unwrap()
}

fn encoded(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// Signs a header and claims word for word.
fn signed(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    crypto::install();
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &Value, algorithm: Algorithm, key: &EncodingKey) -> String {
    signed(&json!({ "alg": algorithm }).to_string(), &claims.to_string(), algorithm, key)
}

fn with_kid(kid: &str, key: &str) -> String {
    let header = json!({ "alg": "EdDSA", "kid": kid }).to_string();
    signed(&header, &good().to_string(), Algorithm::EdDSA, &private(key))
}

/// Claims that are good, by an issuer that asks for nothing else.
fn good() -> Value {
    json!({ "exp": NOW + 60, "sub": "ann" })
}

fn hs256(claims: &Value) -> String {
    token(claims, Algorithm::HS256, &secret(SECRET))
}

fn verify(issuers: &Issuers, token: &str) -> Result<Arc<Identity>, Refused> {
    issuers.verify(token, NOW)
}

#[test]
fn a_token_is_good_under_each_algorithm_that_fits_the_issuers_key() {
    use Algorithm::*;
    let rsa: &[Algorithm] = &[RS256, RS384, RS512, PS256, PS384, PS512];
    let cases: [(Value, EncodingKey, &[Algorithm]); 5] = [
        (json!({ "secret": SECRET }), secret(SECRET), &[HS256, HS384, HS512]),
        (json!({ "public_key": RSA_PUBLIC }), private(RSA), rsa),
        (json!({ "public_key": P256_PUBLIC }), private(P256), &[ES256]),
        (json!({ "public_key": P384_PUBLIC }), private(P384), &[ES384]),
        (json!({ "public_key": ED_PUBLIC }), private(ED), &[EdDSA]),
    ];
    for (table, key, algorithms) in cases {
        let issuers = main(table);
        for algorithm in algorithms {
            let identity = verify(&issuers, &token(&good(), *algorithm, &key)).unwrap();
            assert_eq!((&*identity.org, identity.user.as_deref()), ("acme", Some("ann")), "{algorithm:?}");
            let mut tampered = good();
            tampered["sub"] = "eve".into();
            let good = token(&good(), *algorithm, &key);
            let (header, signature) = (good.split('.').next().unwrap(), good.split('.').nth(2).unwrap());
            let tampered = format!("{header}.{}.{signature}", encoded(&tampered.to_string()));
            assert_eq!(verify(&issuers, &tampered), Err(Refused::Signature), "{algorithm:?}");
        }
    }
}

#[test]
fn each_issuer_has_its_own_mapping_and_organisation() {
    let issuers = issuers(json!({
        "one": { "secret": SECRET, "issuer": "https://one", "org": "acme" },
        "two": { "public_key": ED_PUBLIC, "issuer": "https://two",
                 "claims": { "org": "/org/id", "user": "/user/id", "roles": "/roles" } },
    }));
    let one = json!({ "iss": "https://one", "exp": NOW + 60, "org": { "id": "globex" }, "roles": ["admin"] });
    let identity = verify(&issuers, &hs256(&one)).unwrap();
    assert_eq!((&*identity.issuer, &*identity.org, identity.role), ("one", "acme", Role::Member));
    let two = json!({ "iss": "https://two", "exp": NOW + 60, "org": { "id": "globex" }, "user": { "id": 7 },
                      "roles": ["admin"] });
    let identity = verify(&issuers, &token(&two, Algorithm::EdDSA, &private(ED))).unwrap();
    assert_eq!((&*identity.issuer, &*identity.org, identity.role), ("two", "globex", Role::Admin));
    assert_eq!(identity.user.as_deref(), Some("7"));
}

#[test]
fn issuers_without_a_name_of_their_own_are_tried_in_the_order_of_their_names() {
    let issuers = issuers(json!({
        "b": { "public_key": ED_PUBLIC, "org": "b" },
        "a": { "secret": SECRET, "org": "a" },
        "c": { "public_key": ED_PUBLIC, "org": "c" },
    }));
    assert_eq!(&*verify(&issuers, &hs256(&good())).unwrap().org, "a");
    assert_eq!(&*verify(&issuers, &token(&good(), Algorithm::EdDSA, &private(ED))).unwrap().org, "b");
}

#[test]
fn a_token_that_comes_again_is_known_until_it_expires_or_its_issuers_keys_change() {
    let issuers = main(json!({ "secret": SECRET, "leeway": "10s" }));
    let token = hs256(&good());
    let first = verify(&issuers, &token).unwrap();
    assert!(Arc::ptr_eq(&first, &verify(&issuers, &token).unwrap()), "the second time it was looked up");
    assert_eq!(issuers.verify(&token, NOW + 69).map(|_| ()), Ok(()));
    assert_eq!(issuers.verify(&token, NOW + 70), Err(Refused::Expired));
    assert_eq!(issuers.verified.len(), 0, "what has expired is let go");
}

#[test]
fn what_is_refused_is_not_remembered() {
    let issuers = main(json!({ "secret": SECRET }));
    let other = token(&good(), Algorithm::HS256, &secret("another secret, also long enough for SHA-256"));
    for _ in 0..3 {
        assert_eq!(verify(&issuers, &other), Err(Refused::Signature));
    }
    assert_eq!(issuers.verified.len(), 0);
}

#[test]
fn a_jwt_is_told_from_other_credentials() {
    assert!(Issuers::looks_like(&hs256(&good())));
    assert!(Issuers::looks_like(&format!("{}.a.b", encoded("{ \"alg\": \"none\" }"))));
    assert!(Issuers::looks_like("eyJhbGciOiJkaXIifQ.a.b.c.d"), "an encrypted one, so that it is told why");
    for other in ["tg-eyJh.x.y", "sk-proj-abc", "", "eyJhbGciOiJIUzI1NiJ9", "a.b.c", "AIza.Sy.x"] {
        assert!(!Issuers::looks_like(other), "{other}");
    }
}

#[test]
fn a_minted_token_is_one_that_its_issuer_lets_through() {
    let table = json!({ "secret": SECRET, "issuer": "https://one", "audience": ["gate", "other"],
        "roles": { "gateway-admins": "admin" },
        "claims": { "org": "/org/id", "user": "/org/user~1id", "roles": "/roles", "models": "/m" } });
    let order = Order {
        org: Some("acme".into()),
        user: Some("ann".into()),
        role: Some(Role::Admin),
        models: vec!["openai/*".into()],
        expires: std::time::Duration::from_secs(60),
        claims: vec![("/team/name".into(), "red".into())],
        ..Order::default()
    };
    let token = mint("main", &conf(table.clone()), None, &order, NOW).unwrap();
    let identity = verify(&issuers(json!({ "main": table.clone() })), &token).unwrap();
    assert_eq!((&*identity.org, identity.user.as_deref(), identity.role), ("acme", Some("ann"), Role::Admin));
    assert_eq!(identity.models.as_deref(), Some(&["openai/*".to_owned()][..]));
    assert_eq!(identity.expires, NOW + 60);
    let nowhere = Order { bridges: vec!["b".into()], ..order.clone() };
    assert!(mint("main", &conf(table), None, &nowhere, NOW).unwrap_err().contains("claims.bridges"));
    let limited = conf(json!({ "secret": SECRET, "claims": { "org": "/o" }, "orgs": ["globex"] }));
    let order = Order { role: None, models: vec![], ..order };
    assert!(mint("main", &limited, None, &order, NOW).unwrap_err().contains("may not speak"));
}

#[test]
fn a_token_is_minted_with_a_private_key_where_the_issuer_has_a_public_one() {
    for (public, private) in [(RSA_PUBLIC, RSA), (P256_PUBLIC, P256), (P384_PUBLIC, P384), (ED_PUBLIC, ED)] {
        let table = json!({ "public_key": public, "org": "acme" });
        let order = Order { expires: std::time::Duration::from_secs(60), ..Order::default() };
        let token = mint("main", &conf(table.clone()), Some(private), &order, NOW).unwrap();
        assert_eq!(&*verify(&issuers(json!({ "main": table.clone() })), &token).unwrap().org, "acme");
        assert!(mint("main", &conf(table), None, &order, NOW).unwrap_err().contains("private key"));
    }
}
