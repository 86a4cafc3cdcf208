//! Tokens that somebody made up, and why none of them gets in.

use ring::hmac;

use super::*;

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "exp": NOW + 60, "sub": "eve" })
}

#[test]
fn a_public_key_is_no_secret() {
    // The classic confusion: the public key, which everybody has, as the secret of an HMAC.
    for public in [RSA_PUBLIC, P256_PUBLIC, ED_PUBLIC] {
        let issuers = main(json!({ "public_key": public }));
        for form in [public.to_owned(), public.trim().to_owned(), public.replace('\n', "")] {
            let forged = token(&good(), Algorithm::HS256, &secret(&form));
            assert_eq!(
                verify(&issuers, &forged),
                Err(Refused::AlgorithmNotAllowed { issuer: "main".into() })
            );
        }
    }
    assert!(configured(json!({ "main": { "secret": RSA_PUBLIC, "org": "a" } })).is_err());
}

#[test]
fn the_back_end_itself_refuses_a_key_of_another_family() {
    crypto::install();
    let rsa = jsonwebtoken::DecodingKey::from_rsa_pem(RSA_PUBLIC.as_bytes()).unwrap();
    let bytes = rsa.try_get_as_bytes().unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"message");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref());
    assert!(jsonwebtoken::crypto::verify(&signature, b"message", &rsa, Algorithm::HS256).is_err());
    let hmac = jsonwebtoken::DecodingKey::from_secret(bytes);
    assert_eq!(
        jsonwebtoken::crypto::verify(&signature, b"message", &hmac, Algorithm::HS256).ok(),
        Some(true)
    );
    assert!(jsonwebtoken::crypto::verify(&signature, b"message", &hmac, Algorithm::RS256).is_err());
}

#[test]
fn a_token_without_a_signature_is_refused_however_none_is_spelt() {
    for table in [json!({ "secret": SECRET }), json!({ "public_key": ED_PUBLIC })] {
        let issuers = main(table);
        for none in
            ["none", "None", "NONE", "nOnE", "none ", "", "null", "HS256 ", "hs256", "HS1", "RS256\u{0}"]
        {
            let message =
                format!("{}.{}", encoded(&json!({ "alg": none }).to_string()), encoded(&good().to_string()));
            for signature in ["", "AA", &encoded("{}")] {
                let refused = verify(&issuers, &format!("{message}.{signature}")).unwrap_err();
                assert_eq!(refused, Refused::Algorithm, "{none:?}");
            }
        }
        for header in [r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"typ":"JWT"}"#, r#"{"alg":0}"#] {
            let bare = format!("{}.{}.AA", encoded(header), encoded(&good().to_string()));
            assert_eq!(verify(&issuers, &bare), Err(Refused::Algorithm), "{header}");
        }
        let unsigned = format!("{}.{}.", encoded(r#"{"alg":"HS256"}"#), encoded(&good().to_string()));
        assert_eq!(verify(&issuers, &unsigned), Err(Refused::Malformed("it is not signed")));
    }
}

#[test]
fn an_issuers_list_of_algorithms_is_its_own_and_not_the_tokens() {
    let issuers = main(json!({ "public_key": RSA_PUBLIC, "algorithms": ["PS256"] }));
    assert!(verify(&issuers, &token(&good(), Algorithm::PS256, &private(RSA))).is_ok());
    let other = token(&good(), Algorithm::RS256, &private(RSA));
    assert_eq!(verify(&issuers, &other), Err(Refused::AlgorithmNotAllowed { issuer: "main".into() }));
}

#[test]
fn a_key_id_is_only_looked_up() {
    let issuers = published::issuers_with(&[published::ed("one", ED_PUBLIC)]);
    let attempts = [
        "../../../../dev/null",
        "/etc/passwd",
        "x' UNION SELECT 'key' --",
        "https://evil.example/keys",
        "one\u{0}",
        "|/bin/true",
        "",
    ];
    for kid in attempts {
        let refused = verify(&issuers, &with_kid(kid, ED)).unwrap_err();
        assert!(matches!(refused, Refused::UnknownKey(_)), "{kid:?}: {refused:?}");
        assert!(
            kid.is_empty() || !refused.to_string().contains(kid),
            "a refusal repeats nothing of the token"
        );
    }
    assert!(verify(&issuers, &with_kid("one", ED)).is_ok());
    assert_eq!(verify(&issuers, &with_kid(&"k".repeat(257), ED)), Err(Refused::KeyId));
    for kid in ["7", "null", "[\"one\"]", "{}"] {
        let header = format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#);
        let odd = signed(&header, &good().to_string(), Algorithm::EdDSA, &private(ED));
        assert_eq!(verify(&issuers, &odd), Err(Refused::KeyId), "{kid}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let jwk = published::ed("one", ED_2_PUBLIC);
    for issuers in [
        main(json!({ "public_key": ED_PUBLIC })),
        published::issuers_with(&[published::ed("one", ED_PUBLIC)]),
    ] {
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jku", "https://evil.example/jwks".into()),
            ("x5u", "https://evil.example/cert".into()),
            ("x5c", json!(["MIIB"])),
        ] {
            let header = json!({ "alg": "EdDSA", "kid": "one", name: value }).to_string();
            let own = signed(&header, &good().to_string(), Algorithm::EdDSA, &private(ED_2));
            assert_eq!(verify(&issuers, &own), Err(Refused::Signature), "{name}");
        }
    }
}

#[test]
fn extensions_that_have_to_be_understood_are_refused() {
    let issuers = main(json!({ "secret": SECRET }));
    for crit in ["[\"b64\"]", "[]", "null", "[\"exp\"]"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{crit}}}"#);
        let odd = signed(&header, &good().to_string(), Algorithm::HS256, &secret(SECRET));
        assert_eq!(verify(&issuers, &odd), Err(Refused::Critical), "{crit}");
    }
}

