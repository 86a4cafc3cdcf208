//! Times, audience, and the claims that say who it is.

use super::*;

fn mapped() -> Issuers {
    issuers(json!({ "main": { "secret": SECRET, "orgs": ["acme", "acme-*"],
        "roles": { "gateway-admins": "admin", "viewers": "read_only" },
        "claims": { "org": "/org/id", "user": "/user/id", "roles": "/realm/roles", "models": "/models",
                    "providers": "/scope", "operations": "/ops", "bridges": "/https:~1~1acme~1bridges/0" } } }))
}

fn base() -> Value {
    json!({ "exp": NOW + 60, "org": { "id": "acme" }, "user": { "id": "ann" } })
}

/// `base` with something else in it.
fn with(name: &str, value: Value) -> Value {
    let mut claims = base();
    claims[name] = value;
    claims
}

#[test]
fn a_token_without_a_time_of_expiry_is_refused() {
    let issuers = main(json!({ "secret": SECRET }));
    let missing = Refused::MissingClaim { issuer: "main".into(), pointer: "/exp".into() };
    assert_eq!(verify(&issuers, &hs256(&json!({ "sub": "ann" }))), Err(missing));
    for exp in [json!("9999999999"), json!(null), json!(true), json!(-1), json!([NOW + 60]), json!(1e300)] {
        let refused = verify(&issuers, &hs256(&json!({ "exp": exp }))).unwrap_err();
        assert!(
            matches!(&refused, Refused::BadClaim { pointer, .. } if &**pointer == "/exp"),
            "{exp}: {refused:?}"
        );
    }
}

#[test]
fn a_token_is_good_between_its_times_give_or_take_the_leeway() {
    let issuers = main(json!({ "secret": SECRET }));
    let at = |claims: Value| verify(&issuers, &hs256(&claims)).map(|identity| identity.expires);
    assert_eq!(at(json!({ "exp": NOW - 29 })), Ok(NOW - 29));
    assert_eq!(at(json!({ "exp": NOW - 30 })), Err(Refused::Expired));
    assert_eq!(at(json!({ "exp": 0 })), Err(Refused::Expired));
    assert_eq!(at(json!({ "exp": 1_800_000_000.5 })), Ok(NOW));
    assert_eq!(at(json!({ "exp": u64::MAX })), Ok(u64::MAX));
    for name in ["nbf", "iat"] {
        assert_eq!(at(json!({ "exp": NOW + 99, name: NOW + 30 })), Ok(NOW + 99));
        assert_eq!(at(json!({ "exp": NOW + 99, name: NOW + 31 })), Err(Refused::NotYetValid(name)));
        let odd = at(json!({ "exp": NOW + 99, name: "1" }));
        assert!(matches!(odd, Err(Refused::BadClaim { .. })), "a time that cannot be read is not no time");
    }
    let strict = main(json!({ "secret": SECRET, "leeway": "0s" }));
    assert_eq!(verify(&strict, &hs256(&json!({ "exp": NOW }))), Err(Refused::Expired));
    assert!(verify(&strict, &hs256(&json!({ "exp": NOW + 1 }))).is_ok());
}

#[test]
fn the_audience_is_one_of_those_configured() {
    let issuers = main(json!({ "secret": SECRET, "audience": ["gate", "gate-2"] }));
    let at = |aud: Value| verify(&issuers, &hs256(&json!({ "exp": NOW + 60, "aud": aud }))).map(|_| ());
    let refused = Err(Refused::Audience { issuer: "main".into() });
    for aud in [json!("gate"), json!("gate-2"), json!(["other", "gate"])] {
        assert_eq!(at(aud.clone()), Ok(()), "{aud}");
    }
    for aud in [
        json!("other"),
        json!([]),
        json!(["other"]),
        json!("gate-"),
        json!(null),
        json!({ "gate": 1 }),
        json!([["gate"]]),
    ] {
        assert_eq!(at(aud.clone()), refused, "{aud}");
    }
    assert_eq!(verify(&issuers, &hs256(&good())).map(|_| ()), refused, "no audience at all");
}

