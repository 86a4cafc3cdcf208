//! Request bodies of every size, with and without a length, over both protocols, through failing targets: the
//! one that answers has the whole body.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::gateway::free_port;
use crate::support::{Gateway, Provider, Reply, http2};

const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 300_000, 5_000_000, 31_000_000];

/// A JSON body of exactly `size` bytes; the two smallest cannot be JSON objects.
fn body(size: usize) -> Vec<u8> {
    let frame = r#"{"model":"big","pad":""}"#;
    if size < frame.len() {
        return vec![b' '; size];
    }
    let mut pad = String::with_capacity(size);
    let mut n = 0_u64;
    while pad.len() < size - frame.len() {
        pad.push_str(&n.to_string());
        n += 1;
    }
    pad.truncate(size - frame.len());
    format!(r#"{{"model":"big","pad":"{pad}"}}"#).into_bytes()
}

#[derive(Debug, Clone, Copy)]
enum Transport {
    Length,
    Chunked,
    H2,
    H2WithLength,
}

/// Sends `body` to the alias `big` and returns the status.
fn send(gateway: &Gateway, transport: Transport, body: &[u8]) -> u16 {
    let json = [("content-type", "application/json")];
    match transport {
        Transport::Length => gateway.client().call("POST", "/v1/chat/completions", &json, body).status,
        Transport::Chunked => {
            let mut client = gateway.client();
            client.send_chunked("/v1/chat/completions", &json, body, 50_000).unwrap();
            client.answer().unwrap().status
        }
        Transport::H2 => http2::post(gateway.address, "/v1/chat/completions", &json, body, false).0,
        Transport::H2WithLength => http2::post(gateway.address, "/v1/chat/completions", &json, body, true).0,
    }
}

/// Every size and transport through an alias whose first target does not answer as it should.
fn matrix(first: &str) {
    let good =
        Provider::start(|_| Reply::json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#));
    let limited = Provider::start(|_| Reply::json(429, r#"{"error":{"message":"slow down"}}"#));
    let gateway = Gateway::start(&format!(
        "[models.big]\ntargets = [{{ provider = '{first}', model = 'big' }}, {{ provider = 'good', model = 'big' }}]\n\
         [providers.good]\nbase_url = '{}'\n[providers.limited]\nbase_url = '{}'\n[providers.refused]\nbase_url = 'http://{}'\n",
        good.url(),
        limited.url(),
        free_port(),
    ));
    let runs = AtomicUsize::new(0);
    for transport in [Transport::Length, Transport::Chunked, Transport::H2, Transport::H2WithLength] {
        for size in SIZES {
            let body = body(size);
            let before = good.seen().len();
            let status = send(&gateway, transport, &body);
            if size < 20 {
                assert_eq!(status, 400, "{transport:?} {size}: nothing but white space is no JSON");
                continue;
            }
            assert_eq!(status, 200, "{transport:?} {size}");
            let seen = good.take_last();
            assert!(seen.body == body, "{transport:?} {size}: {} bytes arrived", seen.body.len());
            assert_eq!(good.seen().len(), before, "it was asked once");
            if first == "limited" {
                assert!(
                    limited.take_last().body == body,
                    "{transport:?} {size}: the first target had it whole, too"
                );
            }
            runs.fetch_add(1, Ordering::SeqCst);
        }
    }
    assert_eq!(runs.load(Ordering::SeqCst), 24);
}

#[test]
fn bodies_reach_a_target_that_is_well() {
    matrix("good");
}

#[test]
fn bodies_reach_the_second_target_when_the_first_refuses_connections() {
    matrix("refused");
}

#[test]
fn bodies_reach_the_second_target_when_the_first_answers_429() {
    matrix("limited");
}

#[test]
fn small_bodies_pass_where_they_need_not_be_json() {
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&provider.table("openai"));
    for size in SIZES {
        let body = body(size);
        for chunked in [false, true] {
            let mut client = gateway.client();
            let headers = [("content-type", "application/octet-stream")];
            if chunked {
                client.send_chunked("/v1/files", &headers, &body, 40_000).unwrap();
            } else {
                client.send("POST", "/v1/files", &headers, &body).unwrap();
            }
            assert_eq!(client.answer().unwrap().status, 200, "{size} chunked {chunked}");
            assert!(provider.take_last().body == body, "{size} chunked {chunked}");
        }
    }
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    use std::io::Write as _;
    let provider = Provider::start(|_| Reply::json(200, "{}"));
    let gateway = Gateway::start(&provider.table("openai"));
    let mut client = gateway.client();
    let body = br#"{"model":"gpt-4o"}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.stream().write_all(head.as_bytes()).unwrap();
    assert_eq!(client.any_head().unwrap().status, 100);
    client.stream().write_all(body).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(provider.last().header("expect"), None);
}
