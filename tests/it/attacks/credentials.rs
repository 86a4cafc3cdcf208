//! Credentials in several places, addresses in headers, and what the time of an answer tells.

use crate::support::policy::{ask, key, provider, secret};
use crate::support::{Answer, Dialect, Gateway};
use serde_json::json;
use std::collections::HashSet;
use std::time::Instant;
use tollgate_filters::authenticate::digest;

use super::{CHAT, start};

#[test]
fn of_two_credentials_one_counts_and_neither_goes_up() {
    let provider = provider();
    let keys = [key("ann", "org = 'acme'"), key("bob", "org = 'bulk'"), key("lim", "models = ['nothing']")];
    let gateway = start(&provider, &keys.concat());
    let (ann, bob, bad) = (secret("ann"), secret("bob"), "tg-a-key-that-nobody-has".to_owned());
    let bearer = |key: &str| format!("Bearer {key}");
    // The gateway's own header first, then Authorization, x-api-key, x-goog-api-key, and the query last.
    let order = ["x-tollgate-key", "authorization", "x-api-key", "x-goog-api-key", "query"];
    let ask = |placed: &[(&str, &str)]| -> Answer {
        let query: Vec<String> =
            placed.iter().filter(|(at, _)| *at == "query").map(|(_, key)| format!("key={key}")).collect();
        let path = if query.is_empty() {
            "/v1/chat/completions".to_owned()
        } else {
            format!("/v1/chat/completions?{}&a=b", query.join("&"))
        };
        let values: Vec<(&str, String)> = placed
            .iter()
            .filter(|(at, _)| *at != "query")
            .map(|(at, key)| (*at, if *at == "authorization" { bearer(key) } else { (*key).to_owned() }))
            .collect();
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(values.iter().map(|(at, key)| (*at, key.as_str())));
        gateway.client().call("POST", &path, &headers, CHAT.as_bytes())
    };
    for (index, first) in order.iter().enumerate() {
        for second in &order[index + 1..] {
            let answer = ask(&[(first, &ann), (second, &bob)]);
            assert_eq!(answer.status, 200, "{first} {second}: {}", answer.text());
            let row = &gateway.rows_of(answer.id(), 1)[0];
            assert_eq!(row["org"], json!("acme"), "{first} goes before {second}");
            assert_eq!(
                ask(&[(first, &bad), (second, &ann)]).status,
                401,
                "a bad {first} is not helped by a good {second}"
            );
        }
    }
    // The same place twice: it is the first that counts, or nothing does; and never both.
    for at in ["x-tollgate-key", "x-api-key", "query"] {
        let answer = ask(&[(at, &bad), (at, &ann)]);
        assert_eq!(answer.status, 401, "{at}");
    }
    for seen in provider.seen() {
        let all = format!("{seen:?}");
        assert!(!all.contains(&ann) && !all.contains(&bob) && !all.contains(&bad), "{all}");
        assert_eq!(seen.header("authorization"), Some("Bearer sk-of-openai"));
        assert_eq!(seen.headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
    }
}

#[test]
fn the_gateways_own_headers_do_not_reach_the_provider() {
    let provider = provider();
    let gateway = start(&provider, &format!("{}[orgs.default.bridges.b]\n", key("ann", "")));
    let more = [
        ("x-tollgate-bridge", "b"),
        ("x-tollgate-thread", "t"),
        ("x-tollgate-strict", "true"),
        ("X-Tollgate-Anything", "a"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-host", "evil.test"),
        ("x-real-ip", "9.9.9.9"),
        ("forwarded", "for=9.9.9.9"),
        ("cookie", "a=b"),
        ("api-key", "azure"),
        ("connection", "x-secret-hop"),
        ("x-secret-hop", "yes"),
    ];
    assert_eq!(ask(&gateway, "ann", Dialect::Chat, "m-1", &more).status, 200);
    let seen = provider.last();
    for name in [
        "x-tollgate-key",
        "x-tollgate-bridge",
        "x-tollgate-thread",
        "x-tollgate-strict",
        "x-tollgate-anything",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
        "forwarded",
        "cookie",
        "api-key",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[test]
fn an_address_in_a_header_counts_only_from_a_trusted_proxy() {
    let provider = provider();
    let conf =
        format!("{}{}", key("in", "networks = ['10.0.0.0/8']"), key("out", "networks = ['127.0.0.0/8']"));
    let plain = start(&provider, &conf);
    for name in
        ["x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip", "x-client-ip"]
    {
        for value in ["10.0.0.1", "for=10.0.0.1", "10.0.0.1, 127.0.0.1"] {
            assert_eq!(
                ask(&plain, "in", Dialect::Chat, "m-1", &[(name, value)]).status,
                403,
                "{name}: {value}"
            );
        }
    }
    assert_eq!(ask(&plain, "out", Dialect::Chat, "m-1", &[("x-forwarded-for", "10.0.0.1")]).status, 200);
    let behind = start(&provider, &format!("trusted_proxies = ['127.0.0.0/8', '192.168.0.0/16']\n{conf}"));
    // What stands right of the first stranger was written by proxies; what stands left of him, by himself.
    for (value, status) in [
        ("10.0.0.1", 200),
        ("11.0.0.1", 403),
        ("10.0.0.1, 11.0.0.1", 403),
        ("11.0.0.1, 10.0.0.1", 200),
        ("10.0.0.1, 192.168.0.7", 200),
        ("10.0.0.1, 11.0.0.1, 192.168.0.7", 403),
        ("10.0.0.1, nonsense", 403),
        ("10.0.0.1:4711", 200),
        ("::ffff:10.0.0.1", 200),
        ("", 403),
    ] {
        let answer = ask(&behind, "in", Dialect::Chat, "m-1", &[("x-forwarded-for", value)]);
        assert_eq!(answer.status, status, "{value:?}: {}", answer.text());
    }
    let two = [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "11.0.0.1")];
    assert_eq!(
        ask(&behind, "in", Dialect::Chat, "m-1", &two).status,
        403,
        "the last line is the nearest hop"
    );
}

#[test]
fn a_rotating_forged_address_does_not_dodge_a_limit_for_each_address() {
    let provider = provider();
    let limit = "[[limits]]\nname = 'one'\nscope = ['address']\nrequests = '1/day'\n";
    let plain = start(&provider, &format!("{}{limit}", key("ann", "")));
    let from = |gateway: &Gateway, value: &str| {
        ask(gateway, "ann", Dialect::Chat, "m-1", &[("x-forwarded-for", value)]).status
    };
    assert_eq!(from(&plain, "1.1.1.1"), 200);
    assert_eq!(from(&plain, "1.1.1.2"), 429);
    let behind = start(&provider, &format!("trusted_proxies = ['127.0.0.1']\n{}{limit}", key("ann", "")));
    assert_eq!(from(&behind, "1.1.1.1, 5.5.5.5"), 200);
    assert_eq!(from(&behind, "1.1.1.2, 5.5.5.5"), 429);
    // Whoever has one address of version 6 has a whole network of them.
    assert_eq!(from(&behind, "2001:db8:1:2::1"), 200);
    assert_eq!(from(&behind, "2001:db8:1:2:ffff::2"), 429);
    assert_eq!(from(&behind, "2001:db8:1:3::1"), 200);
}

/// A key is looked up by its digest: how near a guess comes to a key is not to be seen in how long the refusal takes.
/// Measured where the time would show, in the look-up itself, ten thousand times each, in turns; a comparison byte by
/// byte of the keys themselves would differ by more.
#[test]
fn the_time_of_a_look_up_does_not_tell_how_near_a_guess_is() {
    let _alone = crate::support::alone();
    let known: Vec<String> = (0..1000).map(|n| format!("tg-{n:043}")).collect();
    let directory: HashSet<_> = known.iter().map(|key| digest(key)).collect();
    // The last character is wrong; the first one is.
    let near = format!("{}x", &known[500][..45]);
    let far = format!("tgx{}", &known[500][3..]);
    assert!(near.len() == far.len() && !known.contains(&near));
    // What a near guess shares with the key, its digest does not.
    let shared = digest(&near).0.iter().zip(digest(&known[500]).0).take_while(|(a, b)| **a == *b).count();
    assert!(shared <= 3, "{shared} bytes");
    let time = |guess: &str| {
        let start = Instant::now();
        for _ in 0..200 {
            std::hint::black_box(directory.get(&digest(std::hint::black_box(guess))));
        }
        start.elapsed()
    };
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..500 {
        // Who goes first changes, so that a clock that speeds up favours neither.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            times[which].push(time([&near, &far][which]));
        }
    }
    let [near, far] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    assert!((near / far - 1.0).abs() < 0.25, "near {near} s, far {far} s for 200 look-ups");
}