#[test]
fn encrypted_tokens_and_other_numbers_of_parts_are_refused() {
    let issuers = main(json!({ "secret": SECRET }));
    let good = hs256(&good());
    let jwe = format!("{}.a.b.c.d", encoded(r#"{"alg":"dir","enc":"A128GCM"}"#));
    assert_eq!(verify(&issuers, &jwe), Err(Refused::Encrypted));
    let enc = signed(
        r#"{"alg":"HS256","enc":"A128GCM"}"#,
        &super::good().to_string(),
        Algorithm::HS256,
        &secret(SECRET),
    );
    assert_eq!(verify(&issuers, &enc), Err(Refused::Encrypted));
    for odd in
        [&good[..good.rfind('.').unwrap()], &format!("{good}.x"), &format!("{good}."), "", ".", "..", "..."]
    {
        assert!(matches!(verify(&issuers, odd), Err(Refused::Malformed(_))), "{odd}");
    }
    for odd in [format!("{good}="), format!(" {good}"), good.replacen('.', "=.", 1), format!("{good} ")] {
        assert!(verify(&issuers, &odd).is_err(), "{odd}");
    }
}

#[test]
fn what_is_longer_than_16_kib_is_refused_before_it_is_decoded() {
    let issuers = main(json!({ "secret": SECRET }));
    let padded = |bytes: usize| {
        let mut claims = good();
        claims["pad"] = "x".repeat(bytes).into();
        hs256(&claims)
    };
    assert!(verify(&issuers, &padded(12_000)).is_ok());
    assert_eq!(verify(&issuers, &padded(12_300)), Err(Refused::TooLong));
    // Not even the shape of it is looked at.
    assert_eq!(verify(&issuers, &"x".repeat(MAX_TOKEN + 1)), Err(Refused::TooLong));
    assert!(matches!(verify(&issuers, &"x".repeat(MAX_TOKEN)), Err(Refused::Malformed(_))));
}

#[test]
fn json_that_goes_deep_is_refused_and_not_followed() {
    let issuers = main(json!({ "secret": SECRET }));
    let deep = format!(r#"{{"exp":{},"a":{}{}}}"#, NOW + 60, "[".repeat(5000), "]".repeat(5000));
    let deep = signed(r#"{"alg":"HS256"}"#, &deep, Algorithm::HS256, &secret(SECRET));
    assert_eq!(verify(&issuers, &deep), Err(Refused::Malformed("its claims are no JSON object")));
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let issuers = main(json!({ "secret": SECRET }));
    let exp = NOW + 60;
    for claims in [
        format!(r#"{{"exp":1,"exp":{exp}}}"#),
        format!(r#"{{"exp":{exp},"sub":"ann","sub":"eve"}}"#),
        format!(r#"{{"exp":{exp},"s\u0075b":"ann","sub":"eve"}}"#),
        format!(r#"{{"exp":{exp},"org":{{"id":"a","id":"b"}}}}"#),
    ] {
        let odd = signed(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256, &secret(SECRET));
        assert_eq!(
            verify(&issuers, &odd),
            Err(Refused::Malformed("its claims are no JSON object")),
            "{claims}"
        );
    }
    for header in [r#"{"alg":"none","alg":"HS256"}"#, r#"{"alg":"HS256","kid":"a","kid":"b"}"#] {
        let odd = signed(header, &good().to_string(), Algorithm::HS256, &secret(SECRET));
        assert_eq!(
            verify(&issuers, &odd),
            Err(Refused::Malformed("its header is no JSON object")),
            "{header}"
        );
    }
}

#[test]
fn a_token_of_one_issuer_is_not_checked_with_anothers_key() {
    let issuers = issuers(json!({
        "a": { "secret": SECRET, "issuer": "https://a", "org": "a" },
        "b": { "public_key": ED_PUBLIC, "issuer": "https://b", "org": "b" },
        "c": { "public_key": ED_2_PUBLIC, "org": "c" },
    }));
    let by_a = |issuer: &str| token(&claims(issuer), Algorithm::HS256, &secret(SECRET));
    let by_b = |issuer: &str| token(&claims(issuer), Algorithm::EdDSA, &private(ED));
    let by_c = |issuer: &str| token(&claims(issuer), Algorithm::EdDSA, &private(ED_2));
    for (mine, org) in [(by_a("https://a"), "a"), (by_b("https://b"), "b"), (by_c("https://c"), "c")] {
        assert_eq!(&*verify(&issuers, &mine).unwrap().org, org);
    }
    for foreign in [
        by_a("https://b"),
        by_a("https://c"),
        by_b("https://a"),
        by_b("https://c"),
        by_c("https://a"),
        by_c("https://b"),
        token(&good(), Algorithm::HS256, &secret(SECRET)),
        token(&good(), Algorithm::EdDSA, &private(ED)),
    ] {
        let refused = verify(&issuers, &foreign).unwrap_err();
        assert!(matches!(refused, Refused::Signature | Refused::AlgorithmNotAllowed { .. }), "{refused:?}");
    }
}

#[test]
fn a_token_of_an_issuer_that_is_not_configured_is_refused() {
    let issuers = issuers(json!({ "a": { "secret": SECRET, "issuer": "https://a", "org": "a" } }));
    for iss in ["https://b", "https://a/", "https://A", "", " https://a"] {
        assert_eq!(verify(&issuers, &hs256(&claims(iss))), Err(Refused::UnknownIssuer), "{iss}");
    }
    assert_eq!(verify(&issuers, &hs256(&good())), Err(Refused::UnknownIssuer), "no `iss` at all");
    for iss in [json!(["https://a"]), json!(1), Value::Null] {
        let odd = json!({ "iss": iss, "exp": NOW + 60 });
        assert!(matches!(verify(&issuers, &hs256(&odd)), Err(Refused::Malformed(_))), "{odd}");
    }
}

/// Signatures by elliptic curves: `r` and `s`, both of the curve's length, neither zero.
#[test]
fn an_es256_signature_has_one_form() {
    let issuers = main(json!({ "public_key": P256_PUBLIC }));
    let token = token(&good(), Algorithm::ES256, &private(P256));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(raw.len(), 64);
    let with =
        |bytes: &[u8]| verify(&issuers, &format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)));
    assert!(with(&raw).is_ok());
    let (r, s) = raw.split_at(32);
    let der = [&[0x30, 0x46, 2, 33, 0], r, &[2, 33, 0], s].concat();
    let zero = [0_u8; 32];
    let order = p256_order();
    for (bytes, what) in [
        (vec![0; 64], "nothing but zeros"),
        ([&zero[..], s].concat(), "r = 0"),
        ([r, &zero[..]].concat(), "s = 0"),
        ([&order[..], &order[..]].concat(), "both the group's order"),
        (raw[..63].to_vec(), "one byte short"),
        ([&raw[..], &[0]].concat(), "one byte long"),
        ([&[0], &raw[..]].concat(), "a zero in front"),
        (der, "DER"),
        (vec![], "empty"),
    ] {
        assert!(with(&bytes).is_err(), "{what}");
    }
}

/// ECDSA lets anybody turn `s` into `-s`. That makes another text and no other token: the same claims, by the same
/// signer. Nothing here is told apart by a token's text but the memory of good ones.
#[test]
fn a_turned_es256_signature_says_the_same() {
    let issuers = main(json!({ "public_key": P256_PUBLIC }));
    let token = token(&good(), Algorithm::ES256, &private(P256));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0_i16;
    for (byte, order) in raw[32..].iter_mut().zip(p256_order()).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let turned = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(raw));
    assert_ne!(turned, token);
    assert_eq!(verify(&issuers, &turned), verify(&issuers, &token));
}

fn p256_order() -> [u8; 32] {
    let hex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn no_refusal_shows_anything_of_the_token() {
    let issuers = main(json!({ "secret": SECRET, "audience": "gate", "claims": { "user": "/user" } }));
    let planted = "planted-0123456789";
    for claims in [
        json!({ "exp": NOW + 60, "aud": planted }),
        json!({ "exp": planted, "aud": "gate" }),
        json!({ "exp": NOW + 60, "aud": "gate", "user": { planted: planted } }),
        json!({ "exp": NOW + 60, "aud": "gate", "iss": [planted] }),
        json!({ "exp": 1, "aud": "gate", "user": planted }),
    ] {
        let refused = verify(&issuers, &hs256(&claims)).unwrap_err();
        let error = Error::from(&refused);
        for shown in
            [refused.to_string(), format!("{refused:?}"), format!("{error:?}"), format!("{issuers:?}")]
        {
            assert!(!shown.contains(planted) && !shown.contains(SECRET), "{shown}");
        }
    }
}
