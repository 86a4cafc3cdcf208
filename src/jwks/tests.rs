//! A played issuer on a real socket: what it costs, and what the gateway survives of it.

mod played;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_filters::authenticate::jwt::{IssuerConf, Order, mint};

use super::*;
use played::Played;

/// Keys made for tests and used nowhere else.
const OLD: &str = include_str!("../../filters/authenticate/jwt/tests/keys/ed25519.pem");
const OLD_PUBLIC: &str = include_str!("../../filters/authenticate/jwt/tests/keys/ed25519.pub.pem");
const NEW: &str = include_str!("../../filters/authenticate/jwt/tests/keys/ed25519-2.pem");
const NEW_PUBLIC: &str = include_str!("../../filters/authenticate/jwt/tests/keys/ed25519-2.pub.pem");

fn conf(mut table: Value) -> IssuerConf {
    table["org"] = "acme".into();
    serde_json::from_value(table).unwrap()
}

fn started(table: Value) -> Jwks {
    let confs = BTreeMap::from([("main".to_owned(), conf(table))]);
    Jwks::start(Arc::new(Issuers::new(&confs).unwrap())).unwrap()
}

/// One whose clockwork stands still unless it is asked.
fn asked_only(issuer: &Played, floor: &str) -> Jwks {
    started(json!({ "jwks_url": issuer.url("/jwks"), "refresh": "1h", "refresh_floor": floor }))
}

fn token(kid: &str, key: &str) -> String {
    let order = Order { kid: Some(kid.to_owned()), expires: Duration::from_secs(60), ..Order::default() };
    mint("main", &conf(json!({ "jwks_url": "https://x" })), Some(key), &order, now()).unwrap()
}

/// A set of Ed25519 keys by their ids.
fn set(keys: &[(&str, &str)]) -> String {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    let jwk = |(kid, pem): &(&str, &str)| {
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(der).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(&der[der.len() - 32..]);
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
    };
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
}

fn code(verified: Result<Arc<Identity>, Refused>) -> &'static str {
    verified.map_or_else(|refused| refused.code(), |_| "good")
}

/// Waits for the end of a look, however it ends.
async fn a_look(jwks: &Jwks) {
    let mut rounds = jwks.watched[0].shared.rounds.subscribe();
    timeout(Duration::from_secs(20), rounds.changed()).await.unwrap().unwrap();
}

/// Has the issuer looked at until two more looks are over, of which the second began after this did.
async fn looked_at_again(jwks: &Jwks) {
    let rounds = || *jwks.watched[0].shared.rounds.borrow();
    let seen = rounds();
    let give_up = Instant::now() + Duration::from_secs(20);
    while rounds() < seen + 2 {
        assert!(Instant::now() < give_up, "nobody looks");
        assert_ne!(code(jwks.verify(&token("made up", OLD)).await), "good");
    }
}

async fn looks(jwks: &Jwks, at_least: u64) {
    let mut rounds = jwks.watched[0].shared.rounds.subscribe();
    timeout(Duration::from_secs(20), rounds.wait_for(|n| *n >= at_least)).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_first_token_waits_for_its_issuers_keys() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks = asked_only(&issuer, "10s");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
    assert_eq!(issuer.requests(), 1);
    let stats = jwks.stats().remove(0);
    assert_eq!((&*stats.issuer, stats.failing, stats.fetches, stats.keys), ("main", false, 1, 1));
    assert!(stats.last_success.is_some_and(|at| at + 5 > now()));
}

#[tokio::test]
async fn a_rotated_key_is_good_with_its_first_token_and_the_old_one_as_long_as_it_is_published() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks = asked_only(&issuer, "1ns");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC), ("new", NEW_PUBLIC)]));
    assert_eq!(code(jwks.verify(&token("new", NEW)).await), "good");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
    issuer.answer("/jwks", 200, &set(&[("new", NEW_PUBLIC)]));
    // The next look is at an unknown key's asking, or after `refresh`.
    assert_eq!(code(jwks.verify(&token("made up", OLD)).await), "token_key");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "token_key");
    assert_eq!(code(jwks.verify(&token("new", NEW)).await), "good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_made_up_key_ids_costs_the_issuer_one_request_for_each_floor() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks = Arc::new(asked_only(&issuer, "200ms"));
    let (started, mut refused) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) {
        let flood: Vec<_> = (0..50)
            .map(|i| {
                let (jwks, token) = (jwks.clone(), token(&format!("made up {refused} {i}"), NEW));
                tokio::spawn(async move { code(jwks.verify(&token).await) })
            })
            .collect();
        for one in flood {
            assert_eq!(one.await.unwrap(), "token_key");
            refused += 1;
        }
        assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good", "the others are not kept waiting");
    }
    let floors = started.elapsed().as_millis() / 200;
    let requests = issuer.requests() as u128;
    assert!((2..=floors + 1).contains(&requests), "{requests} requests in {floors} floors, {refused} tokens");
    assert!(refused > 100, "a flood, that is: {refused}");
}

