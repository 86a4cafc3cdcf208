//! Tables that make no sense, and what is said of them.

use super::*;

fn wrong(table: impl Into<Value>) -> String {
    configured(json!({ "main": table.into() })).unwrap_err()
}

#[test]
fn there_is_one_kind_of_key() {
    for (table, says) in [
        (json!({ "org": "a" }), "has no key"),
        (json!({ "org": "a", "secret": SECRET, "public_key": ED_PUBLIC }), "several keys"),
        (json!({ "org": "a", "secret": SECRET, "jwks_url": "https://x" }), "several keys"),
        (json!({ "org": "a", "public_key": ED_PUBLIC, "jwks_url": "https://x" }), "several keys"),
    ] {
        assert!(wrong(table.clone()).contains(says), "{table}");
    }
    for table in [
        json!({ "jwks_url": "https://x/jwks" }),
        json!({ "jwks_url": "https://x/jwks", "issuer": "https://x" }),
    ] {
        assert_eq!(main(table).remotes()[0].source, Source::Jwks("https://x/jwks".into()));
    }
    let found = main(json!({ "issuer": "https://x" })).remotes();
    assert_eq!(found[0].source, Source::Discovery("https://x".into()));
}

#[test]
fn a_secret_is_at_least_as_long_as_its_hash() {
    for (bytes, algorithms, says) in [
        (31, json!(null), "HS256 needs at least 32"),
        (31, json!(["HS256"]), "HS256 needs at least 32"),
        (47, json!(["HS384"]), "HS384 needs at least 48"),
        (63, json!(["HS256", "HS512"]), "HS512 needs at least 64"),
    ] {
        let secret = "x".repeat(bytes);
        let error = wrong(json!({ "org": "a", "secret": secret, "algorithms": algorithms }));
        assert!(error.contains(says) && !error.contains(&secret), "{error}");
    }
    let short = "x".repeat(32);
    let issuers = main(json!({ "secret": short }));
    assert!(verify(&issuers, &token(&good(), Algorithm::HS256, &secret(&short))).is_ok());
    let refused = verify(&issuers, &token(&good(), Algorithm::HS512, &secret(&short)));
    assert_eq!(refused, Err(Refused::AlgorithmNotAllowed { issuer: "main".into() }));
}

#[test]
fn algorithms_fit_the_key() {
    for table in [
        json!({ "secret": SECRET, "algorithms": ["RS256"] }),
        json!({ "public_key": RSA_PUBLIC, "algorithms": ["HS256"] }),
        json!({ "public_key": RSA_PUBLIC, "algorithms": ["RS256", "HS256"] }),
        json!({ "public_key": P256_PUBLIC, "algorithms": ["ES384"] }),
        json!({ "jwks_url": "https://x", "algorithms": ["RS256", "HS256"] }),
        json!({ "issuer": "https://x", "algorithms": [] }),
        json!({ "secret": SECRET, "algorithms": [] }),
    ] {
        let mut with_org = table.clone();
        with_org["org"] = "a".into();
        assert!(wrong(with_org).contains("`algorithms`"), "{table}");
    }
    let none = json!({ "org": "a", "secret": SECRET, "algorithms": ["none"] });
    assert!(serde_json::from_value::<IssuerConf>(none).is_err());
}

#[test]
fn a_public_key_is_one_public_key_that_is_strong_enough() {
    for (pem, says) in [
        (RSA_WEAK.to_owned(), "1024 bits"),
        (RSA.to_owned(), "private key"),
        (P256.to_owned(), "private key"),
        (format!("{ED_PUBLIC}{ED_2_PUBLIC}"), "one public key"),
        (ED_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE"), "one public key"),
        (SECRET.to_owned(), "one public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned(), "no RSA"),
    ] {
        let error = wrong(json!({ "org": "a", "public_key": pem }));
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_table_says_whose_tokens_these_are_and_where_things_stand() {
    for (table, says) in [
        (json!({ "secret": SECRET }), "exactly one"),
        (json!({ "secret": SECRET, "org": "a", "claims": { "org": "/o" } }), "exactly one"),
        (json!({ "secret": SECRET, "org": "" }), "org is empty"),
        (json!({ "secret": SECRET, "org": "a", "claims": { "user": "user" } }), "claims.user"),
        (json!({ "secret": SECRET, "org": "a", "claims": { "models": "" } }), "claims.models"),
        (json!({ "secret": SECRET, "org": "a", "leeway": "1h" }), "leeway"),
        (json!({ "secret": SECRET, "org": "a", "refresh_floor": "0s" }), "refresh_floor"),
        (json!({ "secret": SECRET, "org": "a", "refresh_floor": "1h" }), "refresh_floor"),
        (json!({ "secret": SECRET, "org": "a", "audiance": "x" }), "audiance"),
        (json!({ "secret": SECRET, "org": "a", "role": "root" }), "root"),
        (json!({ "secret": SECRET, "org": "a", "refresh": "soon" }), "is no time"),
    ] {
        let error = wrong(table);
        assert!(error.contains(says), "{error}");
    }
    let twice = json!({ "secret": SECRET, "org": "a", "issuer": "https://x" });
    assert!(configured(json!({ "a": twice, "b": twice })).unwrap_err().contains("same `issuer`"));
}

#[test]
fn keys_that_others_use_as_well_are_pointed_out_where_no_audience_is_asked_for() {
    assert_eq!(main(json!({ "secret": SECRET })).notes(), Vec::<String>::new());
    assert_eq!(main(json!({ "issuer": "https://x", "audience": "gate" })).notes(), Vec::<String>::new());
    assert!(main(json!({ "issuer": "https://x" })).notes()[0].contains("auth.jwt.main"));
}

#[test]
fn a_tables_debug_output_has_no_secret() {
    let table = conf(json!({ "org": "a", "secret": SECRET }));
    assert!(!format!("{table:?}").contains(SECRET));
}
