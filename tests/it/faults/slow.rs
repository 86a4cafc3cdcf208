//! Clients that take their time: what never ends is ended, what takes long and goes on is not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;

use super::{JSON, Pair, SSE, asked, pair_with};
use crate::support::provider::{chunk, head};
use crate::support::{Answer, Client, DIALECTS, Dialect, Gateway, Reply, http2};

const SHORT: &str = "header_timeout = '400ms'\nbody_timeout = '400ms'\n";

/// When something that is due after 400 ms must have happened, on a busy machine.
const LATE: Duration = Duration::from_secs(4);

const UPLOAD: [(&str, &str); 2] =
    [("content-type", "multipart/form-data; boundary=x"), ("x-tollgate-provider", "first")];

fn quick() -> Pair {
    pair_with(SHORT, "", |seen| Reply::json(200, asked(seen).answer()))
}

type Pieces = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// Sends a piece of `pieces` every 50 ms and returns how long it took the other side to close.
fn until_closed(mut stream: &TcpStream, what: &str, mut pieces: Pieces) -> Duration {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        assert!(start.elapsed() < LATE, "{what}: the connection is still open");
        if let Some(piece) = pieces.next() {
            let _ = stream.write_all(&piece);
        }
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return start.elapsed(),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return start.elapsed(),
        }
    }
}

fn bytewise(text: &'static str) -> impl Iterator<Item = Vec<u8>> {
    text.bytes().chain(std::iter::repeat(b'x')).map(|byte| vec![byte])
}

fn again(piece: &'static [u8]) -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_with(|| piece.to_vec())
}

const H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A header block that goes on: `:method: GET`, and no end.
const H2_HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";
const H2_PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0ping-ing";

#[test]
fn a_header_that_never_ends_is_cut_off() {
    let gateway = quick().gateway;
    let cases: [(&str, Vec<u8>, Pieces); 9] = [
        ("nothing at all", Vec::new(), Box::new(std::iter::empty())),
        ("the start of a request line", b"POST /v1".to_vec(), Box::new(std::iter::empty())),
        ("the start of a preface", H2[..12].to_vec(), Box::new(std::iter::empty())),
        ("a byte now and then", Vec::new(), Box::new(bytewise("GET /v1/models HTTP/1.1\r\nx-long: "))),
        (
            "no end of headers",
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\n".to_vec(),
            Box::new(again(b"x: y\r\n")),
        ),
        ("empty lines in front", Vec::new(), Box::new(again(b"\r\n"))),
        ("HTTP/2 without a request", H2.to_vec(), Box::new(std::iter::empty())),
        ("HTTP/2 with nothing but pings", H2.to_vec(), Box::new(again(H2_PING))),
        ("HTTP/2 with half a header", [H2, H2_HEADERS].concat(), Box::new(std::iter::empty())),
    ];
    std::thread::scope(|scope| {
        for (what, start, pieces) in cases {
            let address = gateway.address;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&start).unwrap();
                let took = until_closed(&stream, what, pieces);
                assert!(took > Duration::from_millis(300), "{what}: cut off after {took:?}");
            });
        }
    });
}

#[test]
fn a_kept_connection_that_brings_no_request_is_closed() {
    let gateway = quick().gateway;
    let cases: [(&str, Pieces); 2] = [
        ("an idle connection", Box::new(std::iter::empty())),
        ("half a second request", Box::new(bytewise("POST /v1/messages HTTP/1.1\r\nx-long: "))),
    ];
    for (what, pieces) in cases {
        let mut client = gateway.client();
        assert_eq!(Dialect::Chat.call(&mut client, "one", false).status, 200);
        let took = until_closed(client.stream(), what, pieces);
        assert!(took > Duration::from_millis(300), "{what}: cut off after {took:?}");
    }
}

#[test]
fn an_exchange_that_began_in_time_takes_as_long_as_it_takes() {
    let pair = pair_with(SHORT, "", |seen| {
        if seen.target == "/v1/messages" {
            let body = Dialect::Messages.answer();
            let whole =
                [&head(200, &[JSON], &format!("content-length: {}\r\n", body.len())), body.as_bytes()];
            return Reply::Paced(vec![whole.concat()], Duration::from_millis(1200));
        }
        let mut pieces = vec![head(200, &[SSE], "transfer-encoding: chunked\r\n")];
        pieces.extend((0..8).map(|_| chunk(Dialect::Chat.events()[1].as_bytes())));
        pieces.push(b"0\r\n\r\n".to_vec());
        Reply::Paced(pieces, Duration::from_millis(150))
    });
    let stream = Dialect::Chat.events()[1].repeat(8);
    let mut client = pair.gateway.client();
    for _ in 0..2 {
        let answer = Dialect::Chat.call(&mut client, "one", true);
        assert_eq!((answer.complete, answer.text()), (true, stream.clone()));
        let answer = Dialect::Messages.call(&mut client, "one", false);
        assert_eq!((answer.complete, answer.text().as_str()), (true, Dialect::Messages.answer()));
    }
    let (path, body) = (Dialect::Chat.path("one", true), Dialect::Chat.body("one", true));
    let (body, complete) = http2::block_on(async {
        let (_sender, _, mut answer) =
            http2::begin(pair.gateway.address, &path, &[JSON], &body).await.unwrap();
        http2::read(&mut answer).await
    });
    assert_eq!((complete, String::from_utf8(body).unwrap()), (true, stream));
}