#[tokio::test]
async fn those_who_wait_share_one_look() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let held = issuer.hold();
    let jwks = Arc::new(asked_only(&issuer, "10s"));
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let jwks = jwks.clone();
            tokio::spawn(async move { code(jwks.verify(&token("old", OLD)).await) })
        })
        .collect();
    while jwks.watched[0].shared.rounds.receiver_count() < 50 {
        tokio::task::yield_now().await;
    }
    drop(held);
    for one in waiting {
        assert_eq!(one.await.unwrap(), "good");
    }
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn the_last_keys_stay_through_an_outage_and_new_ones_come_after_it() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks = asked_only(&issuer, "10ms");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
    for (status, body) in [(500, "{}"), (404, ""), (200, "<html>"), (200, "{}"), (503, "{\"keys\":[]}")] {
        issuer.answer("/jwks", status, body);
        looked_at_again(&jwks).await;
        assert!(jwks.stats()[0].failing, "{status} {body}");
        assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good", "{status} {body}");
    }
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC), ("new", NEW_PUBLIC)]));
    looked_at_again(&jwks).await;
    assert!(!jwks.stats()[0].failing);
    assert_eq!(code(jwks.verify(&token("new", NEW)).await), "good");
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_found_later() {
    let address = Played::nowhere();
    let jwks = started(json!({ "jwks_url": format!("http://{address}/jwks"), "refresh_floor": "20ms" }));
    let refused = jwks.verify(&token("old", OLD)).await;
    assert_eq!(code(refused), "token_keys_missing");
    assert!(jwks.stats()[0].last_success.is_none());
    let issuer = Played::at(address);
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    while jwks.stats()[0].last_success.is_none() {
        a_look(&jwks).await;
    }
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "good");
}

#[tokio::test]
async fn keys_are_looked_at_again_by_themselves_and_a_withdrawn_one_is_no_longer_good() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks =
        started(json!({ "jwks_url": issuer.url("/jwks"), "refresh": "50ms", "refresh_floor": "50ms" }));
    let good = token("old", OLD);
    assert_eq!(code(jwks.verify(&good).await), "good");
    let generation = jwks.watched[0].keys().generation();
    let seen = *jwks.watched[0].shared.rounds.borrow();
    looks(&jwks, seen + 2).await;
    assert_eq!(jwks.watched[0].keys().generation(), generation, "what has not changed stays the same set");
    issuer.answer("/jwks", 200, &set(&[]));
    looks(&jwks, seen + 5).await;
    assert_eq!(code(jwks.verify(&good).await), "token_key");
}

