//! What a token costs. `cargo test --release -p tollgate-filters what_a_token_costs -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "measures"]
fn what_a_token_costs() {
    let claims = json!({ "exp": NOW + 600, "iat": NOW, "iss": "https://x", "aud": "gate", "sub": "ann",
        "org": { "id": "acme" }, "roles": ["member"], "models": ["openai/*", "anthropic/*"], "jti": "x".repeat(36) });
    let cases = [
        ("HS256", json!({ "secret": SECRET }), Algorithm::HS256, secret(SECRET)),
        ("RS256", json!({ "public_key": RSA_PUBLIC }), Algorithm::RS256, private(RSA)),
        ("ES256", json!({ "public_key": P256_PUBLIC }), Algorithm::ES256, private(P256)),
        ("EdDSA", json!({ "public_key": ED_PUBLIC }), Algorithm::EdDSA, private(ED)),
    ];
    for (name, mut table, algorithm, key) in cases {
        table["issuer"] = "https://x".into();
        table["audience"] = "gate".into();
        table["claims"] = json!({ "org": "/org/id", "roles": "/roles", "models": "/models" });
        let issuers = issuers(json!({ "main": table }));
        let token = token(&claims, algorithm, &key);
        let cold = nanoseconds(2000, || {
            issuers.verified.forget(&digest(&token));
            black_box(verify(&issuers, black_box(&token))).unwrap();
        });
        let known = nanoseconds(200_000, || {
            black_box(verify(&issuers, black_box(&token))).unwrap();
        });
        println!("{name}: {} bytes, cold {cold} ns, known {known} ns", token.len());
    }
    let issuers = published::issuers_with(&[published::ed("one", ED_PUBLIC)]);
    let unknown = with_kid("made up", ED);
    let flood = nanoseconds(50_000, || {
        black_box(verify(&issuers, black_box(&unknown))).unwrap_err();
    });
    println!("an unknown kid: {flood} ns");
}

fn nanoseconds(times: u32, mut once: impl FnMut()) -> u128 {
    for _ in 0..times / 10 {
        once();
    }
    let started = Instant::now();
    for _ in 0..times {
        once();
    }
    started.elapsed().as_nanos() / u128::from(times)
}
