//! Keys that an issuer publishes: which of them count, and what a change of them does.

use super::*;

/// A JWK of an Ed25519 key in PEM, whose last 32 bytes are the key.
pub(super) fn ed(kid: &str, pem: &str) -> Value {
    let key = jsonwebtoken::DecodingKey::from_ed_pem(pem.as_bytes()).unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.try_get_as_bytes().unwrap());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
}

fn rsa(pem: &str) -> Value {
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let (n, e) = der::rsa_public_key(key.try_get_as_bytes().unwrap()).unwrap();
    let n: Vec<u8> = n.iter().copied().skip_while(|b| *b == 0).collect();
    json!({ "kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode(n), "e": BASE64_URL_SAFE_NO_PAD.encode(e) })
}

fn ec(curve: &str, pem: &str) -> Value {
    let key = jsonwebtoken::DecodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let point = &key.try_get_as_bytes().unwrap()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y) })
}

fn publish(issuers: &Issuers, keys: &[Value]) {
    issuers.remotes()[0].publish(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
}

/// One issuer, `main`, that publishes these keys.
pub(super) fn issuers_with(keys: &[Value]) -> Issuers {
    let issuers = main(json!({ "jwks_url": "https://x/jwks" }));
    publish(&issuers, keys);
    issuers
}

fn count(keys: &[Value]) -> usize {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), None).unwrap().len()
}

fn merged(mut jwk: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn keys_of_each_kind_verify() {
    use Algorithm::*;
    let cases: [(Value, &str, &[Algorithm]); 4] = [
        (rsa(RSA_PUBLIC), RSA, &[RS256, RS384, RS512, PS256, PS384, PS512]),
        (ec("P-256", P256_PUBLIC), P256, &[ES256]),
        (ec("P-384", P384_PUBLIC), P384, &[ES384]),
        (ed("x", ED_PUBLIC), ED, &[EdDSA]),
    ];
    for (jwk, key, algorithms) in cases {
        let issuers = issuers_with(&[jwk]);
        for algorithm in algorithms {
            assert!(verify(&issuers, &token(&good(), *algorithm, &private(key))).is_ok(), "{algorithm:?}");
        }
    }
}

#[test]
fn keys_that_are_not_for_signatures_or_not_strong_are_left_out() {
    let good = ed("x", ED_PUBLIC);
    assert_eq!(count(std::slice::from_ref(&good)), 1);
    for more in [
        json!({ "use": "enc" }),
        json!({ "use": "other" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "none" }),
        json!({ "crv": "Ed448" }),
        json!({ "crv": "X25519" }),
        json!({ "kty": "oct", "k": encoded(SECRET) }),
        json!({ "x": "AAAA" }),
        json!({ "x": "?" }),
        json!({ "kid": "k".repeat(257) }),
        json!({ "kid": 7 }),
        json!({ "d": "AAAA" }),
    ] {
        assert_eq!(count(&[merged(good.clone(), &more)]), 0, "{more}");
    }
    for more in [
        json!({ "use": "sig" }),
        json!({ "key_ops": ["verify"] }),
        json!({ "alg": "EdDSA" }),
        json!({ "new": 1 }),
    ] {
        assert_eq!(count(&[merged(good.clone(), &more)]), 1, "{more}");
    }
    assert_eq!(count(&[rsa(RSA_WEAK), json!(1), json!({}), good]), 1, "one bad key spoils no other");
    assert_eq!(count(&[merged(ec("P-256", P256_PUBLIC), &json!({ "crv": "P-384" }))]), 0);
    assert_eq!(count(&[merged(ec("P-256", P256_PUBLIC), &json!({ "crv": "secp256k1" }))]), 0);
}

#[test]
fn a_published_secret_signs_nothing() {
    let oct = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": encoded(SECRET) });
    let issuers = issuers_with(&[oct, ed("x", ED_PUBLIC)]);
    let header = json!({ "alg": "HS256", "kid": "s" }).to_string();
    let forged = signed(&header, &good().to_string(), Algorithm::HS256, &secret(SECRET));
    assert!(matches!(verify(&issuers, &forged), Err(Refused::UnknownKey(_))));
    // Nor does a public key by its id.
    let header = json!({ "alg": "HS256", "kid": "x" }).to_string();
    let forged = signed(&header, &good().to_string(), Algorithm::HS256, &secret(ED_PUBLIC));
    assert_eq!(verify(&issuers, &forged), Err(Refused::AlgorithmNotAllowed { issuer: "main".into() }));
}

#[test]
fn a_keys_own_algorithm_narrows_what_it_serves() {
    let issuers = issuers_with(&[merged(rsa(RSA_PUBLIC), &json!({ "alg": "PS256", "kid": "r" }))]);
    let with = |algorithm: Algorithm| {
        let header = json!({ "alg": algorithm, "kid": "r" }).to_string();
        verify(&issuers, &signed(&header, &good().to_string(), algorithm, &private(RSA))).map(|_| ())
    };
    assert_eq!(with(Algorithm::PS256), Ok(()));
    assert_eq!(with(Algorithm::RS256), Err(Refused::AlgorithmNotAllowed { issuer: "main".into() }));
}

#[test]
fn an_issuers_list_narrows_what_its_published_keys_serve() {
    let issuers = main(json!({ "jwks_url": "https://x", "algorithms": ["PS512"] }));
    publish(&issuers, &[rsa(RSA_PUBLIC)]);
    assert!(verify(&issuers, &token(&good(), Algorithm::PS512, &private(RSA))).is_ok());
    assert!(verify(&issuers, &token(&good(), Algorithm::RS256, &private(RSA))).is_err());
}

#[test]
fn a_key_is_good_as_long_as_it_is_published() {
    let issuers = issuers_with(&[ed("old", ED_PUBLIC)]);
    let (old, new) = (with_kid("old", ED), with_kid("new", ED_2));
    assert!(verify(&issuers, &old).is_ok());
    let Err(Refused::UnknownKey(lacking)) = verify(&issuers, &new) else {
        panic!("the key is not there yet")
    };
    let seen = issuers.remotes()[0].keys().generation();
    assert_eq!(lacking, [Lacking { issuer: 0, generation: seen, unknown: false }]);
    // Rotation: both for a while, then the new one alone.
    publish(&issuers, &[ed("old", ED_PUBLIC), ed("new", ED_2_PUBLIC)]);
    assert!(verify(&issuers, &old).is_ok() && verify(&issuers, &new).is_ok());
    publish(&issuers, &[ed("new", ED_2_PUBLIC)]);
    assert!(
        matches!(verify(&issuers, &old), Err(Refused::UnknownKey(_))),
        "though it was known a moment ago"
    );
    assert!(verify(&issuers, &new).is_ok());
    // Another key under the same name.
    publish(&issuers, &[ed("new", ED_PUBLIC)]);
    assert_eq!(verify(&issuers, &new), Err(Refused::Signature));
    publish(&issuers, &[]);
    assert!(matches!(verify(&issuers, &new), Err(Refused::UnknownKey(_))), "an issuer may withdraw all");
}

#[test]
fn what_is_no_set_of_keys_changes_nothing() {
    let issuers = issuers_with(&[ed("one", ED_PUBLIC)]);
    let set = issuers.remotes()[0].keys();
    for document in
        ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "<html>", "{\"keys\":[]"]
    {
        assert!(issuers.remotes()[0].publish(document.as_bytes()).is_err(), "{document}");
    }
    assert_eq!(issuers.remotes()[0].keys().generation(), set.generation());
    assert!(verify(&issuers, &with_kid("one", ED)).is_ok());
}

