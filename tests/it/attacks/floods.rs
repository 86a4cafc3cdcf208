//! Floods of bad credentials and of requests.

use crate::support::policy::{ask, events, eventually_events, key, provider};
use crate::support::{Answer, Dialect, eventually};
use std::time::{Duration, Instant};

use super::{CHAT, start};

#[test]
fn a_good_key_passes_during_a_flood_of_bad_ones() {
    let provider = provider();
    let gateway = start(&provider, &format!("[shield]\nbad_credentials = 5\n{}", key("ann", "")));
    let bad = |_| {
        gateway.client().call(
            "POST",
            "/v1/chat/completions",
            &[("x-api-key", "tg-wrong-wrong-wrong")],
            CHAT.as_bytes(),
        )
    };
    let answers: Vec<Answer> = (0..60).map(bad).collect();
    let flooded = answers.iter().filter(|answer| answer.status == 429).count();
    assert!(flooded >= 20, "{flooded} of 60 were kept out");
    assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)));
    let kept_out = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(
        (kept_out.header("x-tollgate-rule"), kept_out.header("retry-after")),
        (Some("shield"), Some("1"))
    );
    assert_eq!(
        ask(&gateway, "ann", Dialect::Chat, "m-1", &[]).status,
        200,
        "a good key from the same address"
    );
    assert_eq!(provider.seen().len(), 1);
    assert!(!eventually_events(&gateway, "flood", 1).is_empty());
}

#[test]
fn a_flood_of_requests_from_one_address_is_kept_out_and_others_are_not() {
    let provider = provider();
    let gateway = start(
        &provider,
        &format!("trusted_proxies = ['127.0.0.1']\n[shield]\nrequests = 10\n{}", key("ann", "")),
    );
    let from =
        |address: &str| ask(&gateway, "ann", Dialect::Chat, "m-1", &[("x-forwarded-for", address)]).status;
    let start = Instant::now();
    let (mut passed, mut kept_out) = (0, 0);
    while kept_out < 20 {
        assert!(start.elapsed() < Duration::from_secs(10), "{passed} passed, {kept_out} were kept out");
        match from("9.9.9.9") {
            200 => passed += 1,
            429 => kept_out += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(from("8.8.8.8"), 200);
    assert!(!events(&gateway, "flood").is_empty());
    // It is for this second only.
    eventually("the next second", || (from("9.9.9.9") == 200).then_some(()));
}
