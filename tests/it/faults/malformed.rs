//! Requests that are none: whatever comes, the answer is a refusal or the provider's, and the gateway lives.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::{Answer, Client, DIALECTS, Dialect, Gateway, Provider, Reply};

const NAMES: [&str; 3] = ["openai", "anthropic", "gemini"];

struct Target {
    providers: Vec<Provider>,
    gateway: Gateway,
}

impl Target {
    fn start() -> Self {
        let providers: Vec<_> = NAMES.iter().map(|_| Provider::start(|_| Reply::json(200, "{}"))).collect();
        let tables: String = NAMES.iter().zip(&providers).map(|(name, p)| p.table(name)).collect();
        Self { providers, gateway: Gateway::start(&format!("header_timeout = '5s'\n{tables}")) }
    }

    /// Sends `bytes` as they are, and nothing after them.
    fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.gateway.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        // The gateway may refuse and close before it has everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        stream
    }

    /// Asks with headers and a body that are sent as they are, framed as they should be.
    fn ask(&self, method: &str, path: &[u8], headers: &[u8], body: &[u8]) -> Result<(), TestCaseError> {
        let mut client = Client::connect(self.gateway.address);
        client.stream().set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        let length = format!("content-length: {}\r\n\r\n", body.len());
        let parts: [&[u8]; 7] = [
            method.as_bytes(),
            b" ",
            path,
            b" HTTP/1.1\r\nhost: gateway.test\r\n",
            headers,
            length.as_bytes(),
            body,
        ];
        let _ = client.stream().write_all(&parts.concat());
        let answer = client.answer().map_err(|e| TestCaseError::fail(format!("no answer: {e}")))?;
        check(&answer)
    }

    /// Still there, unharmed and idle.
    fn check_well(mut self) {
        let answer = self.gateway.client().post("/v1/chat/completions", r#"{"model":"gpt-4o"}"#);
        assert_eq!(answer.status, 200);
        self.gateway.idle();
        assert!(self.gateway.is_running());
        let log = self.gateway.stderr();
        assert!(!log.contains("panicked"), "{log}");
    }
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let refused = (400..500).contains(&answer.status);
    let answered = answer.status == 200 && answer.header("x-tollgate-provider").is_some();
    // The played provider answers everything with the same document, which is no answer in most dialects.
    let unreadable = answer.status == 502 && answer.text().contains("cannot be translated");
    prop_assert!(refused || answered || unreadable, "{}: {}", answer.status, answer.text());
    prop_assert!(answer.complete, "{}: the answer is not whole: {}", answer.status, answer.text());
    Ok(())
}

/// Runs `test` on `cases` inputs.
fn check_all<S: Strategy>(cases: u32, inputs: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    TestRunner::new(config).run(inputs, test).unwrap_or_else(|e| panic!("{e}"));
}

fn headers(dialect: Dialect) -> Vec<u8> {
    dialect.headers().iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect()
}

fn dialect() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(&DIALECTS[..])
}

/// Text that is nearly JSON: keys that policy reads come twice, of any type, escaped, broken.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let leaves = [
        "null",
        "true",
        "0",
        "-0",
        "1e999",
        "01",
        "tru",
        "\"gpt-4o\"",
        "\"\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"a\nb\"",
        "\"\u{feff}\"",
        "\"open",
        "\"\\x\"",
        "\u{feff}",
        "{",
        "]",
        "",
    ];
    let keys =
        ["model", "stream", "stream_options", "include_usage", "\\u006dodel", "messages", "", "mod\u{e9}l"];
    let leaf = prop_oneof![
        8 => proptest::sample::select(leaves.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..12),
        1 => any::<f64>().prop_map(|n| n.to_string().into_bytes()),
    ]
    .boxed();
    let key = proptest::sample::select(keys.to_vec());
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let member = (key.clone(), inner.clone())
            .prop_map(|(key, value)| [b"\"", key.as_bytes(), b"\":", &value].concat());
        prop_oneof![
            3 => vec(member, 0..6).prop_map(|members| [b"{", &*members.join(&b','), b"}"].concat()),
            1 => vec(inner, 0..6).prop_map(|items| [b"[", &*items.join(&b','), b"]"].concat()),
        ]
    })
}

#[test]
fn bodies_that_are_no_json_or_nearly_json() {
    let target = Target::start();
    let bodies = prop_oneof![vec(any::<u8>(), 0..300), nearly_json()];
    check_all(400, &(dialect(), any::<bool>(), bodies), |(dialect, stream, body)| {
        target.ask("POST", dialect.path("gpt-4o", stream).as_bytes(), &headers(dialect), &body)
    });
    target.check_well();
}

#[test]
fn bodies_that_were_json_before_something_happened_to_them() {
    let target = Target::start();
    let change = (any::<prop::sample::Index>(), vec(any::<u8>(), 0..4), 0_usize..4);
    check_all(200, &(dialect(), vec(change, 1..4)), |(dialect, changes)| {
        let mut body = dialect.body("gpt-4o", true).into_bytes();
        for (at, put, take) in changes {
            let at = at.index(body.len() + 1);
            let end = (at + take).min(body.len());
            body.splice(at..end, put);
        }
        target.ask("POST", dialect.path("gpt-4o", false).as_bytes(), &headers(dialect), &body)
    });
    target.check_well();
}

#[test]
fn nesting_without_end() {
    let target = Target::start();
    let opening = proptest::sample::select(vec!["[", "{\"a\":", "[[", "{\"model\":", "[{\"stream\":"]);
    check_all(
        60,
        &(dialect(), opening, 1_usize..400_000, any::<bool>()),
        |(dialect, open, depth, closed)| {
            let mut body = b"{\"model\":\"gpt-4o\",\"x\":".to_vec();
            body.extend_from_slice(open.repeat(depth).as_bytes());
            if closed && open == "[" {
                body.extend_from_slice("]".repeat(depth).as_bytes());
                body.push(b'}');
            }
            target.ask("POST", dialect.path("gpt-4o", false).as_bytes(), &headers(dialect), &body)
        },
    );
    target.check_well();
}

