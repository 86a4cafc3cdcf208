//! Requests inside requests, and headers that no honest client sends.

use crate::support::policy::{ask, key, provider, secret};
use crate::support::{Dialect, Gateway, http2};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{CHAT, raw, start, status};

/// A request that a careless reader would take for two. Nobody may see `/v1/smuggled`, which carries no key.
fn smuggle(gateway: &Gateway, headers: &str, body: &str) -> String {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nx-tollgate-key: {}\r\ncontent-type: application/json\r\n{headers}\r\n",
        secret("ann")
    );
    raw(gateway, format!("{head}{body}").as_bytes())
}

#[test]
fn a_request_smuggled_inside_another_reaches_no_provider() {
    let provider = provider();
    let gateway = start(&provider, &key("ann", ""));
    let second = "GET /v1/smuggled HTTP/1.1\r\nhost: gateway.test\r\n\r\n";
    let chunked = format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", CHAT.len());
    let both = format!("{chunked}{second}");
    let length = CHAT.len();
    let long = format!("{CHAT}{second}");
    let cases: Vec<(&str, String, &str)> = vec![
        ("CL shorter, then TE", format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), &both),
        ("TE, then CL", format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", both.len()), &both),
        ("two lengths", format!("content-length: {length}\r\ncontent-length: {}\r\n", long.len()), &long),
        ("two lengths in one line", format!("content-length: {length}, {}\r\n", long.len()), &long),
        ("the same length twice", format!("content-length: {length}\r\ncontent-length: {length}\r\n"), &long),
        ("a signed length", format!("content-length: +{length}\r\n"), &long),
        ("a negative length", "content-length: -1\r\n".to_owned(), &long),
        ("a length in hex", format!("content-length: 0x{length:x}\r\n"), &long),
        ("a length too large", "content-length: 18446744073709551617\r\n".to_owned(), &long),
        (
            "TE with a space before the colon",
            format!("transfer-encoding : chunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        ("TE in capitals", "Transfer-Encoding: CHUNKED\r\n".to_owned(), &both),
        ("TE with a tab", "transfer-encoding:\tchunked\r\n".to_owned(), &both),
        (
            "TE with a vertical tab",
            format!("transfer-encoding: \x0bchunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        (
            "TE of an unknown kind",
            format!("transfer-encoding: xchunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        ("TE identity", format!("transfer-encoding: identity\r\ncontent-length: {length}\r\n"), &long),
        (
            "TE chunked, identity",
            format!("transfer-encoding: chunked, identity\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        (
            "TE twice",
            format!(
                "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\ncontent-length: {}\r\n",
                both.len()
            ),
            &both,
        ),
        (
            "a folded header",
            format!("x-a: b\r\n content-length: {}\r\ncontent-length: {length}\r\n", long.len()),
            &long,
        ),
        (
            "a folded TE",
            format!("transfer-encoding:\r\n chunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        (
            "a bare LF",
            format!("x-a: b\ntransfer-encoding: chunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        (
            "a bare CR",
            format!("x-a: b\rtransfer-encoding: chunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        (
            "a NUL in a name",
            format!("transfer-\0encoding: chunked\r\ncontent-length: {}\r\n", both.len()),
            &both,
        ),
        ("no colon", format!("nonsense\r\ncontent-length: {length}\r\n"), &long),
    ];
    for (what, headers, body) in cases {
        let before = provider.seen().len();
        let answer = smuggle(&gateway, &headers, body);
        let seen = &provider.seen()[before..];
        assert!(seen.len() <= 1, "{what}: {seen:?}");
        assert!(seen.iter().all(|seen| !seen.target.contains("smuggled")), "{what}: {seen:?}");
        if let Some(seen) = seen.first() {
            let framings = seen
                .headers
                .iter()
                .filter(|(name, _)| matches!(&**name, "content-length" | "transfer-encoding"));
            assert_eq!(framings.count(), 1, "{what}: one framing goes up: {seen:?}");
            let text = String::from_utf8_lossy(&seen.body);
            assert!(!text.contains("smuggled"), "{what}: {text}");
        }
        // A second answer may only be a refusal: the second request, if it is one, has no key.
        let good = answer.matches("HTTP/1.1 200").count();
        assert_eq!(good, seen.len(), "{what}: {answer}");
    }
}

#[test]
fn chunks_that_are_framed_wrong_reach_no_provider_as_two_requests() {
    let provider = provider();
    let gateway = start(&provider, &key("ann", ""));
    let second = "GET /v1/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let size = CHAT.len();
    for (what, body) in [
        ("a size that overflows", format!("1{size:016x}\r\n{CHAT}\r\n0\r\n\r\n{second}")),
        ("a negative size", format!("-1\r\n{CHAT}\r\n0\r\n\r\n{second}")),
        ("a size with 0x", format!("0x{size:x}\r\n{CHAT}\r\n0\r\n\r\n{second}")),
        ("a size with a space", format!("{size:x} \r\n{CHAT}\r\n0\r\n\r\n{second}")),
        ("an extension with a line in it", format!("{size:x};a\n{second}\r\n{CHAT}\r\n0\r\n\r\n")),
        ("no line end after the data", format!("{size:x}\r\n{CHAT}0\r\n\r\n{second}")),
        (
            "a trailer that is a framing",
            format!("{size:x}\r\n{CHAT}\r\n0\r\ncontent-length: 99\r\n\r\n{second}"),
        ),
    ] {
        let before = provider.seen().len();
        let answer = smuggle(&gateway, "transfer-encoding: chunked\r\n", &body);
        let seen = &provider.seen()[before..];
        assert!(seen.len() <= 1 && seen.iter().all(|s| !s.target.contains("smuggled")), "{what}: {seen:?}");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), seen.len(), "{what}: {answer}");
    }
}

#[test]
fn framing_headers_in_http2_do_not_change_the_framing_upstream() {
    let provider = provider();
    let gateway = start(&provider, &key("ann", ""));
    let own = secret("ann");
    for (name, value) in [
        ("x-a", "b\u{b}"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive, x-tollgate-key"),
        ("content-length", "3"),
    ] {
        let before = provider.seen().len();
        let headers = [("content-type", "application/json"), ("x-tollgate-key", own.as_str()), (name, value)];
        let asked = std::panic::catch_unwind(|| {
            http2::post(gateway.address, "/v1/chat/completions", &headers, CHAT.as_bytes(), false)
        });
        let seen = &provider.seen()[before..];
        assert!(seen.len() <= 1, "{name}: {seen:?}");
        for seen in seen {
            assert_eq!(seen.body, CHAT.as_bytes(), "{name}: {:?}", asked.is_ok());
            assert_eq!(seen.header("transfer-encoding"), None, "{name}");
        }
    }
}

#[test]
fn oversized_headers_and_many_of_them_are_refused_and_the_gateway_stays() {
    let provider = provider();
    let mut gateway = start(&provider, &key("ann", ""));
    let head = |more: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-tollgate-key: {}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{CHAT}",
            secret("ann"),
            CHAT.len()
        )
    };
    for (what, more) in [
        ("a long value", format!("x-a: {}\r\n", "a".repeat(2 << 20))),
        ("a long name", format!("{}: a\r\n", "a".repeat(2 << 20))),
        ("many", (0..5000).map(|n| format!("x-{n}: a\r\n")).collect::<Vec<_>>().concat()),
    ] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.write_all(head(&more).as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(matches!(status(&String::from_utf8_lossy(&answer)), 0 | 400 | 413 | 431), "{what}");
        assert_eq!(provider.seen().len(), 0, "{what}");
    }
    let long = format!("tg-{}", "a".repeat(60_000));
    let answer =
        gateway.client().call("POST", "/v1/chat/completions", &[("x-api-key", &long)], CHAT.as_bytes());
    assert!((400..=431).contains(&answer.status), "{}", answer.status);
    assert!(gateway.is_running());
    assert_eq!(ask(&gateway, "ann", Dialect::Chat, "m-1", &[]).status, 200);
}