#[test]
fn before_the_first_look_the_caller_is_told_to_try_again() {
    let issuers = main(json!({ "issuer": "https://x" }));
    let claims = json!({ "iss": "https://x", "exp": NOW + 60 });
    let refused = verify(&issuers, &token(&claims, Algorithm::EdDSA, &private(ED))).unwrap_err();
    assert_eq!(refused.code(), "token_keys_missing");
    assert_eq!(Error::from(&refused).kind.status(), 503);
}

#[test]
fn a_token_that_names_no_key_is_tried_with_a_few() {
    let issuers = issuers_with(&[ed("a", ED_2_PUBLIC), ed("b", ED_PUBLIC)]);
    let bare = token(&good(), Algorithm::EdDSA, &private(ED));
    assert!(verify(&issuers, &bare).is_ok());
    publish(&issuers, &[ed("a", ED_2_PUBLIC)]);
    assert!(matches!(verify(&issuers, &bare), Err(Refused::UnknownKey(_))), "it may be a new key's");
    let many: Vec<_> = (0..5).map(|i| ed(&i.to_string(), ED_PUBLIC)).collect();
    publish(&issuers, &many);
    assert_eq!(verify(&issuers, &bare), Err(Refused::NoKeyId { issuer: "main".into() }));
    assert!(verify(&issuers, &with_kid("3", ED)).is_ok());
    let endless: Vec<_> = (0..1000).map(|i| ed(&i.to_string(), ED_PUBLIC)).collect();
    assert_eq!(count(&endless), 64);
}

#[test]
fn two_issuers_with_published_keys_keep_them_apart() {
    let issuers = issuers(json!({
        "a": { "jwks_url": "https://a/jwks", "issuer": "https://a", "org": "a" },
        "b": { "jwks_url": "https://b/jwks", "issuer": "https://b", "org": "b" },
    }));
    let document = |key: Value| json!({ "keys": [key] }).to_string();
    let remotes = issuers.remotes();
    remotes[0].publish(document(ed("k", ED_PUBLIC)).as_bytes()).unwrap();
    remotes[1].publish(document(ed("k", ED_2_PUBLIC)).as_bytes()).unwrap();
    let made = |issuer: &str, key: &str| {
        let header = json!({ "alg": "EdDSA", "kid": "k" }).to_string();
        let claims = json!({ "iss": issuer, "exp": NOW + 60 }).to_string();
        verify(&issuers, &signed(&header, &claims, Algorithm::EdDSA, &private(key)))
            .map(|i| i.org.to_string())
    };
    assert_eq!(made("https://a", ED), Ok("a".into()));
    assert_eq!(made("https://b", ED_2), Ok("b".into()));
    assert_eq!(made("https://a", ED_2), Err(Refused::Signature));
    assert_eq!(made("https://b", ED), Err(Refused::Signature));
}