#[tokio::test]
async fn discovery_leads_to_the_keys_if_the_document_is_the_issuers_own() {
    let issuer = Played::start();
    let found = |of: &str| json!({ "issuer": of, "jwks_uri": issuer.url("/its/keys") }).to_string();
    issuer.answer("/its/keys", 200, &set(&[("old", OLD_PUBLIC)]));
    let url = issuer.url("");
    issuer.answer("/.well-known/openid-configuration", 200, &found("https://somebody.else"));
    let jwks = started(json!({ "issuer": url, "refresh_floor": "10ms" }));
    looks(&jwks, 2).await;
    assert!(jwks.stats()[0].failing && jwks.stats()[0].keys == 0);
    issuer.answer("/.well-known/openid-configuration", 200, &found(&url));
    while jwks.stats()[0].last_success.is_none() {
        a_look(&jwks).await;
    }
    let order = Order { kid: Some("old".into()), expires: Duration::from_secs(60), ..Order::default() };
    let named = mint("main", &conf(json!({ "issuer": url })), Some(OLD), &order, now()).unwrap();
    assert_eq!(code(jwks.verify(&named).await), "good");
    assert_eq!(code(jwks.verify(&token("old", OLD)).await), "token_issuer", "no `iss`");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_too_long_a_document_is_not_read() {
    let issuer = Played::start();
    issuer.redirect("/jwks", &issuer.url("/elsewhere"));
    issuer.answer("/elsewhere", 200, &set(&[("old", OLD_PUBLIC)]));
    let jwks = asked_only(&issuer, "10ms");
    looks(&jwks, 2).await;
    assert!(jwks.stats()[0].failing);
    assert_eq!(issuer.requested("/elsewhere"), 0);
    let long = |bytes: usize| set(&[("old", OLD_PUBLIC)]) + &" ".repeat(bytes);
    issuer.answer("/jwks", 200, &long(1 << 20));
    looked_at_again(&jwks).await;
    assert!(jwks.stats()[0].failing && jwks.stats()[0].keys == 0);
    issuer.answer("/jwks", 200, &long(1000 << 10));
    looked_at_again(&jwks).await;
    assert!(!jwks.stats()[0].failing && jwks.stats()[0].keys == 1);
}

#[test]
fn an_issuer_that_does_not_answer_is_given_up() {
    let issuer = Played::start();
    let _held = issuer.hold();
    let agent = fetch::agent(&[], Duration::from_millis(100));
    let confs = BTreeMap::from([("main".to_owned(), conf(json!({ "jwks_url": issuer.url("/jwks") })))]);
    let remote = Issuers::new(&confs).unwrap().remotes().remove(0);
    let started = Instant::now();
    let error = fetch::document(&agent, &remote).unwrap_err();
    assert!(error.contains("timeout") && started.elapsed() < Duration::from_secs(3), "{error}");
}

#[test]
fn keys_come_over_tls_from_an_issuer_that_is_trusted_and_from_no_other() {
    let authority = played::Authority::new();
    let issuer = Played::tls(&authority);
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let confs = BTreeMap::from([("main".to_owned(), conf(json!({ "jwks_url": issuer.url("/jwks") })))]);
    let remote = Issuers::new(&confs).unwrap().remotes().remove(0);
    let agent = fetch::agent(&[authority.root()], Duration::from_secs(5));
    let document = fetch::document(&agent, &remote).unwrap();
    assert_eq!(document, set(&[("old", OLD_PUBLIC)]).into_bytes());
    let other = fetch::agent(&[played::Authority::new().root()], Duration::from_secs(5));
    assert!(fetch::document(&other, &remote).is_err());
    assert!(fetch::document(&fetch::agent(&fetch::trusted(), Duration::from_secs(5)), &remote).is_err());
}

#[test]
fn keys_come_by_tls_or_from_this_machine() {
    for (url, local, anywhere) in [
        ("https://x/jwks", false, false),
        ("https://127.0.0.1/jwks", false, false),
        ("http://127.0.0.1:1/jwks", true, false),
        ("http://[::1]:1/jwks", true, false),
        ("http://localhost/jwks", true, false),
        ("http://x/jwks", false, true),
    ] {
        assert_eq!(fetch::permitted(url, local, anywhere), Ok(()), "{url}");
    }
    for (url, local, anywhere) in [
        ("http://x/jwks", true, false),
        ("http://127.0.0.1/jwks", false, false),
        ("http://127.0.0.1@x/jwks", true, false),
        ("https://user@x/jwks", true, true),
        ("http://127.0.0.1.x/jwks", true, false),
        ("http://localhost.x/jwks", true, false),
        ("file:///etc/passwd", true, true),
        ("ftp://x/jwks", true, true),
        ("/jwks", true, true),
        ("x", true, true),
        ("", true, true),
    ] {
        assert!(fetch::permitted(url, local, anywhere).is_err(), "{url}");
    }
    let confs = BTreeMap::from([("main".to_owned(), conf(json!({ "jwks_url": "http://x/jwks" })))]);
    assert!(Jwks::start(Arc::new(Issuers::new(&confs).unwrap())).unwrap_err().contains("auth.jwt.main"));
}

#[tokio::test]
async fn the_threads_end_with_the_handle() {
    let issuer = Played::start();
    issuer.answer("/jwks", 200, &set(&[("old", OLD_PUBLIC)]));
    let mut jwks = asked_only(&issuer, "10s");
    looks(&jwks, 1).await;
    let shared = jwks.watched[0].shared.clone();
    let thread = jwks.watched[0].stop().unwrap();
    thread.join().unwrap();
    drop(jwks);
    assert_eq!(Arc::strong_count(&shared), 1);
}
