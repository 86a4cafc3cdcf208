//! Callers with tokens of an issuer's: who they are, what they may, and what they are told.

use crate::support::policy::{MODELS, eventually_events, provider};
use crate::support::{Answer, Gateway, Provider, dialect::ALL};

const ISSUER: &str = "[auth.jwt.main]\nsecret = 'a-secret-of-thirty-two-bytes-or-more'\nissuer = 'https://issuer.test'\naudience = 'tollgate'\nclaims = { org = '/org/id', user = '/user/id', roles = '/roles', models = '/models' }\norgs = ['acme']\n";

fn start(provider: &Provider) -> Gateway {
    Gateway::start(&format!("{ISSUER}{}{ALL}{MODELS}", provider.table("openai")))
}

/// A token as `tollgate token mint` makes it for the issuer of the tests.
fn mint(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, ISSUER).unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["--config", file.to_str().unwrap(), "token", "mint"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn ask(gateway: &Gateway, token: &str, model: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
    gateway.client().call("POST", "/v1/chat/completions", &headers, body.as_bytes())
}

#[test]
fn a_token_says_who_asks_and_what_it_may() {
    let provider = provider();
    let gateway = start(&provider);
    let token = mint(&["--org", "acme", "--user", "ann", "--models", "m-1"]);
    let answer = ask(&gateway, &token, "m-1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = &gateway.rows_of(answer.id(), 1)[0];
    assert_eq!((&row["org"], &row["user"]), (&"acme".into(), &"ann".into()));
    assert_eq!(provider.last().header("authorization"), Some("Bearer sk-of-openai"), "the token stays here");
    let denied = ask(&gateway, &token, "m-2");
    assert_eq!(denied.status, 403);
    assert_eq!(denied.header("x-tollgate-rule"), Some("token (issuer `main`)"));
    let reader = mint(&["--org", "acme", "--user", "bob", "--role", "read_only"]);
    let denied = ask(&gateway, &reader, "m-1");
    assert_eq!((denied.status, denied.header("x-tollgate-rule")), (403, Some("role `read_only`")));
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn a_token_that_is_no_good_is_refused_without_a_word_of_it() {
    let provider = provider();
    let gateway = start(&provider);
    let good = mint(&["--org", "acme", "--user", "ann"]);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    for bad in [format!("{signed}.{flipped}"), unsigned, format!("{header}.{claims}.AAAA")] {
        let answer = ask(&gateway, &bad, "m-1");
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(!answer.text().contains(claims), "{}", answer.text());
    }
    assert_eq!(ask(&gateway, "no-token-and-no-key", "m-1").status, 401);
    assert_eq!(gateway.client().post("/v1/chat/completions", r#"{"model":"m-1"}"#).status, 401);
    assert!(provider.seen().is_empty());
    assert!(eventually_events(&gateway, "authentication_failed", 5).len() >= 5);
}