/// Begins a body that is to be 5,000 bytes long, and sends a byte of it every 100 ms if `trickle` says so.
fn slow_body(
    gateway: &Gateway,
    path: &str,
    headers: &[(&str, &str)],
    chunked: bool,
    trickle: bool,
) -> Answer {
    let mut client = Client::connect(gateway.address);
    let framing = if chunked { "transfer-encoding: chunked" } else { "content-length: 5000" };
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    client.stream().write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let piece: &[u8] = if chunked { b"1\r\n{\r\n" } else { b"{" };
    let start = Instant::now();
    client.stream().write_all(piece).unwrap();
    client.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while client.stream().peek(&mut [0]).is_err() {
        assert!(start.elapsed() < LATE, "{path}, chunked: {chunked}, trickle: {trickle}: no answer");
        if trickle {
            let _ = client.stream().write_all(piece);
        }
    }
    assert!(start.elapsed() > Duration::from_millis(300), "{path}: {:?}", start.elapsed());
    client.stream().set_read_timeout(Some(LATE)).unwrap();
    client.answer().unwrap()
}

#[test]
fn a_body_that_stalls_or_trickles_is_a_408_in_each_dialect() {
    let pair = quick();
    for dialect in DIALECTS {
        for (chunked, trickle) in [(false, false), (false, true), (true, false), (true, true)] {
            let path = dialect.path("one", false);
            let answer = slow_body(&pair.gateway, &path, dialect.headers(), chunked, trickle);
            dialect.check_error(&answer, 408);
        }
    }
    assert!(pair.first.seen().is_empty() && pair.first.connections() == 0);
    pair.gateway.idle();
}

#[test]
fn a_body_that_stalls_or_trickles_over_http_2_is_a_408() {
    let pair = quick();
    for trickle in [false, true] {
        let answer = http2::block_on(async {
            let mut sender = http2::connect(pair.gateway.address).await.ready().await.unwrap();
            let request = Request::post("http://gateway.test/v1/messages")
                .header("content-type", "application/json")
                .header("anthropic-version", "2023-06-01");
            let (mut response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
            let start = Instant::now();
            let (head, mut answer) = loop {
                assert!(start.elapsed() < LATE, "trickle: {trickle}: no answer");
                if trickle || start.elapsed().is_zero() {
                    let _ = body.send_data(Bytes::from_static(b"{"), false);
                }
                let patience = Duration::from_millis(100);
                if let Ok(response) = tokio::time::timeout(patience, &mut response).await {
                    break response.unwrap().into_parts();
                }
            };
            let id = head.headers["x-tollgate-request-id"].to_str().unwrap().to_owned();
            let headers = vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-tollgate-request-id".to_owned(), id),
            ];
            let (body, complete) = http2::read(&mut answer).await;
            Answer { status: head.status.as_u16(), headers, body, complete }
        });
        Dialect::Messages.check_error(&answer, 408);
    }
    pair.gateway.idle();
}

#[test]
fn an_upload_that_stalls_or_trickles_is_a_408_and_lets_the_provider_go() {
    let pair = quick();
    for (chunked, trickle) in [(false, false), (true, false), (false, true), (true, true)] {
        let answer = slow_body(&pair.gateway, "/v1/files", &UPLOAD, chunked, trickle);
        Dialect::Chat.check_error(&answer, 408);
        crate::support::eventually("the provider to be let go", || (pair.first.open() == 0).then_some(()));
    }
    pair.gateway.idle();
}

#[test]
fn a_body_that_takes_long_and_goes_on_is_taken() {
    let pair = quick();
    let body = format!(r#"{{"model":"one","pad":"{}"}}"#, "x".repeat(160_000));
    for headers in [&[JSON][..], &UPLOAD] {
        let path = if headers.len() == 1 { "/v1/chat/completions" } else { "/v1/files" };
        let mut client = pair.gateway.client();
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        client.stream().write_all(format!("{head}\r\n").as_bytes()).unwrap();
        for piece in body.as_bytes().chunks(4_000) {
            client.stream().write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(25));
        }
        assert_eq!(client.answer().unwrap().status, 200, "{path}");
        let sent = if headers.len() == 1 { body.replace(r#""one""#, r#""m-1""#) } else { body.clone() };
        assert!(pair.first.take_last().body == sent.as_bytes(), "{path}");
    }
}