#[test]
fn paths_methods_and_headers_of_any_kind() {
    let target = Target::start();
    let byte = || any::<u8>().prop_filter("ends the line", |b| !matches!(b, b'\r' | b'\n' | b' ' | 0));
    let starts = [
        "/",
        "/v1/",
        "/v1beta/models/",
        "/openai/",
        "/gemini/v1beta/models/x:",
        "/v1/files?",
        "http://",
        "*",
        "",
    ];
    let path = (proptest::sample::select(starts.to_vec()), vec(byte(), 0..60))
        .prop_map(|(start, rest)| [start.as_bytes(), &rest].concat());
    // No HEAD: its answers have a length and no body.
    let method = proptest::sample::select(vec![
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X",
    ]);
    let names = [
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "x-tollgate-key",
        "x-tollgate-provider",
        "content-type",
        "x-request-id",
        "traceparent",
        "cookie",
        "connection",
        "expect",
        "te",
        "anthropic-version",
        "x-\u{e9}",
        "",
    ];
    let value = prop_oneof![
        4 => vec(byte(), 0..40),
        1 => (byte(), 1_usize..60_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let header = (proptest::sample::select(names.to_vec()), value)
        .prop_map(|(name, value)| [name.as_bytes(), b": ", &value, b"\r\n"].concat());
    let headers = vec(header, 0..8).prop_map(|headers| headers.concat());
    check_all(500, &(method, path, headers), |(method, path, headers)| {
        target.ask(method, &path, &headers, b"")
    });
    target.check_well();
}

#[test]
fn bytes_that_are_no_http() {
    let target = Target::start();
    let starts: [&[u8]; 5] =
        [b"", b"GET / HTTP/1.1\r\n", b"POST ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"];
    let soup = (proptest::sample::select(starts.to_vec()), vec(any::<u8>(), 0..400), any::<bool>());
    check_all(300, &soup, |(start, rest, ended)| {
        let end: &[u8] = if ended { b"\r\n\r\n" } else { b"" };
        let mut answer = Vec::new();
        // A reset ends the connection as well; a time-out does not.
        if let Err(e) = target.send(&[start, &rest, end].concat()).read_to_end(&mut answer) {
            prop_assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
        if answer.starts_with(b"HTTP/1.") {
            let status = String::from_utf8_lossy(&answer[9..12]).into_owned();
            prop_assert!(status.starts_with('4'), "{}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    });
    assert!(target.providers.iter().all(|provider| provider.seen().is_empty()));
    target.check_well();
}

#[test]
fn framing_that_can_be_read_in_two_ways_hides_no_second_request() {
    let target = Target::start();
    let hidden = "GET /openai/v1/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let json = r#"{"model":"gpt-4o"}"#;
    let length = json.len();
    for (framing, body) in [
        (format!("content-length: {length}\r\ncontent-length: 4"), json.to_owned()),
        (format!("content-length: 4\r\ncontent-length: {length}"), json.to_owned()),
        (format!("content-length: {length}, 4"), json.to_owned()),
        (format!("content-length: +{length}"), json.to_owned()),
        (format!("content-length: 0x{length:x}"), json.to_owned()),
        (format!("content-length: -{length}"), json.to_owned()),
        (format!("content-length: {length}{}", u64::MAX), json.to_owned()),
        (format!("content-length : {length}"), json.to_owned()),
        ("content-length:".to_owned(), json.to_owned()),
        (
            "content-length: 4\r\ntransfer-encoding: chunked".to_owned(),
            format!("{length:x}\r\n{json}\r\n0\r\n\r\n"),
        ),
        ("transfer-encoding: chunked\r\ncontent-length: 200".to_owned(), "0\r\n\r\n".to_owned()),
        ("transfer-encoding: xchunked".to_owned(), "0\r\n\r\n".to_owned()),
        ("transfer-encoding: chunked, identity".to_owned(), "0\r\n\r\n".to_owned()),
        ("transfer-encoding:\x0bchunked".to_owned(), "0\r\n\r\n".to_owned()),
        ("transfer-encoding: identity".to_owned(), json.to_owned()),
        ("transfer-encoding: chunked".to_owned(), format!("-{length:x}\r\n{json}\r\n0\r\n\r\n")),
        ("transfer-encoding: chunked".to_owned(), format!("0x{length:x}\r\n{json}\r\n0\r\n\r\n")),
        (
            "transfer-encoding: chunked".to_owned(),
            format!("ffffffffffffffff{length:x}\r\n{json}\r\n0\r\n\r\n"),
        ),
        ("transfer-encoding: chunked".to_owned(), format!("{:x}\r\n{json}\r\n0\r\n\r\n", length - 2)),
        ("transfer-encoding: chunked".to_owned(), format!("\r\n{json}\r\n0\r\n\r\n")),
    ] {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{body}{hidden}"
        );
        let mut answer = Vec::new();
        let read = target.send(request.as_bytes()).read_to_end(&mut answer);
        let timed_out = read.is_err_and(|e| e.kind() != std::io::ErrorKind::ConnectionReset);
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(!timed_out, "{framing:?} {body:?} hangs: {text}");
        let seen = target.providers[0].seen();
        assert!(seen.iter().all(|s| !s.target.contains("hidden")), "{framing:?} {body:?}: {text}");
        assert!(seen.iter().all(|s| s.body == json.as_bytes()), "{framing:?} {body:?}: {seen:?}");
    }
    target.check_well();
}