#[test]
fn claims_are_found_by_their_pointers() {
    let mut claims = base();
    claims["realm"] = json!({ "roles": ["unheard-of", "viewers", "gateway-admins", "admin"] });
    claims["models"] = json!(["openai/*", "fast"]);
    claims["scope"] = "openai  anthropic".into();
    claims["ops"] = json!([]);
    claims["https://acme/bridges"] = json!(["helpdesk triage"]);
    let identity = verify(&mapped(), &hs256(&claims)).unwrap();
    let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        *identity,
        Identity {
            issuer: "main".into(),
            org: "acme".into(),
            user: Some("ann".into()),
            role: Role::Admin,
            models: list(&["openai/*", "fast"]),
            providers: list(&["openai", "anthropic"]),
            operations: list(&[]),
            bridges: list(&["helpdesk", "triage"]),
            expires: NOW + 60,
            known: OnceLock::new(),
        }
    );
    let bare = verify(&mapped(), &hs256(&base())).unwrap();
    assert_eq!((bare.role, &bare.models, &bare.bridges), (Role::Member, &None, &None));
}

#[test]
fn only_the_roles_that_the_configuration_knows_count() {
    let role =
        |roles: Value| verify(&mapped(), &hs256(&with("realm", json!({ "roles": roles })))).map(|i| i.role);
    assert_eq!(role(json!(["admin"])), Ok(Role::Member), "the issuer's own `admin` is another");
    assert_eq!(role(json!(["viewers"])), Ok(Role::ReadOnly));
    assert_eq!(role(json!("viewers gateway-admins")), Ok(Role::Admin));
    assert!(matches!(role(json!({ "gateway-admins": true })), Err(Refused::BadClaim { .. })));
    let own = main(json!({ "secret": SECRET, "role": "read_only", "claims": { "roles": "/roles" } }));
    let own = |roles: Value| verify(&own, &hs256(&json!({ "exp": NOW + 60, "roles": roles }))).unwrap().role;
    assert_eq!(own(json!(["admin"])), Role::Admin);
    assert_eq!(own(json!(["Admin", "root"])), Role::ReadOnly);
    let none = main(json!({ "secret": SECRET }));
    let claims = json!({ "exp": NOW + 60, "roles": ["admin"], "role": "admin" });
    assert_eq!(verify(&none, &hs256(&claims)).unwrap().role, Role::Member, "without a pointer nobody looks");
}

#[test]
fn an_issuer_speaks_only_for_its_organisations() {
    let at = |org: &str| verify(&mapped(), &hs256(&with("org", json!({ "id": org })))).map(|_| ());
    assert_eq!(at("acme-eu"), Ok(()));
    for org in ["globex", "acm", "acmes", "Acme", "xacme-eu", "acme "] {
        assert_eq!(at(org), Err(Refused::Org { issuer: "main".into() }), "{org}");
    }
}

#[test]
fn a_claim_that_is_missing_is_named_by_its_pointer() {
    for (claims, pointer) in [
        (with("org", json!({})), "/org/id"),
        (with("org", json!("acme")), "/org/id"),
        (with("org", json!({ "id": null })), "/org/id"),
        (with("user", json!({ "id": null })), "/user/id"),
        (with("user", json!([])), "/user/id"),
    ] {
        let refused = verify(&mapped(), &hs256(&claims)).unwrap_err();
        assert_eq!(refused, Refused::MissingClaim { issuer: "main".into(), pointer: pointer.into() });
        assert!(refused.to_string().contains(pointer));
    }
}

#[test]
fn identifiers_are_short_and_printable() {
    let long = "x".repeat(257);
    for id in [
        json!(""),
        json!("  "),
        json!(long),
        json!("a\nb"),
        json!("a\u{0}"),
        json!("a\u{7f}"),
        json!(1.5),
        json!(true),
        json!(["acme"]),
    ] {
        let refused = verify(&mapped(), &hs256(&with("org", json!({ "id": id })))).unwrap_err();
        assert!(matches!(refused, Refused::BadClaim { .. }), "{id}: {refused:?}");
    }
    let at = |models: Value| verify(&mapped(), &hs256(&with("models", models))).map(|i| i.models.clone());
    assert_eq!(at("x".repeat(256).into()), Ok(Some(vec!["x".repeat(256)])));
    for models in [json!([long]), json!(["a\u{1b}[0m"]), json!([""]), json!(vec!["m"; 257])] {
        assert!(matches!(at(models.clone()), Err(Refused::BadClaim { .. })), "{models}");
    }
}

#[test]
fn a_limit_that_cannot_be_read_refuses_instead_of_limiting_nothing() {
    for models in [json!(null), json!(1), json!({ "a": 1 }), json!(["a", 1]), json!(true)] {
        let refused = verify(&mapped(), &hs256(&with("models", models.clone()))).unwrap_err();
        assert!(matches!(&refused, Refused::BadClaim { pointer, .. } if &**pointer == "/models"), "{models}");
    }
    let nothing = verify(&mapped(), &hs256(&with("models", json!("")))).unwrap();
    assert_eq!(nothing.models, Some(vec![]));
}
